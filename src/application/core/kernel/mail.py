"""Mail that leaves because of a change: queued in its transaction, sent by a worker after the commit."""

from dataclasses import dataclass
from typing import Protocol

from application.core.kernel.ports import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One plain-text mail to one address. `message_id` stays the same when a mail is sent again."""

    message_id: str
    to: str
    subject: str
    text: str


class MailQueue(Protocol):
    """Mails that wait for their sender. Promises (tests/contract/core/mail_queue.py):

    - a mail is sent only if the transaction that added it commits;
    - the same message id is queued once, however often it is added;
    - the text is forgotten when the mail has been sent or given up.
    """

    def add(self, mail: Mail) -> None:
        """Queue a mail to an address that the caller names, such as one that is still to be verified."""
        ...


class MailsUnitOfWork(UnitOfWork, Protocol):
    """A transaction that can queue mail."""

    @property
    def mails(self) -> MailQueue: ...
