"""Serve an application with uvicorn, on one socket, until told to stop."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from interface.bootstrap.settings import Settings, SettingsRefused

KEEP_ALIVE_S = 20
GRACEFUL_STOP_S = 15
"""Requests in progress may take this long after a stop; a half-sent body must not hold the process for ever."""

LAST_REQUESTS_S = 1.0
"""Once no new connection is taken, those that are open may send a last request for so long.

Each reply from then on asks the client to connect anew. Closed at once, a connection would meet the next request of a
client who cannot know yet, and who must not send it a second time on his own.
"""

BACKLOG = 1024

HEAD_BYTES_MAX = 64 * 1024
"""Request line and headers, or trailers; some eight times the longest that is ours."""

LEFT_OVER_BYTES_MAX = 256 * 1024
"""Of a body that was answered before its end. A little is read, so that who sent slightly too much keeps his connection
and is sure to read why."""

GATHERED_BYTES_MAX = 64 * 1024

FRAME_BYTES_MAX = 64 * 1024
"""A longer message on a socket closes it with 1009."""

CLOSED_WITHIN_S = 2.0
"""A socket that was closed, and whose other end takes nothing any more, is cut off after this time."""

_SILENT = logging.getLogger("soko.websockets")
_SILENT.setLevel(logging.CRITICAL + 1)

ACCEPTED_AT_ONCE = 16
"""So many new connections are taken in one turn of the loop: uvloop takes one from each listening socket that it has.

With one, a busy server takes 200 connections a second, and of a crowd the last to come wait for seconds, also those who
are refused then.
"""

COLLECTED_AFTER = 10_000
"""Objects made and not freed before the collector looks for rings among them."""


def bind(settings: Settings, setting: str = "SOKO_PORT") -> socket.socket:
    """Take the port that `setting` names, before anything else is started. Raises SettingsRefused."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise SettingsRefused(
            f"{setting}: cannot listen on {settings.host}:{settings.port} ({error.strerror}); name another port"
        ) from error
    listener.setblocking(False)
    return listener


class Serving:
    """One uvicorn on one socket; `stop` ends it gracefully, a second `stop` at once."""

    def __init__(self, app: Any, listener: socket.socket) -> None:
        self._leaving = asyncio.Event()
        config = uvicorn.Config(
            app,
            loop="none",  # the command line has chosen uvloop already
            http=cast("Any", partial(_Protocol, leaving=self._leaving)),
            ws=_SocketProtocol,
            ws_max_size=FRAME_BYTES_MAX,
            ws_per_message_deflate=False,  # some 40 KiB of memory for each socket, for frames of a few hundred bytes
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # the edge decides whom to believe
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACEFUL_STOP_S,
        )
        self._server = _QuietServer(config, self._leaving)
        self._listener = listener

    async def run(self, *, on_start: Callable[[], None] | None = None) -> None:
        """Serve until stopped; `on_start` is called once connections are answered."""
        self._server.on_start = on_start
        again = (self._listener.dup() for _ in range(ACCEPTED_AT_ONCE - 1))
        await self._server.serve(sockets=[self._listener, *again])

    def let_go(self) -> None:
        """Go on, but ask whoever is answered to connect anew for his next request."""
        self._leaving.set()

    def stop(self) -> None:
        """Answer what is in progress, then end."""
        if self._server.should_exit:
            self._server.force_exit = True
        self._server.should_exit = True


def leave_alone_what_stays() -> None:
    """Keep the garbage collector from looking at what was made at start, again and again for as long as we serve.

    That is some 170,000 objects, and a page of a list makes enough new ones to have it look once. Measured: a tenth of
    the CPU of a page, and of an approval.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER, 20, 20)


@contextlib.contextmanager
def stopping_on_signals(stop: Any) -> Iterator[None]:
    """Call `stop` for every Ctrl-C and SIGTERM inside the block."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


class Gathering:
    """A transport that sends in one go what is written in one turn of the loop.

    uvicorn writes head and body of a reply apart: a system call and a packet more for each of them.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []
        self._size = 0
        self._has_ended = False
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Write soon; at once where much has come together, so that a slow reader holds up who writes."""
        if self._has_ended:
            return
        if not self._written:
            self._loop.call_soon(self._flush)
        self._written.append(data)
        self._size += len(data)
        if self._size > GATHERED_BYTES_MAX:
            self._flush()

    def write_eof(self) -> None:
        """Send what is written, and nothing after it."""
        self._flush()
        self._has_ended = True
        self._transport.write_eof()

    def close(self) -> None:
        """Send what is written, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        written, self._written, self._size = self._written, [], 0
        if written:
            self._transport.write(b"".join(written))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _BoundedHeads(HttpToolsProtocol):
    """HTTP by httptools, which by itself keeps the head of a request however long it gets, and reads a body to its end
    after it was refused.

    Counted are bytes in a row that complete nothing: neither a head, nor a piece of a body, nor a request; and bytes of
    a body that was answered already.
    """

    _waiting_bytes = 0
    _has_advanced = False
    _left_over_bytes = 0
    _has_hung_up = False

    def data_received(self, data: bytes) -> None:
        """Read what arrived, and hang up on a head without end."""
        self._has_advanced = False
        super().data_received(data)
        self._waiting_bytes = 0 if self._has_advanced else self._waiting_bytes + len(data)
        if self._waiting_bytes <= HEAD_BYTES_MAX or self.transport.is_closing():
            return
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None or cycle.response_complete:
            self.send_400_response("The head of the request is too large.")
        else:  # a reply may be on its way already
            self.transport.close()

    def on_headers_complete(self) -> None:
        """Note that the head has ended."""
        self._has_advanced = True
        self._left_over_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Note that the body goes on, and hang up when it does so for long after its answer."""
        self._has_advanced = True
        super().on_body(body)
        if self.cycle.response_complete:
            self._left_over_bytes += len(body)
            if self._left_over_bytes > LEFT_OVER_BYTES_MAX and not self._has_hung_up:
                self._hang_up()

    def on_message_complete(self) -> None:
        """Note that the request has ended."""
        self._has_advanced = True
        super().on_message_complete()

    def _hang_up(self) -> None:
        """Read no more and write no more, then close: at once, a close would lose the reply on its way."""
        self._has_hung_up = True
        self.flow.pause_reading()
        self.transport.write_eof()
        self.loop.call_later(CLOSED_WITHIN_S, self.transport.close)


class _Protocol(_BoundedHeads):
    """HTTP/1.1 over a gathering transport, with heads that end, and connections that are let go."""

    def __init__(self, *arguments: Any, leaving: asyncio.Event, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._leaving = leaving

    def on_headers_complete(self) -> None:
        """Answer as the last on this connection once we are leaving."""
        super().on_headers_complete()
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and self._leaving.is_set():
            cycle.keep_alive = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take a new connection."""
        super().connection_made(cast("asyncio.Transport", Gathering(transport, self.loop)))


class _SocketProtocol(WebSocketsSansIOProtocol):
    """WebSocket by websockets, which by itself waits without end for a reader that has stopped, and logs addresses."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.logger = self.conn.logger = _SILENT  # they write the address with its query, and there are tokens in it

    async def send(self, message: Any) -> None:
        """Send a message once the other end takes it; the closing one at once."""
        if message["type"] == "websocket.close":
            self.writable.set()
            self._cut_off_late()
        await super().send(message)

    def shutdown(self) -> None:
        """Close the socket with 1012."""
        super().shutdown()
        self._cut_off_late()

    def keepalive_timeout(self) -> None:
        """Close a socket whose other end does not answer."""
        super().keepalive_timeout()
        self._cut_off_late()

    def _cut_off_late(self) -> None:
        # closing waits until what was written is sent, which may be never
        self.loop.call_later(CLOSED_WITHIN_S, self.transport.abort)


class _QuietServer(uvicorn.Server):
    """A server that leaves the signals to the program around it, and says when it is ready."""

    on_start: Callable[[], None] | None = None

    def __init__(self, config: uvicorn.Config, leaving: asyncio.Event) -> None:
        super().__init__(config)
        self._leaving = leaving

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        if self.started and self.on_start is not None:
            self.on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, answer the last requests on those that are open, then close them."""
        self._leaving.set()
        for server in self.servers:
            server.close()
        for one in sockets or ():
            one.close()
        loop = asyncio.get_running_loop()
        end = loop.time() + LAST_REQUESTS_S
        # uvicorn says nothing when a connection ends
        while self._has_http() and not self.force_exit and loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    def _has_http(self) -> bool:
        return any(isinstance(one, HttpToolsProtocol) for one in self.server_state.connections)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
