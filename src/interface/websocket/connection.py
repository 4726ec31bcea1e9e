"""What all our sockets share: how somebody signs in, how frames leave, and why a socket is closed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import IntEnum
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import structlog
from litestar import WebSocket

from application.core.identity.security import AccessClaims
from application.core.identity.socket_access import SocketAccess
from application.core.kernel.request_context import current_request, enter_request
from domain.core.kernel.errors import NotSignedIn, Unavailable
from interface.websocket.buffer import SendBuffer

TOKEN_PROTOCOL = "access_token_"  # noqa: S105 - a name
"""Browsers cannot send headers with a socket, but they can name protocols: this, and the token after it."""

_log = structlog.get_logger("soko.socket")


class CloseCode(IntEnum):
    """Why we close a socket. 1009 (a frame beyond 64 KiB) and 1012 (restart) are said by the server below us."""

    REFUSED = 1008
    FAILED = 1011
    TRY_AGAIN = 1013
    NOT_SIGNED_IN = 4001
    TOO_SLOW = 4008


class ParameterRefused(Exception):
    """A parameter of the address cannot be used; the message says which, and why."""


class Incoming(msgspec.Struct, frozen=True):
    """What every frame of a client says."""

    type: str


_read = msgspec.json.Decoder(Incoming).decode
_write = msgspec.json.Encoder().encode


class Connection:
    """One socket. Everything that sends returns at once."""

    __slots__ = ("_closing", "_parameters", "_socket", "buffer")

    def __init__(self, socket: WebSocket[Any, Any, Any]) -> None:
        self._socket = socket
        self._closing: asyncio.Task[None] | None = None
        self._parameters = dict(parse_qsl(socket.scope["query_string"].decode("latin-1"), keep_blank_values=True))
        self.buffer = SendBuffer(self._send, too_slow=lambda: self.close(CloseCode.TOO_SLOW))

    async def sign_in(self, access: SocketAccess) -> AccessClaims:
        """Return the access of the other end: by ticket, protocol or token. Raises NotSignedIn, Unavailable."""
        ticket, protocol, token = self._parameters.get("ticket"), self.token_protocol(), self._parameters.get("token")
        if ticket is not None:
            claims = await access.by_ticket(ticket)
        elif protocol is not None:
            claims = access.by_token(protocol.removeprefix(TOKEN_PROTOCOL))
        elif token is not None:
            claims = access.by_token(token)
        else:
            raise NotSignedIn
        self._socket.scope["user"] = access.caller(claims)
        enter_request(current_request().of_account(claims.account_id))
        return claims

    def number(self, name: str) -> int | None:
        """Return a parameter that is a whole number, None if it was not given. Raises ParameterRefused."""
        text = self._parameters.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 15):
            raise ParameterRefused(f"{name} must be a whole number")
        return int(text)

    def say(self, frame: Mapping[str, object] | msgspec.Struct) -> None:
        """Send a frame."""
        self.buffer.put(_write(frame).decode())

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Close the socket; what waits is not sent."""
        if self._closing is None:
            self.buffer.close()
            self._closing = asyncio.create_task(self._close(code, reason))

    async def incoming(self) -> AsyncIterator[str]:
        """Give the type of each frame that arrives, until the socket is closed; what cannot be read is left out."""
        while True:
            message = await self._socket.receive()
            if message["type"] != "websocket.receive":
                return
            try:
                yield _read(message.get("text") or message.get("bytes") or b"").type
            except (msgspec.DecodeError, RecursionError):
                continue

    async def closed(self) -> None:
        """Let go of everything; a closing that was begun is waited for."""
        self.buffer.close()
        if self._closing is not None:
            await asyncio.wait({self._closing})

    def token_protocol(self) -> str | None:
        """Return the protocol that carries a token, if the client named one."""
        named = self._socket.scope.get("subprotocols") or ()
        return next((one for one in named if one.startswith(TOKEN_PROTOCOL)), None)

    async def _send(self, text: str) -> None:
        await self._socket.send({"type": "websocket.send", "text": text, "bytes": None})

    async def _close(self, code: CloseCode, reason: str) -> None:
        try:
            await self._socket.send({"type": "websocket.close", "code": int(code), "reason": reason})
        except Exception:  # it was closed from the other end meanwhile
            _log.debug("closed_before", code=int(code))


@asynccontextmanager
async def opened(socket: WebSocket[Any, Any, Any]) -> AsyncIterator[Connection]:
    """Open a socket, and close it when the block ends; what the block raises becomes the code it is closed with.

    It is opened before anybody is signed in: a browser is told nothing about a socket that was refused.
    """
    connection = Connection(socket)
    await socket.accept(subprotocols=connection.token_protocol())
    try:
        yield connection
    except NotSignedIn:
        connection.close(CloseCode.NOT_SIGNED_IN)
    except Unavailable:
        connection.close(CloseCode.TRY_AGAIN)
    except ParameterRefused as error:
        connection.close(CloseCode.REFUSED, str(error))
    except Exception as error:
        _log.error("socket_failed", exc_info=error)
        connection.close(CloseCode.FAILED)
    finally:
        await connection.closed()
