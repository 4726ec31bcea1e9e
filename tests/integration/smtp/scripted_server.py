"""A real SMTP server that does what a test tells it to."""

import asyncio
import ssl
from collections.abc import Mapping
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern
from types import TracebackType
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session


class ScriptedSmtpServer:
    """Takes mail on a free loopback port. `replies` maps MAIL, RCPT or DATA to another answer than 250.

    The reply `drop` closes the connection instead of answering, `wait` never answers.
    """

    def __init__(
        self,
        replies: Mapping[str, str] | None = None,
        *,
        login: tuple[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        tls_at_once: bool = False,
        smtputf8: bool = True,
    ) -> None:
        self.replies = dict(replies or {})
        self.refused: dict[str, str] = {}
        self.envelopes: list[Envelope] = []
        self.messages: list[EmailMessage] = []
        self.commands: list[str] = []
        self.port = 0
        self._login = login
        self._tls = tls
        self._tls_at_once = tls_at_once
        self._smtputf8 = smtputf8
        self._server: asyncio.Server | None = None
        self._sessions: list[SMTP] = []

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        tls = self._tls if self._tls_at_once else None
        self._server = await loop.create_server(self._session, "127.0.0.1", self.port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for session in self._sessions:
            if session.transport is not None:
                session.transport.close()
        await self._server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _session(self) -> SMTP:
        options: dict[str, Any] = {}
        if self._login is not None:
            options = {
                "authenticator": self._authenticated,
                "auth_required": True,
                "auth_require_tls": not self._tls_at_once,
            }
        session = SMTP(
            self,
            enable_SMTPUTF8=self._smtputf8,
            hostname="mail.example.test",
            tls_context=None if self._tls_at_once else self._tls,
            loop=asyncio.get_running_loop(),
            **options,
        )
        self._sessions.append(session)
        return session

    def _authenticated(self, _server: SMTP, _session: Session, _envelope: Envelope, _way: str, data: Any) -> AuthResult:
        is_right = (data.login.decode(), data.password.decode()) == self._login
        return AuthResult(success=is_right, handled=False)

    async def _reply(self, server: SMTP, command: str) -> str | None:
        self.commands.append(command)
        reply = self.replies.get(command)
        if reply == "drop":
            assert server.transport is not None
            server.transport.close()
        if reply == "wait":
            await asyncio.Event().wait()
        return reply

    async def handle_MAIL(  # noqa: N802 - aiosmtpd looks for these names
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = await self._reply(server, "MAIL")
        if reply is not None:
            return reply
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        reply = await self._reply(server, "RCPT") or self.refused.get(address)
        if reply is not None:
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        reply = await self._reply(server, "DATA")
        if reply is not None:
            return reply
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=modern)
        assert isinstance(message, EmailMessage)
        self.envelopes.append(envelope)
        self.messages.append(message)
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802
        return await self._reply(server, "QUIT") or "221 Bye"
