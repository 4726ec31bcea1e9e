"""Reads of what a person was told."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from application.core.kernel.ports import Listing, Page
from domain.core.kernel.ids import AccountId
from domain.core.notifications.notice import Category, Channels, Frame


@dataclass(frozen=True, slots=True)
class NoticeFilter:
    """Which of a person's notices are wanted; `after` is a number: only later ones."""

    only_unread: bool = False
    category: Category | None = None
    after: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """How far somebody has read: up to this number of a person's notices."""

    person: AccountId
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeView:
    """A notice as its recipient reads it."""

    id: UUID
    seq: int
    category: Category
    title: str
    message: str
    link: str | None
    metadata: Mapping[str, object]
    frame: Frame
    is_mailed: bool
    created_at: datetime
    read_at: datetime | None


class NoticeQueries(Protocol):
    """Promises: a person's own notices only, bounded; whoever sees a number sees all notices before it."""

    async def list_of(self, recipient: AccountId, wanted: NoticeFilter, page: Page) -> Listing[NoticeView]:
        """Return a page of a person's notices, newest first. Raises Invalid for a bad cursor."""
        ...

    async def last_numbers(self, people: Collection[AccountId]) -> Mapping[AccountId, int]:
        """Return the number of each person's latest notice, 0 where there is none."""
        ...

    async def following(self, places: Collection[Place], *, each_max: int) -> Mapping[Place, Sequence[NoticeView]]:
        """Return the notices after each place, oldest first; places after which there is none are left out."""
        ...

    async def channels_of(self, account_id: AccountId) -> Mapping[Category, Channels]:
        """Return a person's channels for every category."""
        ...
