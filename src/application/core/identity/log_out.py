"""Sign out.

- With a refresh token its family ends, without one the family of the access token; `all` ends every family.
- A well-formed token that has ended already is answered alike (`identity.logout_is_idempotent`).
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.identity.authenticate import Caller
from application.core.identity.desk import TokenDesk
from application.core.identity.ports import IdentityUnitOfWork, RevocationBoard
from application.core.kernel.ports import AuditEntry, Clock
from domain.core.identity.sign_ins import EndReason
from domain.core.kernel.errors import FieldError, Invalid, NotSignedIn


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOut:
    unit_of_work: Callable[[], IdentityUnitOfWork]
    token_desk: TokenDesk
    revocations: RevocationBoard
    clock: Clock

    async def __call__(self, caller: Caller | None, refresh: str | None, *, everywhere: bool = False) -> None:
        """End the sign-in. Raises NotSignedIn without any token, Invalid for what is no refresh token."""
        if refresh is not None:
            known = self.token_desk.read_refresh(refresh)
            if known is None:
                raise Invalid(errors=(FieldError("refresh", "is not a refresh token"),))
            family_id = known[0]
        elif caller is not None:
            family_id = caller.family_id
        else:
            raise NotSignedIn
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            # the account is locked before its sign-ins, as everywhere, so the sign-in is only read here
            sign_in = await uow.sessions.get(family_id, lock=not everywhere)
            if sign_in is None:
                return
            if not everywhere:
                if sign_in.has_ended:
                    return
                sign_in.end(EndReason.LOGOUT, now=now)
                uow.audit(AuditEntry(action="logout", target=f"account:{sign_in.account_id}"))
                await uow.commit()
                self.revocations.family_ended(family_id)
                return
            if sign_in.has_ended and caller is None:
                return  # an ended token alone ends nothing more
            account = await uow.accounts.get(sign_in.account_id)
            account.end_access()
            uow.sessions.end_all(account.id, EndReason.LOGOUT, now=now)
            uow.audit(AuditEntry(action="logout", target=f"account:{account.id}", after={"all": True}))
            await uow.commit()
        self.revocations.epochs_ended(account.id, before=account.epoch)
