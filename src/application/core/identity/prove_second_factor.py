"""Send a code of the second factor: to finish signing in, to step up, to have other recovery codes.

- Each code of the authenticator and each recovery code is accepted once, under the lock of the factor.
- Wrong codes are counted for the account, whatever they are sent for; at sign-in for the network address as well.
- A step-up is written into the sign-in and said by a new access token; it ends with the sign-in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from application.core.identity.authenticate import Caller
from application.core.identity.desk import TokenDesk
from application.core.identity.log_in import LoggedIn
from application.core.identity.network_limits import NetworkLimits
from application.core.identity.ports import IdentityUnitOfWork, TooManyAttempts
from application.core.identity.second_factor_desk import SecondFactorDesk
from application.core.kernel.ports import AuditEntry, Clock, Policies
from domain.core.identity.events import SecondFactorGuessed
from domain.core.identity.policies import STEP_UP_MIN
from domain.core.identity.second_factor import ChallengeInvalid, SecondFactorInvalid, SecondFactorIsOff
from domain.core.kernel.errors import NotSignedIn
from domain.core.kernel.ids import AccountId

TOLD_EVERY = timedelta(days=1)
"""The owner hears of wrong codes after a right password once in this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishLogIn:
    unit_of_work: Callable[[], IdentityUnitOfWork]
    factors: SecondFactorDesk
    networks: NetworkLimits
    token_desk: TokenDesk
    clock: Clock

    async def __call__(self, challenge: str, code: str) -> LoggedIn:
        """Return the account and its tokens. Raises ChallengeInvalid, SecondFactorInvalid, TooManyAttempts."""
        now = self.clock.now()
        known = self.token_desk.read_challenge(challenge, now=now)
        await self.networks.check_guesses()
        try:
            async with self.factors.guess(known.account_id), self.unit_of_work() as uow:
                account = await uow.accounts.get(known.account_id)
                factor = await uow.second_factors.get(account.id)
                if account.epoch != known.epoch or not account.is_active or factor is None:
                    raise ChallengeInvalid
                self.factors.prove(factor, code)
                sign_in = self.token_desk.start(account.id, now=now, proved_at=now)
                uow.sessions.add(sign_in)
                uow.audit(AuditEntry(action="login", target=f"account:{account.id}", after={"second_factor": True}))
                await uow.commit()
        except SecondFactorInvalid:
            await self.networks.count_wrong_guess()
            await self._tell(known.account_id)
            raise
        return LoggedIn(account, self.token_desk.pair(account, sign_in, now=now))

    async def _tell(self, account_id: AccountId) -> None:
        """Write the failure down; the owner is told, since somebody knows his password."""
        key = self.factors.hasher.digest("second_factor_told", str(account_id))
        try:
            await self.factors.attempts.take(key, limit=1, window=TOLD_EVERY, now=self.clock.now())
            is_told = False
        except TooManyAttempts:
            is_told = True
        async with self.unit_of_work() as uow:
            after = {"second_factor": True}
            uow.audit(AuditEntry(action="login_failed", target=f"account:{account_id}", after=after))
            if not is_told:
                uow.record(SecondFactorGuessed(account_id=account_id))
            await uow.commit()


@dataclass(frozen=True, slots=True, kw_only=True)
class SteppedUp:
    """A token that has just proved the second factor, and until when that counts as fresh."""

    access: str
    fresh_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUp:
    unit_of_work: Callable[[], IdentityUnitOfWork]
    factors: SecondFactorDesk
    token_desk: TokenDesk
    policies: Policies
    clock: Clock

    async def __call__(self, caller: Caller, code: str) -> SteppedUp:
        """Return a fresh token. Raises SecondFactorIsOff, SecondFactorInvalid, TooManyAttempts, NotSignedIn."""
        now = self.clock.now()
        async with self.factors.guess(caller.account_id), self.unit_of_work() as uow:
            factor = await uow.second_factors.get(caller.account_id)
            if factor is None:
                raise SecondFactorIsOff
            sign_in = await uow.sessions.get(caller.family_id)
            if sign_in is None or sign_in.has_ended:
                raise NotSignedIn
            account = await uow.accounts.get(caller.account_id, lock=False)
            self.factors.prove(factor, code)
            sign_in.proved_at = now
            uow.audit(AuditEntry(action="step_up", target=f"account:{account.id}"))
            await uow.commit()
        life = timedelta(minutes=self.policies.value(STEP_UP_MIN))
        return SteppedUp(access=self.token_desk.pair(account, sign_in, now=now).access, fresh_until=now + life)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewRecoveryCodes:
    unit_of_work: Callable[[], IdentityUnitOfWork]
    factors: SecondFactorDesk

    async def __call__(self, caller: Caller, code: str) -> Sequence[str]:
        """Return ten new codes; the former open nothing.

        Raises SecondFactorIsOff, SecondFactorInvalid, TooManyAttempts.
        """
        async with self.factors.guess(caller.account_id), self.unit_of_work() as uow:
            factor = await uow.second_factors.get(caller.account_id)
            if factor is None:
                raise SecondFactorIsOff
            self.factors.prove(factor, code)
            codes, digests = self.factors.make_recovery_codes(factor)
            factor.renew_recovery(digests)
            uow.audit(AuditEntry(action="recovery_codes_renewed", target=f"account:{caller.account_id}"))
            await uow.commit()
        return codes
