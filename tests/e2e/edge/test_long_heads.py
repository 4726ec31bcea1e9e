"""A head without end is cut off, by whatever it is made long; what ends in time is answered."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from interface.bootstrap.serving import HEAD_BYTES_MAX
from tests.e2e.edge.served import Served, read_reply, served
from tests.e2e.market import Market

PIECE = 16 * 1024
START = b"GET /health/live HTTP/1.1\r\nhost: soko.test\r\n"


@pytest.fixture
async def server(market: Market) -> AsyncIterator[Served]:
    async with served(market) as opened:
        yield opened


async def bytes_taken(server: Served, start: bytes, piece: bytes) -> int:
    """Send a start, then the piece again and again; return how many bytes went out before the server hung up."""
    reader, writer = await server.connect()
    writer.write(start)
    hung_up = asyncio.ensure_future(reader.read())
    sent = 0
    try:
        while not hung_up.done() and sent < 64 * HEAD_BYTES_MAX:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
            await asyncio.sleep(0)
        await asyncio.wait_for(hung_up, 5)
    except ConnectionError:
        pass
    finally:
        hung_up.cancel()
        writer.close()
    return sent


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (START + b"x: ", b"a" * PIECE),
        (START, b"x: a\r\n" * (PIECE // 6)),
        (b"GET /", b"a" * PIECE),
        (b"POST /health/live HTTP/1.1\r\nhost: soko.test\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: ", b"a" * PIECE),
    ],
)
async def test_a_head_without_end_is_cut_off(server: Served, start: bytes, piece: bytes) -> None:
    assert await bytes_taken(server, start, piece) < 64 * HEAD_BYTES_MAX
    assert (await server.send(START + b"\r\n")).status == 200


async def test_a_long_head_and_a_long_body_in_small_pieces_are_answered(server: Served) -> None:
    reader, writer = await server.connect()
    writer.write(START + b"x: " + b"a" * PIECE + b"\r\n\r\n")
    assert (await read_reply(reader)).status == 200
    writer.write(
        b"POST /api/auth/login HTTP/1.1\r\nhost: soko.test\r\ncontent-length: %d\r\n\r\n" % (8 * HEAD_BYTES_MAX)
    )
    for _ in range(8 * HEAD_BYTES_MAX // PIECE):
        writer.write(b" " * PIECE)
        await writer.drain()
    assert (await read_reply(reader)).status == 400  # read to its end: blanks are no JSON
    writer.close()
