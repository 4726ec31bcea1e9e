"""Mail that goes into a list."""

import re

from application.core.notifications.mailer import Mail, MailRefused, MailUnavailable

_ADDRESS = re.compile(r"[^\s@<>,;:\"]+@[^\s@<>,;:\"]+")


class InMemoryMailer:
    """Takes mail unless told otherwise: `refuse` an address for good, or set `is_down`. `sent` holds what was taken."""

    def __init__(self) -> None:
        self.sent: list[Mail] = []
        self.is_down = False
        self._refused: set[str] = set()

    def refuse(self, address: str) -> None:
        """Refuse every mail to an address from now on."""
        self._refused.add(address)

    def to(self, address: str) -> list[Mail]:
        """Return what was sent to an address, oldest first."""
        return [mail for mail in self.sent if mail.to == address]

    async def send(self, mail: Mail) -> None:
        if not _ADDRESS.fullmatch(mail.to) or not mail.to.isprintable():
            raise MailRefused("not a mail address")
        if self.is_down:
            raise MailUnavailable
        if mail.to in self._refused:
            raise MailRefused
        self.sent.append(
            Mail(message_id=mail.message_id, to=mail.to, subject=" ".join(mail.subject.split()), text=mail.text)
        )
