"""A form under an Idempotency-Key is put aside before it is carried out; nobody's disk is filled by strangers so."""

from collections.abc import AsyncIterator

import pytest

from tests.e2e.market import Market

HEAD = (
    b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nAn essay\r\n'
    b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.pdf"\r\n\r\n%PDF-1.4\n'
)
PIECE = b" " * 64 * 1024
PIECES = 160


@pytest.mark.parametrize(("path", "status"), [("/api/assignments", 401), ("/api/nothing/here", 404)])
async def test_of_a_form_that_a_stranger_sends_under_a_key_nothing_is_put_aside(
    market: Market, path: str, status: int
) -> None:
    sent = 0

    async def form() -> AsyncIterator[bytes]:
        nonlocal sent
        yield HEAD
        for _ in range(PIECES):
            sent += 1
            yield PIECE
        yield b"\r\n--x--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=x", "idempotency-key": "a-stranger"}
    reply = await market.http.post(path, content=form(), headers=headers)
    assert reply.status_code == status
    assert sent <= 2
    assert await market.rows("SELECT 1 FROM receipts") == []
