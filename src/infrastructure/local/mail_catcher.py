"""A mail server for developers: it takes every mail, keeps the last ones in memory and shows them on a page."""

import asyncio
import json
import logging
import re
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern
from html import escape
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

from aiosmtpd.smtp import SMTP, Envelope, Session

from application.core.kernel.ports import Clock

KEPT_MAX = 200
MAIL_BYTES_MAX = 2 * 1024 * 1024
REFRESH_S = 5

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_LINK = re.compile(r"(https?://[^\s<>\"']+)")
_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.4rem;border-bottom:1px solid #ccc}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f4f4f4;padding:1rem}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaughtMail:
    """One mail as it was received. `number` counts from 1 since the start."""

    number: int
    sender: str
    recipients: tuple[str, ...]
    subject: str
    text: str
    message_id: str
    received_at: datetime

    def as_json(self) -> dict[str, object]:
        """Return the mail as `/api/mails` shows it."""
        return {
            "id": self.number,
            "from": self.sender,
            "to": list(self.recipients),
            "subject": self.subject,
            "text": self.text,
            "message_id": self.message_id,
            "received_at": self.received_at.isoformat(),
        }


class MailCatcher:
    """Catches mail on a loopback port inside the running event loop; port 0 takes a free one.

    `page` is an ASGI application for a port of its own: `/` lists the mails, `/mails/<id>` shows one, and
    `/api/mails?to=<address>` gives them as JSON, newest first. Mails hold sign-in codes, so both listen to this machine
    only. Raises ValueError for a host that is not loopback.
    """

    def __init__(self, *, clock: Clock, host: str = "127.0.0.1", port: int = 1025, kept_max: int = KEPT_MAX) -> None:
        if host != "localhost" and not ip_address(host).is_loopback:
            raise ValueError(f"the mail catcher listens to this machine only, not on {host}")
        self._clock = clock
        self._host = host
        self._port = port
        self._mails: deque[CaughtMail] = deque(maxlen=kept_max)
        self._caught = 0
        self._server: asyncio.Server | None = None
        self._open_sessions: set[SMTP] = set()
        self.page = MailPage(self)

    @property
    def port(self) -> int:
        """The port that mail is taken on."""
        assert self._server is not None, "started first"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self) -> None:
        """Begin to take mail. Raises OSError when the port is taken."""
        logging.getLogger("mail.log").setLevel(logging.WARNING)  # it would write every line of every session
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._session, self._host, self._port)

    async def stop(self) -> None:
        """Close the port and the open sessions; what was caught stays."""
        if self._server is not None:
            self._server.close()
            for session in tuple(self._open_sessions):
                if session.transport is not None:
                    session.transport.close()
            await self._server.wait_closed()
            self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def mails(self, to: str | None = None) -> list[CaughtMail]:
        """Return what was caught, newest first; with `to` only what was sent to that address, in any case."""
        newest_first = reversed(self._mails)
        if to is None:
            return list(newest_first)
        wanted = to.casefold()
        return [mail for mail in newest_first if wanted in (each.casefold() for each in mail.recipients)]

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        """Keep a mail: called by aiosmtpd under this name."""
        self._caught += 1
        assert isinstance(envelope.content, bytes)
        subject, text, message_id = _read(envelope.content)
        self._mails.append(
            CaughtMail(
                number=self._caught,
                sender=envelope.mail_from or "",
                recipients=tuple(envelope.rcpt_tos),
                subject=subject,
                text=text,
                message_id=message_id,
                received_at=self._clock.now(),
            )
        )
        return "250 2.0.0 caught"

    def _session(self) -> SMTP:
        return _TrackedSession(self, self._open_sessions)


class MailPage:
    """The caught mails for a browser and for tests, as an ASGI application.

    An object of its own and not a method: servers take a bound method for ASGI of the second version.
    """

    def __init__(self, catcher: MailCatcher) -> None:
        self._catcher = catcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _stay(receive, send)
        elif scope["type"] == "http":
            status, content_type, body = self._answer(scope)
            headers = [*_HEADERS, (b"content-type", content_type), (b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
        else:
            await send({"type": "websocket.close"})

    def _answer(self, scope: Scope) -> tuple[int, bytes, bytes]:
        path: str = scope["path"]
        if scope["method"] not in {"GET", "HEAD"}:
            return _html(405, "Only reading here", "<p>This page only shows mails.</p>")
        if not _is_local(dict(scope["headers"]).get(b"host", b"").decode("latin-1")):
            # A stranger's page can make a browser resolve his name to this machine; the name then stands in Host.
            return _html(421, "Not here", "<p>Open this page as localhost.</p>")
        if path == "/api/mails":
            to = parse_qs(scope["query_string"].decode("latin-1")).get("to", [None])[0]
            shown = [mail.as_json() for mail in self._catcher.mails(to)]
            return 200, b"application/json", json.dumps({"count": len(shown), "results": shown}).encode()
        if path == "/":
            return _html(200, "Caught mails", self._table(), refresh=True)
        for mail in self._catcher.mails():
            if path == f"/mails/{mail.number}":
                return _html(200, mail.subject or "(no subject)", _shown(mail))
        return _html(404, "Not found", '<p>No such mail, or no longer kept. <a href="/">All mails</a></p>')

    def _table(self) -> str:
        rows = "".join(
            f"<tr><td>{mail.received_at:%Y-%m-%d %H:%M:%S}</td><td>{escape(', '.join(mail.recipients))}</td>"
            f'<td><a href="/mails/{mail.number}">{escape(mail.subject or "(no subject)")}</a></td></tr>'
            for mail in self._catcher.mails()
        )
        return f"<table><tr><th>Received (UTC)</th><th>To</th><th>Subject</th></tr>{rows}</table>"


class _TrackedSession(SMTP):
    """A session that can be found and closed when the catcher stops."""

    def __init__(self, catcher: MailCatcher, sessions: set[SMTP]) -> None:
        super().__init__(
            catcher,
            data_size_limit=MAIL_BYTES_MAX,
            enable_SMTPUTF8=True,
            hostname="localhost",
            ident="Soko mail catcher",
            loop=asyncio.get_running_loop(),
        )
        self._sessions = sessions

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._sessions.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._sessions.discard(self)
        super().connection_lost(error)


async def _stay(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _read(content: bytes) -> tuple[str, str, str]:
    """Return subject, text and Message-ID of a mail, however broken it is."""
    try:
        message = message_from_bytes(content, policy=modern)
        assert isinstance(message, EmailMessage)
        body = message.get_body(("plain", "html"))
        text = body.get_content() if body is not None else ""
        subject, message_id = str(message["subject"] or ""), str(message["message-id"] or "")
    except (LookupError, ValueError, AttributeError, TypeError, AssertionError):
        return "(unreadable mail)", content.decode("utf-8", "replace"), ""
    return subject, text.replace("\r\n", "\n") if isinstance(text, str) else "", message_id


def _is_local(host: str) -> bool:
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return name in {"localhost", "127.0.0.1", "[::1]"}


def _shown(mail: CaughtMail) -> str:
    pieces = _LINK.split(mail.text)
    text = "".join(
        f'<a href="{escape(piece)}" rel="noreferrer">{escape(piece)}</a>' if _LINK.fullmatch(piece) else escape(piece)
        for piece in pieces
    )
    return (
        f'<p><a href="/">All mails</a></p><p>From {escape(mail.sender)} to {escape(", ".join(mail.recipients))},'
        f" {mail.received_at:%Y-%m-%d %H:%M:%S} UTC</p><pre>{text}</pre><p><small>{escape(mail.message_id)}</small></p>"
    )


def _html(status: int, title: str, body: str, *, refresh: bool = False) -> tuple[int, bytes, bytes]:
    again = f'<meta http-equiv="refresh" content="{REFRESH_S}">' if refresh else ""
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8">{again}<title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>{body}</html>"
    )
    return status, b"text/html; charset=utf-8", page.encode("utf-8", "replace")
