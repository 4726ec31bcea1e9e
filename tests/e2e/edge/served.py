"""The server on a real socket, and a client that may send whatever bytes it likes."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from interface.bootstrap.asgi import create_edge
from interface.bootstrap.serving import Serving
from tests.e2e.market import Market


@dataclass(frozen=True, slots=True)
class RawReply:
    """What came back, if anything did. `status` is 0 when the connection was closed without a reply."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Served:
    market: Market
    serving: Serving
    running: "asyncio.Task[None]"
    port: int

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def send(self, raw: bytes) -> RawReply:
        """Send bytes and return the reply; the connection stays open, as uvicorn drops who has closed half of it."""
        reader, writer = await self.connect()
        try:
            writer.write(raw)
            return await read_reply(reader)
        except ConnectionError:
            return RawReply(0, {}, b"")
        finally:
            writer.close()


async def read_reply(reader: asyncio.StreamReader, *, within_s: float = 10) -> RawReply:
    """Read one reply, with a body of the length it names."""
    async with asyncio.timeout(within_s):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return RawReply(0, {}, b"")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        length = int(headers.get("content-length", "0"))
        try:
            body = await reader.readexactly(length)
        except asyncio.IncompleteReadError as error:  # a reply to HEAD names a length and has no body
            body = error.partial
        return RawReply(int(first.split()[1]), headers, body)


@asynccontextmanager
async def served(market: Market, *, send_buffer: int | None = None, **edge: Any) -> AsyncIterator[Served]:
    """Serve a market on a free port of loopback; `edge` is what `create_edge` takes.

    `send_buffer` bounds what the system keeps for a reader that does not read.
    """
    listener = socket.socket()
    if send_buffer is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)  # connections inherit it
    listener.bind(("127.0.0.1", 0))
    listener.setblocking(False)
    serving, started = (
        Serving(create_edge(market.server, address="http://soko.test", **edge), listener),
        asyncio.Event(),
    )
    running = asyncio.create_task(serving.run(on_start=started.set))
    await started.wait()
    try:
        yield Served(market, serving, running, listener.getsockname()[1])
    finally:
        serving.stop()
        await running
        listener.close()
