"""Exchange a refresh token for a fresh pair.

- Each works once; within the grace the same family answers again with the live pair (`identity.refresh_rotates`).
- One that comes back later ends its family and is audited (`identity.reuse_ends_family`).
- Text that we have not made is refused before the database is asked.
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.identity.desk import TokenDesk, TokenPair
from application.core.identity.ports import IdentityUnitOfWork, RevocationBoard
from application.core.kernel.ports import AuditEntry, Clock
from domain.core.identity.events import SignInReused
from domain.core.identity.sign_ins import Refresh, RefreshInvalid, RefreshReused


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTokens:
    unit_of_work: Callable[[], IdentityUnitOfWork]
    token_desk: TokenDesk
    revocations: RevocationBoard
    clock: Clock

    async def __call__(self, refresh: str) -> TokenPair:
        """Return a fresh pair. Raises RefreshInvalid, RefreshReused."""
        known = self.token_desk.read_refresh(refresh)
        if known is None:
            raise RefreshInvalid
        family_id, generation = known
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            sign_in = await uow.sessions.get(family_id)
            if sign_in is None:
                raise RefreshInvalid
            account = await uow.accounts.get(sign_in.account_id, lock=False)
            if not account.is_active:
                raise RefreshInvalid
            was_ended = sign_in.has_ended
            outcome = self.token_desk.refresh(sign_in, generation, now=now)
            if outcome is Refresh.REUSED and not was_ended:
                uow.record(SignInReused(account_id=account.id))
                uow.audit(AuditEntry(action="refresh_reused", target=f"account:{account.id}"))
            await uow.commit()
        match outcome:
            case Refresh.INVALID:
                raise RefreshInvalid
            case Refresh.REUSED:
                self.revocations.family_ended(family_id)
                raise RefreshReused
            case Refresh.ROTATED | Refresh.REPEATED:
                return self.token_desk.pair(account, sign_in, now=now)
