"""What waits to be sent on one socket: bounded, and nobody waits for the other end but the socket itself."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

BUFFER_BYTES_MAX = 1024 * 1024
"""What a socket may hold back, beside the 64 KiB that the transport takes."""

SENT_WITHIN_S = 10.0
"""A reader that takes nothing for so long is too slow, however little waits."""


class SendBuffer:
    """Texts on their way to one socket. `too_slow` is called once, when the other end does not keep up.

    There is a task only while something waits: of most sockets nothing does.
    """

    __slots__ = ("_cleared", "_is_open", "_send", "_sending", "_size", "_texts", "_too_slow")

    def __init__(self, send: Callable[[str], Awaitable[None]], *, too_slow: Callable[[], None]) -> None:
        self._send = send
        self._too_slow = too_slow
        self._cleared: Callable[[], None] | None = None
        self._texts: deque[tuple[str, int]] = deque()
        self._size = 0
        self._sending: asyncio.Task[None] | None = None
        self._is_open = True

    @property
    def is_clear(self) -> bool:
        """Whether nothing waits."""
        return not self._size

    def when_clear(self, cleared: Callable[[], None]) -> None:
        """Have something called whenever nothing waits any more."""
        self._cleared = cleared

    def put(self, text: str) -> None:
        """Send a text, soon and in order; nothing once the buffer has overflowed or was closed."""
        if not self._is_open:
            return
        size = len(text.encode())
        if self._size + size > BUFFER_BYTES_MAX:
            self._overflow()
            return
        self._texts.append((text, size))
        self._size += size
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())

    def close(self) -> None:
        """Forget what waits."""
        self._is_open = False
        self._texts.clear()
        self._size = 0
        if self._sending is not None:
            self._sending.cancel()

    async def _send_all(self) -> None:
        later = asyncio.get_running_loop().call_later
        try:
            while self._texts:
                text, size = self._texts[0]
                waiting = later(SENT_WITHIN_S, self._overflow)
                try:
                    await self._send(text)
                finally:
                    waiting.cancel()
                self._texts.popleft()
                self._size -= size
        except Exception:  # the other end is gone; the socket is told so where it listens
            self.close()
            return
        finally:
            self._sending = None
        if self._cleared is not None:
            self._cleared()

    def _overflow(self) -> None:
        self.close()
        self._too_slow()
