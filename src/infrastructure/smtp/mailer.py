"""Mail over SMTP, one connection a mail."""

import asyncio
import hashlib
import re
import ssl
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, parseaddr
from typing import Literal

from aiosmtplib import SMTP
from aiosmtplib.errors import (
    SMTPConnectError,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPSenderRefused,
)

from application.core.kernel.ports import Clock
from application.core.notifications.mailer import Mail, MailRefused, MailUnavailable

TlsMode = Literal["none", "starttls", "tls"]

TIMEOUT_S = 10.0
TOTAL_TIMEOUTS = 3
"""A server that answers each step just in time may hold one mail for three timeouts, not for ever."""
QUIT_TIMEOUT_S = 2.0
LOCAL_PART_BYTES_MAX, ADDRESS_BYTES_MAX = 64, 254
MESSAGE_ID_LENGTH_MAX = 200
PERMANENT_MIN = 500

_OURS_TO_MEND = frozenset({530, 534, 535, 538})
"""Refusals of our credentials. They are permanent for the server and mended by the operator, so the mail is kept."""
_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\\\"]+@[^\s@<>()\[\],;:\\\"]+")
_DOT_ATOM = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_ENHANCED_CODE = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")


class SmtpMailer:
    """Hands mail to one server. `sender` is the From header, such as `Soko <no-reply@soko.example>`.

    `tls` is `tls` from the first byte (port 465), `starttls` (587; a server that does not offer it gets no mail) or
    `none`, which takes no password. Raises ValueError for a setting that cannot work.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        host: str,
        port: int,
        sender: str,
        tls: TlsMode = "starttls",
        username: str | None = None,
        password: str | None = None,
        timeout_s: float = TIMEOUT_S,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        name, address = parseaddr(sender)
        if not _is_address(address):
            raise ValueError(f"not a sender address: {sender!r}")
        if username is not None and tls == "none":
            raise ValueError("a password is not sent over an open line: choose starttls or tls")
        self._clock = clock
        self._from = Address(display_name=_one_line(name), addr_spec=address)
        self._host, self._port, self._tls, self._tls_context = host, port, tls, tls_context
        self._username, self._password = username, password
        self._timeout_s = timeout_s

    async def send(self, mail: Mail) -> None:
        recipient = _recipient(mail.to)
        message = self._message(mail, recipient)
        client = SMTP(
            hostname=self._host,
            port=self._port,
            username=self._username,
            password=self._password,
            local_hostname=self._from.domain,  # not asked of the resolver, which may be slow
            timeout=self._timeout_s,
            use_tls=self._tls == "tls",
            start_tls=self._tls == "starttls",
            tls_context=self._tls_context,
        )
        try:
            with _failures_as_ours(recipient):
                async with asyncio.timeout(TOTAL_TIMEOUTS * self._timeout_s):
                    await client.connect()
                    await client.send_message(message, sender=self._from.addr_spec, recipients=[recipient])
            with suppress(SMTPException, OSError):  # the server has the mail: a bad farewell must not send it twice
                await client.quit(timeout=QUIT_TIMEOUT_S)
        finally:
            client.close()

    def _message(self, mail: Mail, recipient: str) -> EmailMessage:
        message = EmailMessage(policy=SMTP_POLICY)
        message["From"] = self._from
        local, _, domain = recipient.rpartition("@")
        message["To"] = Address(username=local, domain=domain)  # `addr_spec` would refuse a name outside ASCII
        message["Subject"] = _one_line(mail.subject)
        message["Date"] = format_datetime(self._clock.now())
        message["Message-ID"] = f"<{self._message_id(mail.message_id)}>"
        message["Auto-Submitted"] = "auto-generated"  # holiday replies to a machine help nobody
        message.set_content(_printable(mail.text))
        return message

    def _message_id(self, text: str) -> str:
        """Return the id as it is if mail can carry it, else one made of it; the same for the same text."""
        left, _, right = text.partition("@")
        right = right or self._from.domain
        if len(text) > MESSAGE_ID_LENGTH_MAX or not _DOT_ATOM.fullmatch(left) or not _DOT_ATOM.fullmatch(right):
            left, right = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32], self._from.domain
        return f"{left}@{right}"


@contextmanager
def _failures_as_ours(recipient: str) -> Iterator[None]:
    """Turn whatever goes wrong into MailRefused or MailUnavailable.

    The library's errors quote the recipient, so they are not chained: a traceback in a log would show the address.
    """
    try:
        yield
    except SMTPRecipientsRefused as error:
        raise _by_code(error.recipients[0].code, error.recipients[0].message) from None
    except (SMTPSenderRefused, SMTPDataError) as error:
        raise _by_code(error.code, error.message) from None
    except SMTPNotSupported:
        if not recipient.isascii():
            raise MailRefused("the mail server takes ASCII addresses only") from None
        raise MailUnavailable("the mail server lacks what the settings ask for") from None
    except SMTPConnectError:
        raise MailUnavailable("the mail server cannot be reached") from None
    except (SMTPException, OSError, TimeoutError, ValueError) as error:
        raise MailUnavailable(f"the mail server failed: {type(error).__name__}") from None


def _by_code(code: int, text: str) -> MailRefused | MailUnavailable:
    enhanced = _ENHANCED_CODE.search(text)
    said = f"the mail server answered {code}{f' {enhanced[0]}' if enhanced else ''}"
    if code < PERMANENT_MIN or code in _OURS_TO_MEND:
        return MailUnavailable(said)
    return MailRefused(said)


def _recipient(address: str) -> str:
    """Return the one address, its domain in ASCII. Raises MailRefused for anything else, also for a list of two."""
    if not _is_address(address):
        raise MailRefused("not a mail address")
    local, _, domain = address.rpartition("@")
    try:
        return f"{local}@{domain if domain.isascii() else domain.encode('idna').decode()}"
    except UnicodeError:
        raise MailRefused("not a mail domain") from None


def _is_address(text: str) -> bool:
    if any(unicodedata.category(c)[0] in "CZ" for c in text):  # controls, line ends, half surrogates, spaces
        return False
    local, _, _ = text.rpartition("@")
    return (
        _ADDRESS.fullmatch(text) is not None
        and len(local.encode()) <= LOCAL_PART_BYTES_MAX
        and len(text.encode()) <= ADDRESS_BYTES_MAX
        and not any(part == "" for half in text.split("@") for part in half.split("."))
    )


def _one_line(text: str) -> str:
    """Return a header's text: every line end, control and odd space is one space.

    `=?` is taken apart: the standard library decodes an encoded word in a header it is given, line ends and all.
    """
    return " ".join(
        "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text).replace("=?", "= ?").split()
    )


def _printable(text: str) -> str:
    """Return a body without controls other than tab and line ends."""
    return "".join(c for c in text if c in "\t\r\n" or unicodedata.category(c) not in {"Cc", "Cs"})
