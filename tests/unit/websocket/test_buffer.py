"""What waits for one socket is bounded, and nobody waits for a socket."""

import asyncio

import pytest

from interface.websocket import buffer
from interface.websocket.buffer import BUFFER_BYTES_MAX, SendBuffer


class Reader:
    """The other end: it takes what is sent while `reads` is set."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.got: list[str] = []
        self.said: list[str] = []
        self.buffer = SendBuffer(self._take, too_slow=lambda: self.said.append("too slow"))
        self.buffer.when_clear(lambda: self.said.append("clear"))

    async def _take(self, text: str) -> None:
        await self.reads.wait()
        self.got.append(text)

    async def settle(self) -> None:
        """Let everything run that can."""
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.fixture
async def reader() -> Reader:
    return Reader()


async def test_texts_arrive_in_order_and_then_the_buffer_is_clear(reader: Reader) -> None:
    assert reader.buffer.is_clear
    for number in range(5):
        reader.buffer.put(str(number))
    await reader.settle()
    assert (reader.got, reader.buffer.is_clear, reader.said) == ([], False, [])
    reader.reads.set()
    await reader.settle()
    assert (reader.got, reader.buffer.is_clear, reader.said) == (["0", "1", "2", "3", "4"], True, ["clear"])
    reader.buffer.put("5")
    await reader.settle()
    assert (reader.got[-1], reader.said) == ("5", ["clear", "clear"])


async def test_a_mebibyte_may_wait_and_a_byte_more_is_too_much(reader: Reader) -> None:
    """Counted as it leaves: in bytes, not in characters."""
    quarter = "é" * (BUFFER_BYTES_MAX // 8)
    for _ in range(4):
        reader.buffer.put(quarter)
    await reader.settle()
    assert reader.said == []
    reader.buffer.put("x")
    assert reader.said == ["too slow"]
    reader.buffer.put("x")
    reader.reads.set()
    await reader.settle()
    assert (reader.got, reader.said, reader.buffer.is_clear) == ([], ["too slow"], True)


async def test_a_reader_that_takes_nothing_is_too_slow_however_little_waits(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buffer, "SENT_WITHIN_S", 0.01)
    reader.buffer.put("x")
    async with asyncio.timeout(5):
        while not reader.said:  # noqa: ASYNC110 - the time limit is what is tested
            await asyncio.sleep(0.005)
    reader.buffer.put("y")
    await reader.settle()
    assert (reader.said, reader.got) == (["too slow"], [])


async def test_a_reader_that_is_gone_is_forgotten(reader: Reader) -> None:
    async def broken(_: str) -> None:
        raise ConnectionError

    gone = SendBuffer(broken, too_slow=lambda: reader.said.append("too slow"))
    gone.put("x")
    gone.put("y")
    await reader.settle()
    gone.put("z")
    assert (gone.is_clear, reader.said) == (True, [])


async def test_nothing_leaves_a_closed_buffer(reader: Reader) -> None:
    reader.buffer.put("x")
    await reader.settle()
    reader.buffer.close()
    reader.reads.set()
    reader.buffer.put("y")
    await reader.settle()
    assert (reader.got, reader.said, reader.buffer.is_clear) == ([], [], True)
