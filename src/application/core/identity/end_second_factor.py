"""Turn a second factor off: by its owner with password and code, or by an operator for who has lost both.

Every other sign-in ends with it, so a session that has proved a factor always belongs to an account that has one.
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.identity.authenticate import Caller
from application.core.identity.desk import TokenDesk, TokenPair
from application.core.identity.logins import LoginReader
from application.core.identity.password_check import PasswordCheck
from application.core.identity.ports import IdentityUnitOfWork, RevocationBoard
from application.core.identity.second_factor_desk import SecondFactorDesk
from application.core.kernel.ports import AuditEntry, Clock
from domain.core.identity.account import UserNotFound
from domain.core.identity.second_factor import SecondFactorIsOff
from domain.core.identity.sign_ins import EndReason
from domain.core.kernel.errors import NotSignedIn
from domain.core.kernel.ids import AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class DisableSecondFactor:
    unit_of_work: Callable[[], IdentityUnitOfWork]
    check_password: PasswordCheck
    factors: SecondFactorDesk
    token_desk: TokenDesk
    revocations: RevocationBoard
    clock: Clock

    async def __call__(self, caller: Caller, password: str, code: str) -> TokenPair:
        """Return fresh tokens for this device.

        Raises PasswordWrong, SecondFactorIsOff, SecondFactorInvalid, TooManyAttempts, NotSignedIn.
        """
        password_hash = await self.check_password(caller.account_id, password)
        now = self.clock.now()
        async with self.factors.guess(caller.account_id), self.unit_of_work() as uow:
            account = await uow.accounts.get(caller.account_id)
            factor = await uow.second_factors.get(account.id)
            if factor is None:
                raise SecondFactorIsOff
            sign_in = await uow.sessions.get(caller.family_id)
            if account.password_hash != password_hash or sign_in is None or sign_in.has_ended:
                raise NotSignedIn  # changed or signed out elsewhere meanwhile
            self.factors.prove(factor, code)
            uow.second_factors.remove(factor)
            uow.record(factor.turned_off())
            account.end_access()
            renewed = self.token_desk.start(account.id, now=now)
            uow.sessions.add(renewed)
            uow.sessions.end_all(account.id, EndReason.SECOND_FACTOR, now=now, keep=renewed.id)
            uow.audit(AuditEntry(action="second_factor_off", target=f"account:{account.id}"))
            await uow.commit()
        self.revocations.epochs_ended(account.id, before=account.epoch)
        return self.token_desk.pair(account, renewed, now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetSecondFactor:
    """For whoever runs the server: it asks for nothing, so it stands on the command line only."""

    unit_of_work: Callable[[], IdentityUnitOfWork]
    read_login: LoginReader
    revocations: RevocationBoard
    clock: Clock

    async def __call__(self, login: str, reason: str) -> AccountId:
        """Turn the factor off and sign out every device; return whose. Raises UserNotFound, SecondFactorIsOff."""
        async with self.unit_of_work() as uow:
            found = await uow.accounts.find_by_login(self.read_login(login))
            if found is None:
                raise UserNotFound
            account = await uow.accounts.get(found.id)
            factor = await uow.second_factors.get(account.id)
            if factor is None or not factor.is_on:
                raise SecondFactorIsOff
            uow.second_factors.remove(factor)
            uow.record(factor.turned_off())
            account.end_access()
            uow.sessions.end_all(account.id, EndReason.SECOND_FACTOR, now=self.clock.now())
            uow.audit(AuditEntry(action="second_factor_reset", target=f"account:{account.id}", reason=reason))
            await uow.commit()
        self.revocations.epochs_ended(account.id, before=account.epoch)
        return account.id
