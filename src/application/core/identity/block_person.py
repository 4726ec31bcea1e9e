"""Block a person, and take it back.

A block stops new messages, claims, assignments and bookings between the two, whoever set it; running deals go on
(`identity.block_works_both_ways`). Whoever decides on one of these reads the block in the same transaction, by
`blocks.is_blocked_between` or along with what is locked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from application.core.identity.ports import AttemptCounter, IdentityUnitOfWork, Login
from application.core.identity.security import CodeHasher
from application.core.kernel.ports import Clock, IdSource
from domain.core.identity.account import UserNotFound
from domain.core.identity.blocks import Block, NotBlocked
from domain.core.identity.contacts import read_email
from domain.core.identity.events import AccountBlocked
from domain.core.kernel.errors import FieldError, Invalid
from domain.core.kernel.ids import AccountId

HOUR: Final = timedelta(hours=1)
ADDRESSES_PER_HOUR: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockPersonCommand:
    blocker_id: AccountId
    email: str | None = None
    account_id: AccountId | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockPerson:
    unit_of_work: Callable[[], IdentityUnitOfWork]
    attempts: AttemptCounter
    hasher: CodeHasher
    clock: Clock
    ids: IdSource

    async def __call__(self, command: BlockPersonCommand) -> tuple[Block, bool]:
        """Return the block, and whether it is new. Raises UserNotFound, CannotBlockSelf, TooManyAttempts, Invalid."""
        if command.account_id is None and command.email:
            key = self.hasher.digest("addresses_per_hour", str(command.blocker_id))
            await self.attempts.take(key, limit=ADDRESSES_PER_HOUR, window=HOUR, now=self.clock.now())
        async with self.unit_of_work() as uow:
            block = Block(
                id=self.ids.new(),
                blocker_id=command.blocker_id,
                blocked_id=await self._meant(uow, command),
                reason=command.reason,
                created_at=self.clock.now(),
            )
            stored = await uow.blocks.add(block)
            is_new = stored.id == block.id
            if is_new:
                uow.record(AccountBlocked(account_id=block.blocker_id, blocked_id=block.blocked_id))
                await uow.commit()
        return stored, is_new

    async def _meant(self, uow: IdentityUnitOfWork, command: BlockPersonCommand) -> AccountId:
        if command.account_id is not None:
            return (await uow.accounts.get(command.account_id, lock=False)).id
        if not command.email:
            raise Invalid(errors=(FieldError("blocked_email", "is needed, or user_id"),))
        account = await uow.accounts.find_by_login(Login("email", read_email(command.email, field="blocked_email")))
        if account is None:
            raise UserNotFound
        return account.id


@dataclass(frozen=True, slots=True, kw_only=True)
class UnblockPerson:
    unit_of_work: Callable[[], IdentityUnitOfWork]

    async def __call__(self, blocker_id: AccountId, blocked_id: AccountId) -> None:
        """Take a block back. Raises NotBlocked."""
        async with self.unit_of_work() as uow:
            block = await uow.blocks.find(blocker_id, blocked_id)
            if block is None:
                raise NotBlocked
            uow.blocks.remove(block)
            await uow.commit()
