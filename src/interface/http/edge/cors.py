"""Which browser front ends may call."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from interface.http.edge.sending import refuse_socket, send_body
from interface.http.edge.wire_types import App, Message, Receive, Scope, Send

PREFLIGHT_LIFE_S = 600
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key, X-Request-ID, traceparent"
EXPOSED_HEADERS = "Idempotency-Replayed, Retry-After, X-Request-ID, Content-Disposition"
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Cors:
    """Answers preflights and names the origin in replies. Credentials are headers here, never cookies.

    `allow_local` also lets front ends on a developer's machine in, on any port.
    """

    def __init__(self, app: App, *, allowed_origins: Iterable[str], allow_local: bool = False) -> None:
        self._app = app
        self._allowed = frozenset(origin.rstrip("/") for origin in allowed_origins)
        self._allow_local = allow_local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, or pass a request on and mark its reply; refuse a socket to other front ends."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        if origin is None:
            await self._app(scope, receive, send)
            return
        is_allowed = self._allows(origin.decode("latin-1"))
        if scope["type"] == "websocket":  # browsers ask nobody before they open one, so we have to look
            if is_allowed:
                await self._app(scope, receive, send)
            else:
                await refuse_socket(send)
            return
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await send_body(
                send, 204, b"", self._preflight(origin.decode("latin-1")) if is_allowed else {"Vary": "Origin"}
            )
            return

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._marks(origin, is_allowed)]
            await send(message)

        await self._app(scope, receive, send_marked)

    def _allows(self, origin: str) -> bool:
        if origin in self._allowed:
            return True
        if not self._allow_local:
            return False
        try:
            return urlsplit(origin).hostname in LOCAL_NAMES
        except ValueError:
            return False

    def _marks(self, origin: bytes, is_allowed: bool) -> list[tuple[bytes, bytes]]:
        vary: list[Any] = [(b"vary", b"Origin")]
        if not is_allowed:
            return vary
        exposed = EXPOSED_HEADERS.encode()
        return [*vary, (b"access-control-allow-origin", origin), (b"access-control-expose-headers", exposed)]

    def _preflight(self, origin: str) -> dict[str, str]:
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": REQUEST_HEADERS,
            "Access-Control-Max-Age": str(PREFLIGHT_LIFE_S),
            "Vary": "Origin",
        }
