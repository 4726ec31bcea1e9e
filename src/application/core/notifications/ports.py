"""What handlers of events write to when somebody is to be told."""

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from application.core.kernel.mail import Mail, MailQueue, MailsUnitOfWork
from application.core.kernel.ports import Delivery, UnitOfWork
from domain.core.kernel.ids import AccountId
from domain.core.notifications.notice import Category, Channels, Notice

__all__ = ["Mail", "MailQueue", "MailsUnitOfWork", "Notices", "NoticesUnitOfWork", "Preferences", "SentReminders"]


class Notices(Protocol):
    """What people are told. Promises (tests/contract/core/notices.py):

    - at commit each notice gets its person's next number, without gaps, also when many transactions write at once;
    - one notice per event and person: the same event told twice is told once (notifications.from_outbox);
    - whether it is also mailed is decided then, by the person's preferences; the mail is queued in the same
      transaction, to the address the person has verified.
    """

    def add(self, delivery: Delivery, *notices: Notice) -> None:
        """Tell people about the event that is being delivered."""
        ...

    async def mark_read(self, recipient: AccountId, notice_id: UUID) -> int:
        """Mark one of a person's notices as read and return how many are unread. Raises NotFound."""
        ...

    async def mark_all_read(self, recipient: AccountId) -> int:
        """Mark all of a person's notices as read and return how many are unread."""
        ...


class Preferences(Protocol):
    """Which channels people chose. Promises: `of` answers every category, with the default where nothing was chosen."""

    async def of(self, account_id: AccountId) -> Mapping[Category, Channels]:
        """Return a person's channels."""
        ...

    def choose(self, account_id: AccountId, chosen: Mapping[Category, Channels]) -> None:
        """Set the channels of some categories."""
        ...


class SentReminders(Protocol):
    """Which reminders were sent. Promises (tests/contract/core/reminders.py): a key is new once."""

    async def is_new(self, key: str) -> bool:
        """Remember a key and tell whether it was new."""
        ...


class NoticesUnitOfWork(UnitOfWork, Protocol):
    """A transaction that can tell people something."""

    @property
    def notices(self) -> Notices: ...

    @property
    def notice_preferences(self) -> Preferences: ...

    @property
    def reminders(self) -> SentReminders: ...
