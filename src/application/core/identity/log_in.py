"""Sign in with a password.

- A user name, an address or a phone number says who; an address means its verified holder, else the oldest claim.
- Every login computes exactly one hash and fails with the same code (`identity.login_costs_the_same`).
- An attempt is counted before it is evaluated and given back when it was right, so of any number that arrive at once no
  more than the limit are evaluated (`identity.guessing_is_counted`). The account counts under its id, whatever it was
  called by; an unknown name counts under its own digest. Failures of a network address are counted when they are known:
  many people share one, and signing in at the same time is no failure. What was learned of an address while a hash was
  computed counts too, so sending all guesses at once tells no more than sending them one by one.
- Who has turned on a second factor gets a challenge instead of tokens, and only for the right password, so it tells
  nobody else that the account exists.
- What the hash was compared with must still be so when the sign-in is written: a password changed or an account
  suspended meanwhile refuses it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from application.core.identity.desk import TokenDesk, TokenPair
from application.core.identity.logins import LoginReader
from application.core.identity.network_limits import FAILURE_WINDOW, NetworkLimits
from application.core.identity.ports import AttemptCounter, IdentityUnitOfWork
from application.core.identity.queries import Candidate, IdentityQueries
from application.core.identity.security import CodeHasher, PasswordHasher
from application.core.kernel.ports import AuditEntry, Clock, Policies
from domain.core.identity.account import Account, AccountIsSuspended
from domain.core.identity.policies import LOGIN_FAILURES_ACCOUNT
from domain.core.identity.second_factor import CHALLENGE_LIFE, SecondFactorNeeded
from domain.core.kernel.errors import NotSignedIn, Unavailable


class BadCredentials(NotSignedIn):
    """This name and password do not belong together."""

    code = "identity.bad_credentials"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogInCommand:
    login: str
    password: str
    is_for_administrators: bool = False


@dataclass(frozen=True, slots=True)
class LoggedIn:
    account: Account
    tokens: TokenPair


@dataclass(frozen=True, slots=True, kw_only=True)
class LogIn:
    unit_of_work: Callable[[], IdentityUnitOfWork]
    queries: IdentityQueries
    attempts: AttemptCounter
    read_login: LoginReader
    networks: NetworkLimits
    passwords: PasswordHasher
    hasher: CodeHasher
    token_desk: TokenDesk
    policies: Policies
    clock: Clock

    async def __call__(self, command: LogInCommand) -> LoggedIn:
        """Return the account and its tokens.

        Raises BadCredentials, AccountIsSuspended, TooManyAttempts, SecondFactorNeeded with its `challenge`,
        Unavailable.
        """
        now = self.clock.now()
        login = self.read_login(command.login)
        candidate = await self.queries.candidate(login)
        who = str(candidate.account_id) if candidate else f"{login.kind}:{login.value}"
        key_of_account = account_key(self.hasher, who)
        await self._count(key_of_account, now)
        password_hash = candidate.password_hash if candidate else None
        is_right = await compare(
            self.passwords, self.attempts, key_of_account, command.password, password_hash, now=now
        )
        await self.networks.check_guesses()
        if candidate is None or not is_right or (command.is_for_administrators and not candidate.is_admin):
            raise await self._failed(candidate)
        if not candidate.is_active:
            await self.attempts.give_back(key_of_account, now=now)
            raise AccountIsSuspended
        renewed = await self.passwords.hash(command.password) if self._is_outdated(candidate) else None
        logged_in = await self._sign_in(candidate, renewed)
        await self.attempts.give_back(key_of_account, now=now)
        if isinstance(logged_in, str):
            raise SecondFactorNeeded(challenge=logged_in, expires_in=int(CHALLENGE_LIFE.total_seconds()))
        return logged_in

    async def _sign_in(self, candidate: Candidate, renewed_hash: str | None) -> LoggedIn | str:
        """Return the account and its tokens, or the challenge of who has a second factor."""
        now = self.clock.now()
        sign_in = self.token_desk.start(candidate.account_id, now=now)
        async with self.unit_of_work() as uow:
            account = await uow.accounts.get(candidate.account_id)
            if account.password_hash != candidate.password_hash:
                raise BadCredentials
            if not account.is_active:
                raise AccountIsSuspended
            if renewed_hash is not None:
                account.password_hash = renewed_hash
            factor = await uow.second_factors.get(account.id, lock=False)
            is_challenged = factor is not None and factor.is_on
            if not is_challenged:
                uow.sessions.add(sign_in)
            action = "login_challenged" if is_challenged else "login"
            uow.audit(AuditEntry(action=action, target=f"account:{account.id}"))
            await uow.commit()
        if is_challenged:
            return self.token_desk.challenge(account, now=now)
        return LoggedIn(account, self.token_desk.pair(account, sign_in, now=now))

    async def _count(self, key: bytes, now: datetime) -> None:
        await self.networks.check_guesses()
        limit = self.policies.value(LOGIN_FAILURES_ACCOUNT)
        await self.attempts.take(key, limit=limit, window=FAILURE_WINDOW, now=now)

    async def _failed(self, candidate: Candidate | None) -> BadCredentials:
        await self.networks.count_wrong_guess()
        async with self.unit_of_work() as uow:
            target = f"account:{candidate.account_id}" if candidate else "account:unknown"
            uow.audit(AuditEntry(action="login_failed", target=target))
            await uow.commit()
        return BadCredentials()

    def _is_outdated(self, candidate: Candidate) -> bool:
        return self.passwords.is_outdated(candidate.password_hash)


async def compare(
    passwords: PasswordHasher,
    attempts: AttemptCounter,
    key: bytes,
    password: str,
    password_hash: str | None,
    *,
    now: datetime,
) -> bool:
    """Tell whether a password whose attempt was counted is right; give back the attempt that nobody could look at, so
    that whoever keeps us busy locks nobody out. Raises Unavailable.
    """
    try:
        return await passwords.matches(password, password_hash)
    except Unavailable:
        await attempts.give_back(key, now=now)
        raise


def account_key(hasher: CodeHasher, who: str) -> bytes:
    """Return the key under which wrong passwords are counted: of an account by its id, else of what was named."""
    return hasher.digest("login_failures", who)
