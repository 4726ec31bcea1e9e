"""A wire between two processes that can be slowed, cut, frozen or throttled while it is in use."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

CHUNK_BYTES = 64 * 1024
CLOSED_WITHIN_S = 5.0
"""When one end has hung up, the other may say this long what it still has to say."""

Target = Path | int
"""A Unix socket, or a port of loopback."""


@dataclass(slots=True)
class Wire:
    """What is wrong with the wire now; changes hold at once, for open connections too."""

    delay_s: float = 0.0
    """What each piece waits, in both directions together."""
    bytes_per_s: int = 0
    """What passes from the far end in a second; 0: no limit."""
    is_dead: bool = False
    """Nothing passes, and nobody is told: a blackhole."""
    is_half_open: bool = False
    """What is sent arrives, and no answer ever comes back."""
    resets_on: bytes = b""
    """Cut the connection when these bytes are about to be sent, right after they were."""
    is_refusing: bool = False
    """New connections are closed at once."""
    resets_left: int = 0
    resets_done: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Proxy:
    """Carries bytes from a port of its own to the first of its targets that answers, each in turn."""

    def __init__(self, *targets: Target) -> None:
        self.targets: list[Target] = list(targets)
        self.wire = Wire()
        self.port = 0
        self.opened = 0
        self._turns = count()
        self._writers: set[asyncio.StreamWriter] = set()
        self._carrying: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator["Proxy"]:
        """Listen while the block runs."""
        server = await asyncio.start_server(self._carry, "127.0.0.1", port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.heal()
            self.cut()
            if self._carrying:
                await asyncio.wait(self._carrying)

    def heal(self) -> None:
        """Make the wire whole; connections that were frozen go on."""
        old, self.wire = self.wire, Wire()
        self.wire.resets_done = old.resets_done
        old.is_dead = old.is_half_open = False
        old.changed.set()

    def cut(self) -> None:
        """Reset every connection."""
        for writer in list(self._writers):
            _reset(writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is carried by a task"
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)
        self.opened += 1
        far = None if self.wire.is_refusing else await self._connect()
        if far is None:
            _reset(writer)
            return
        far_reader, far_writer = far
        ends = {writer, far_writer}
        self._writers |= ends
        there = asyncio.create_task(self._pipe(reader, far_writer, writer, is_answer=False))
        back = asyncio.create_task(self._pipe(far_reader, writer, far_writer, is_answer=True))
        await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({there, back}, timeout=CLOSED_WITHIN_S)
        for pipe in (there, back):
            pipe.cancel()
        await asyncio.wait({there, back})
        self._writers -= ends
        for end in ends:
            end.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        first = next(self._turns)
        targets: Sequence[Target] = self.targets
        for number in range(len(targets)):
            target = targets[(first + number) % len(targets)]
            with contextlib.suppress(OSError):
                if isinstance(target, int):
                    return await asyncio.open_connection("127.0.0.1", target)
                return await asyncio.open_unix_connection(str(target))
        return None

    async def _pipe(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        other: asyncio.StreamWriter,
        *,
        is_answer: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(CHUNK_BYTES):
                wire = self.wire
                if wire.delay_s:
                    await asyncio.sleep(wire.delay_s / 2)
                while wire.is_dead or (wire.is_half_open and is_answer):
                    await wire.changed.wait()
                    wire = self.wire
                if wire.bytes_per_s and is_answer:
                    await self._trickle(data, sink)
                    continue
                sink.write(data)
                await sink.drain()
                if wire.resets_on and wire.resets_left and not is_answer and wire.resets_on in data:
                    wire.resets_left -= 1
                    wire.resets_done += 1
                    _reset(other)
                    sink.close()  # politely, so that what was sent is read
                    return
            if sink.can_write_eof():
                sink.write_eof()

    async def _trickle(self, data: bytes, sink: asyncio.StreamWriter) -> None:
        """Pass on so many bytes a second, for as long as the wire is slow."""
        rest = data
        while rest and self.wire.bytes_per_s:
            sink.write(rest[: self.wire.bytes_per_s])
            rest = rest[self.wire.bytes_per_s :]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.wire.changed.wait()
        sink.write(rest)
        await sink.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with RST, as a crash or a firewall does."""
    found = writer.get_extra_info("socket")
    if found is not None and found.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    writer.transport.abort()
