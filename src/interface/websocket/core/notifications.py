"""A person's notifications on a socket, as they are written."""

from collections.abc import Sequence
from typing import Any

from litestar import WebSocket
from litestar.handlers import WebsocketRouteHandler
from msgspec import Struct

from application.core.identity.socket_access import SocketAccess
from application.core.notifications.live_notices import LiveNotices
from application.core.notifications.queries import NoticeView
from interface.http.core.notifications import NoticeBody
from interface.http.wired import Wired
from interface.websocket.connection import CloseCode, Connection, opened


class EstablishedFrame(Struct, frozen=True, tag_field="type", tag="connection_established"):
    """The first frame. Every notification after `seq` follows on this socket."""

    seq: int


class PongFrame(Struct, frozen=True, tag_field="type", tag="pong"):
    """The answer to a ping."""


class NoticeFrame(Struct, frozen=True):
    """One notification, as the list over HTTP shows it. `type` and `event` say what it is about."""

    type: str
    event: object
    seq: int
    notification: NoticeBody

    @classmethod
    def of(cls, notice: NoticeView) -> "NoticeFrame":
        """Write a notification."""
        return cls(notice.frame.value, notice.metadata.get("event"), notice.seq, NoticeBody.of(notice))


class SocketScreen:
    """A person's notifications as frames."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def is_clear(self) -> bool:
        return self._connection.buffer.is_clear

    def show(self, notices: Sequence[NoticeView]) -> None:
        for notice in notices:
            self._connection.say(NoticeFrame.of(notice))

    def sign_out(self) -> None:
        self._connection.close(CloseCode.NOT_SIGNED_IN)


async def notifications_socket(
    socket: WebSocket[Any, Any, Any], live_notices: Wired[LiveNotices], socket_access: Wired[SocketAccess]
) -> None:
    """Serve `/ws/notifications`: `after` is the number of the last notification that the client has."""
    async with opened(socket) as connection:
        claims, screen = await connection.sign_in(socket_access), SocketScreen(connection)
        async with live_notices.line(claims, screen, after=connection.number("after")) as line:
            connection.buffer.when_clear(line.cleared)
            connection.say(EstablishedFrame(line.place.after))
            line.woken()
            async for kind in connection.incoming():
                if kind == "ping":
                    connection.say(PongFrame())


NOTIFICATIONS_SOCKET = WebsocketRouteHandler("/ws/notifications")(notifications_socket)
