"""The port through which mail leaves."""

from dataclasses import dataclass
from typing import Protocol

from domain.core.kernel.errors import DomainError


class MailRefused(DomainError):
    """The mail server will never take this message."""

    code = "notifications.mail_refused"


class MailUnavailable(DomainError):
    """The mail server cannot be reached now."""

    code = "notifications.mail_unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One plain-text mail to one address. `message_id` stays the same when a mail is sent again."""

    message_id: str
    to: str
    subject: str
    text: str


class Mailer(Protocol):
    """Sends mail. Promises (tests/contract/core/mailer.py):

    - returning means that a server has taken the mail over;
    - MailRefused is final for this mail, MailUnavailable is worth another try; nothing else is raised;
    - line breaks in a subject or an address cannot add headers.
    """

    async def send(self, mail: Mail) -> None:
        """Hand a mail over. Raises MailRefused, MailUnavailable."""
        ...
