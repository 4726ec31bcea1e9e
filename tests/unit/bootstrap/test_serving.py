"""What one turn of the loop writes leaves in one piece."""

import asyncio
from typing import Any, cast

from interface.bootstrap.serving import GATHERED_BYTES_MAX, Gathering


class WrittenTransport:
    """Keeps what it is given, piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def close(self) -> None:
        self.pieces.append(b"closed")

    def is_closing(self) -> bool:
        return b"closed" in self.pieces

    def get_extra_info(self, name: str) -> str:
        return f"the {name}"


def _gathering() -> tuple[Any, WrittenTransport]:
    transport = WrittenTransport()
    return Gathering(cast("asyncio.Transport", transport), asyncio.get_running_loop()), transport


async def test_head_and_body_leave_together_and_the_next_reply_apart() -> None:
    gathering, transport = _gathering()
    gathering.write(b"head ")
    gathering.write(b"body")
    assert transport.pieces == []
    await asyncio.sleep(0)
    gathering.write(b"next")
    await asyncio.sleep(0)
    assert transport.pieces == [b"head body", b"next"]


async def test_much_leaves_at_once_so_that_a_slow_reader_is_noticed() -> None:
    gathering, transport = _gathering()
    large = b"x" * GATHERED_BYTES_MAX
    gathering.write(b"head")
    gathering.write(large)
    assert transport.pieces == [b"head" + large]
    await asyncio.sleep(0)
    assert len(transport.pieces) == 1


async def test_closing_sends_what_was_written_first() -> None:
    gathering, transport = _gathering()
    gathering.write(b"last")
    gathering.close()
    await asyncio.sleep(0)
    assert transport.pieces == [b"last", b"closed"]
    assert gathering.is_closing()


async def test_everything_else_is_asked_of_the_connection() -> None:
    gathering, _ = _gathering()
    assert gathering.get_extra_info("peername") == "the peername"
