"""Handlers read JSON whatever a body is called, so another name must not open a way past the looks at it."""

from collections.abc import AsyncIterator

import pytest

from tests.e2e.edge.served import RawReply, Served, served
from tests.e2e.market import Market

DEEP = b'{"username": "a", "password": "b", "more": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"
LARGE = b'{"username": "a", "password": "b"' + b" " * (1024 * 1024) + b"}"
NUL = b'{"username": "a", "password": "b\\u0000"}'
FORM = b"multipart/form-data; boundary=x"


@pytest.fixture
async def server(market: Market) -> AsyncIterator[Served]:
    async with served(market) as opened:
        yield opened


async def sent(server: Served, body: bytes, *names: bytes) -> RawReply:
    head = b"POST /api/auth/login HTTP/1.1\r\nhost: soko.test\r\n"
    head += b"".join(b"content-type: %s\r\n" % name for name in names)
    return await server.send(head + b"content-length: %d\r\n\r\n" % len(body) + body)


@pytest.mark.parametrize("names", [[b"application/json"], [b"text/plain"], [b"canary"], [FORM, b"application/json"]])
async def test_json_is_looked_at_under_any_name(server: Served, names: list[bytes]) -> None:
    assert [(await sent(server, body, *names)).status for body in (DEEP, LARGE, NUL)] == [400, 413, 422]


async def test_json_called_a_form_is_not_read(server: Served) -> None:
    assert [(await sent(server, body, FORM)).status for body in (DEEP, LARGE, NUL)] == [415, 415, 415]
