"""The port through which mail leaves."""

from typing import Protocol

from application.core.kernel.mail import Mail
from domain.core.kernel.errors import DomainError

__all__ = ["Mail", "MailRefused", "MailUnavailable", "Mailer"]


class MailRefused(DomainError):
    """The mail server will never take this message."""

    code = "notifications.mail_refused"


class MailUnavailable(DomainError):
    """The mail server cannot be reached now."""

    code = "notifications.mail_unavailable"


class Mailer(Protocol):
    """Sends mail. Promises (tests/contract/core/mailer.py):

    - returning means that a server has taken the mail over;
    - MailRefused is final for this mail, MailUnavailable is worth another try; nothing else is raised;
    - line breaks in a subject or an address cannot add headers.
    """

    async def send(self, mail: Mail) -> None:
        """Hand a mail over. Raises MailRefused, MailUnavailable."""
        ...
