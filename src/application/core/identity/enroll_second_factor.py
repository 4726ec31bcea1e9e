"""Turn on a second factor: show a secret once, then have a code of it confirmed.

- Beginning asks for the password: a stolen access token must not lock the owner out of his account.
- Until it is confirmed nothing changes; beginning again shows another secret and forgets the former.
- Confirming shows ten recovery codes once and signs out every other device, as changing the password does: whoever was
  in with the password alone is out. This device gets a sign-in of its own making, which has proved the factor.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from application.core.identity.authenticate import Caller
from application.core.identity.desk import TokenDesk, TokenPair
from application.core.identity.password_check import PasswordCheck
from application.core.identity.ports import IdentityUnitOfWork, RevocationBoard
from application.core.identity.second_factor_desk import SecondFactorDesk
from application.core.kernel.ports import AuditEntry, Clock
from domain.core.identity.second_factor import ENROLLMENT_LIFE, NothingToConfirm, SecondFactor
from domain.core.identity.sign_ins import EndReason
from domain.core.kernel.errors import NotSignedIn


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrollment:
    """What an authenticator is told; it is shown once."""

    secret: str
    address: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnedOn:
    """What the owner keeps, and the tokens of the one device that stays signed in."""

    recovery_codes: Sequence[str]
    tokens: TokenPair


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginSecondFactor:
    unit_of_work: Callable[[], IdentityUnitOfWork]
    check_password: PasswordCheck
    factors: SecondFactorDesk
    clock: Clock

    async def __call__(self, caller: Caller, password: str) -> Enrollment:
        """Return the secret. Raises PasswordWrong, TooManyAttempts, SecondFactorIsOn, NotSignedIn."""
        password_hash = await self.check_password(caller.account_id, password)
        secret, sealed = self.factors.make_secret(caller.account_id)
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            account = await uow.accounts.get(caller.account_id)
            if account.password_hash != password_hash:
                raise NotSignedIn  # changed elsewhere meanwhile
            factor = await uow.second_factors.get(account.id)
            if factor is None:
                uow.second_factors.add(SecondFactor(account_id=account.id, sealed_secret=sealed, begun_at=now))
            else:
                factor.begin(sealed, now=now)
            uow.audit(AuditEntry(action="second_factor_begun", target=f"account:{account.id}"))
            await uow.commit()
        return Enrollment(
            secret=secret,
            address=self.factors.one_time_passwords.address(secret, name=account.username),
            expires_at=now + ENROLLMENT_LIFE,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmSecondFactor:
    unit_of_work: Callable[[], IdentityUnitOfWork]
    factors: SecondFactorDesk
    token_desk: TokenDesk
    revocations: RevocationBoard
    clock: Clock

    async def __call__(self, caller: Caller, code: str) -> TurnedOn:
        """Return the recovery codes and fresh tokens.

        Raises NothingToConfirm, SecondFactorIsOn, SecondFactorInvalid, TooManyAttempts, NotSignedIn.
        """
        now = self.clock.now()
        async with self.factors.guess(caller.account_id), self.unit_of_work() as uow:
            account = await uow.accounts.get(caller.account_id)
            factor = await uow.second_factors.get(account.id)
            if factor is None:
                raise NothingToConfirm
            sign_in = await uow.sessions.get(caller.family_id)
            if sign_in is None or sign_in.has_ended:
                raise NotSignedIn
            factor.check_can_be_confirmed(now=now)
            codes, digests = self.factors.make_recovery_codes(factor)
            uow.record(*factor.confirm(self.factors.step_of(factor, code), digests, now=now))
            account.end_access()
            renewed = self.token_desk.start(account.id, now=now, proved_at=now)
            uow.sessions.add(renewed)
            uow.sessions.end_all(account.id, EndReason.SECOND_FACTOR, now=now, keep=renewed.id)
            uow.audit(AuditEntry(action="second_factor_on", target=f"account:{account.id}"))
            await uow.commit()
        self.revocations.epochs_ended(account.id, before=account.epoch)
        return TurnedOn(recovery_codes=codes, tokens=self.token_desk.pair(account, renewed, now=now))
