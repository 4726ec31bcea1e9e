"""Sign out one of one's own devices, or all but the one that asks."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from application.core.identity.authenticate import Caller
from application.core.identity.ports import IdentityUnitOfWork, RevocationBoard
from application.core.kernel.ports import AuditEntry, Clock
from domain.core.identity.sign_ins import DeviceNotFound, EndReason
from domain.core.kernel.errors import NotSignedIn
from domain.core.kernel.ids import AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class EndDevice:
    unit_of_work: Callable[[], IdentityUnitOfWork]
    revocations: RevocationBoard
    clock: Clock

    async def __call__(self, account_id: AccountId, sign_in_id: UUID) -> None:
        """End the sign-in. Raises DeviceNotFound, also for somebody else's and for one that has ended."""
        async with self.unit_of_work() as uow:
            sign_in = await uow.sessions.get(sign_in_id)
            if sign_in is None or sign_in.account_id != account_id or sign_in.has_ended:
                raise DeviceNotFound
            sign_in.end(EndReason.LOGOUT, now=self.clock.now())
            uow.audit(AuditEntry(action="logout", target=f"account:{account_id}"))
            await uow.commit()
        self.revocations.family_ended(sign_in_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndOtherDevices:
    unit_of_work: Callable[[], IdentityUnitOfWork]
    revocations: RevocationBoard
    clock: Clock

    async def __call__(self, caller: Caller) -> int:
        """End every other sign-in of the caller, with its access tokens, and return how many. Raises NotSignedIn."""
        async with self.unit_of_work() as uow:
            await uow.accounts.get(caller.account_id)  # of two sign-ins that end each other, one waits here and is told
            own = await uow.sessions.get(caller.family_id, lock=False)
            if own is not None and own.has_ended:
                raise NotSignedIn
            ended = await uow.sessions.end_others(
                caller.account_id, EndReason.LOGOUT, now=self.clock.now(), keep=caller.family_id
            )
            after = {"others": len(ended)}
            uow.audit(AuditEntry(action="logout", target=f"account:{caller.account_id}", after=after))
            await uow.commit()
        for family_id in ended:
            self.revocations.family_ended(family_id)
        return len(ended)
