"""Blocks between people."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.core.kernel.errors import Invalid, NotFound
from domain.core.kernel.ids import AccountId


class CannotBlockSelf(Invalid):
    """Nobody can block himself."""

    code = "identity.cannot_block_self"


class NotBlocked(NotFound):
    """This person is not blocked."""

    code = "identity.not_blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One person's wish to have no new dealings with another (identity.block_works_both_ways)."""

    id: UUID
    blocker_id: AccountId
    blocked_id: AccountId
    reason: str
    created_at: datetime

    def __post_init__(self) -> None:
        if self.blocker_id == self.blocked_id:
            raise CannotBlockSelf
