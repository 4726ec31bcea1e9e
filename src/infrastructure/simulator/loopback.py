"""Put a simulated provider on a port of its own, inside the running event loop."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

Scope = dict[str, Any]
Receive = Callable[[], Any]
Send = Callable[[dict[str, Any]], Any]


class Reply(Exception):
    """What is answered; raised from anywhere to end the request. Status 0 cuts the connection without an answer."""

    def __init__(self, status: int, fields: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
        self.headers = {"content-type": "application/json", **(headers or {})}


class LoopbackServer:
    """`async with LoopbackServer(route) as server:` and `route` answers what comes to `server.origin`.

    Port 0 takes a free one. Leaving the block stops within `stop_within_s` seconds.
    """

    def __init__(
        self,
        route: Callable[[Scope, bytes], Awaitable[Reply]],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        stop_within_s: int = 3,
    ) -> None:
        self._route = route
        self._host = host
        self._port = port
        app: Any = self._answer
        config = uvicorn.Config(
            app,
            host=host,
            interface="asgi3",
            http=H11Protocol,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_graceful_shutdown=stop_within_s,
        )
        self._server = _QuietServer(config)
        self._serving: asyncio.Task[None] | None = None

    @property
    def origin(self) -> str:
        """Where it listens."""
        return f"http://{self._host}:{self._port}"

    async def __aenter__(self) -> Self:
        """Listen; a connection made from now on is answered."""
        listener = socket.create_server((self._host, self._port))
        listener.setblocking(False)
        self._port = listener.getsockname()[1]
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening, and let open requests end."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        assert scope["type"] == "http", "the server is configured without lifespan and WebSockets"
        body = bytearray()
        is_complete = False
        while not is_complete:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            is_complete = not message.get("more_body", False)
        try:
            reply = await self._route(scope, bytes(body))
        except Reply as early:
            reply = early
        if reply.status == 0:
            self._drop(scope)
            await receive()  # until the connection is gone, or the server would answer a 500 for us
            return
        headers = [(name.encode(), value.encode()) for name, value in reply.headers.items()]
        headers.append((b"content-length", str(len(reply.body)).encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    def _drop(self, scope: Scope) -> None:
        """Cut the connection on which this request came, without an answer."""
        for connection in list(self._server.server_state.connections):
            if isinstance(connection, H11Protocol) and connection.client == scope["client"]:
                connection.transport.abort()


class _QuietServer(uvicorn.Server):
    """A server that leaves the signals to the program around it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
