"""Ask who is signed in for his password again; counted like a login, so that a stolen token cannot guess it."""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.identity.log_in import account_key, compare
from application.core.identity.network_limits import FAILURE_WINDOW
from application.core.identity.ports import AttemptCounter, IdentityUnitOfWork
from application.core.identity.security import CodeHasher, PasswordHasher
from application.core.kernel.ports import Clock, Policies
from domain.core.identity.policies import LOGIN_FAILURES_ACCOUNT
from domain.core.kernel.errors import FieldError, Invalid
from domain.core.kernel.ids import AccountId


class PasswordWrong(Invalid):
    """The password is wrong."""

    code = "identity.password_wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordCheck:
    unit_of_work: Callable[[], IdentityUnitOfWork]
    attempts: AttemptCounter
    passwords: PasswordHasher
    hasher: CodeHasher
    policies: Policies
    clock: Clock

    async def __call__(self, account_id: AccountId, password: str) -> str:
        """Return the hash that the password fits; it must still be the account's when something is written.

        Raises PasswordWrong, TooManyAttempts, Unavailable.
        """
        async with self.unit_of_work() as uow:
            account = await uow.accounts.get(account_id, lock=False)
        key = account_key(self.hasher, str(account_id))
        limit = self.policies.value(LOGIN_FAILURES_ACCOUNT)
        now = self.clock.now()
        await self.attempts.take(key, limit=limit, window=FAILURE_WINDOW, now=now)
        if not await compare(self.passwords, self.attempts, key, password, account.password_hash, now=now):
            raise PasswordWrong(errors=(FieldError("password", "is wrong"),))
        await self.attempts.give_back(key, now=self.clock.now())
        return account.password_hash
