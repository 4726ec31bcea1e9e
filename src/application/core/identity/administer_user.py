"""What an administrator changes of an account: its primary role, whether it is open, whether its address is verified.

- Whoever changes who is an administrator waits for everybody else who does, so of two who demote each other at once one
  finds the other gone (`identity.last_admin_stays`).
- Suspending ends every sign-in; a role ends the access tokens that do not name it (`identity.access_follows_account`).
- The audit entry says what was and what is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from application.core.identity.ports import IdentityUnitOfWork, RegistrationStep, RevocationBoard, Unit
from application.core.identity.verify_contact import hold
from application.core.kernel.ports import AuditEntry, Clock
from domain.core.identity.account import Account
from domain.core.identity.codes import NoAddress
from domain.core.identity.contacts import AddressVerifiedElsewhere, ContactKind
from domain.core.identity.roles import read_role
from domain.core.identity.sign_ins import EndReason
from domain.core.kernel.ids import AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class AdministerUserCommand:
    """None leaves a field as it is."""

    account_id: AccountId
    role: str | None = None
    is_active: bool | None = None
    is_verified: bool | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdministerUser(Generic[Unit]):
    unit_of_work: Callable[[], Unit]
    revocations: RevocationBoard
    clock: Clock
    steps: Sequence[RegistrationStep[Unit]] = ()
    """What other modules do for whoever registers with a role; done here for whoever is given one."""

    async def __call__(self, command: AdministerUserCommand) -> Account:
        """Return the account as it is now.

        Raises UserNotFound, RoleUnknown, LastAdmin, AddressVerifiedElsewhere, NoAddress.
        """
        role = None if command.role is None else read_role(command.role)
        async with self.unit_of_work() as uow:
            administrators = await uow.accounts.administrators()
            if command.is_verified:
                await self._hold_address(uow, command.account_id)
            account = await uow.accounts.get(command.account_id)
            before, epoch = _facts(account), account.epoch
            if role is not None:
                uow.record(*account.replace_primary_role(role, administrators=administrators))
                for step in self.steps:
                    await step(uow, account)
            if command.is_active is False:
                suspended = account.suspend(administrators=administrators, reason=command.reason)
                if suspended:
                    uow.record(*suspended)
                    uow.sessions.end_all(account.id, EndReason.SUSPENDED, now=self.clock.now())
            elif command.is_active:
                uow.record(*account.reinstate())
            if command.is_verified:
                await self._verify(uow, account)
            elif command.is_verified is False:
                account.unverify_contact(ContactKind.EMAIL, now=self.clock.now())
            after = _facts(account)
            if after != before:
                entry = AuditEntry(
                    action="PATCH_USER",
                    target=f"account:{account.id}",
                    before=before,
                    after=after,
                    reason=command.reason,
                )
                uow.audit(entry)
            await uow.commit()
        if account.epoch != epoch:
            self.revocations.epochs_ended(account.id, before=account.epoch)
        return account

    async def _hold_address(self, uow: IdentityUnitOfWork, account_id: AccountId) -> None:
        contact = (await uow.accounts.get(account_id, lock=False)).contact(ContactKind.EMAIL)
        if contact is None:
            raise NoAddress
        await uow.accounts.hold_address(ContactKind.EMAIL, contact.address)

    async def _verify(self, uow: IdentityUnitOfWork, account: Account) -> None:
        contact = account.contact(ContactKind.EMAIL)
        if contact is None:
            raise NoAddress
        if await uow.accounts.is_verified_elsewhere(ContactKind.EMAIL, contact.address, account.id):
            raise AddressVerifiedElsewhere
        await hold(uow, account, ContactKind.EMAIL, contact.address, self.clock)


def _facts(account: Account) -> dict[str, object]:
    return {
        "roles": [f"{grant.role}:{grant.status}" for grant in account.grants],
        "is_active": account.is_active,
        "is_verified": account.verified(ContactKind.EMAIL) is not None,
    }
