"""Ask for a new code for one's address or phone; the former one is void (`identity.code_is_bound`)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from application.core.identity.desk import CodeDesk
from application.core.identity.ports import AttemptCounter, IdentityUnitOfWork, TooManyAttempts
from application.core.identity.security import CodeHasher
from application.core.kernel.ports import Clock, Policies
from domain.core.identity.codes import VERIFIES, NoAddress, TooManyCodes
from domain.core.identity.contacts import ContactKind
from domain.core.identity.events import ContactCodeAsked
from domain.core.identity.policies import CODES_PER_HOUR
from domain.core.kernel.ids import AccountId

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeQuota:
    """Counts the codes that are asked for, per account or address, known or not."""

    attempts: AttemptCounter
    hasher: CodeHasher
    policies: Policies
    clock: Clock

    async def take(self, whom: str) -> None:
        """Count a code. Raises TooManyCodes."""
        key = self.hasher.digest("codes_per_hour", whom)
        limit = self.policies.value(CODES_PER_HOUR)
        try:
            await self.attempts.take(key, limit=limit, window=HOUR, now=self.clock.now())
        except TooManyAttempts as error:
            raise TooManyCodes(retry_after_s=error.retry_after_s) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class AskCode:
    unit_of_work: Callable[[], IdentityUnitOfWork]
    code_desk: CodeDesk
    quota: CodeQuota
    clock: Clock

    async def __call__(self, account_id: AccountId, kind: ContactKind) -> bool:
        """Have a new code sent and return True; False when there is nothing left to verify.

        Raises NoAddress, TooManyCodes.
        """
        async with self.unit_of_work() as uow:
            account = await uow.accounts.get(account_id, lock=False)
        if account.claim(kind) is None:
            if account.verified(kind) is None:
                raise NoAddress
            return False
        await self.quota.take(f"{account_id}:{kind}")
        async with self.unit_of_work() as uow:
            account = await uow.accounts.get(account_id)
            claim = account.claim(kind)
            if claim is None:
                raise NoAddress
            code = self.code_desk.make(account_id, VERIFIES[kind], claim.address, now=self.clock.now())
            uow.codes.add(code)
            uow.record(ContactCodeAsked(account_id=account_id, code_id=code.id, kind=kind))
            await uow.commit()
        return True
