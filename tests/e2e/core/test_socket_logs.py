"""Goal A7: what opens a socket stands in no log and in no figure."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import structlog
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from interface.bootstrap.logs import LIBRARY_LEVELS, configure_logs
from interface.bootstrap.settings import read_settings
from tests.e2e.core.sockets import socketed, ticket
from tests.e2e.core.test_revocation import sign_in
from tests.e2e.market import Market

TALKATIVE = ("uvicorn.error", "websockets.server")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Write the log into memory, with all that the libraries of the server would ever say."""
    stream, root, names = (
        io.StringIO(),
        logging.getLogger(),
        [*LIBRARY_LEVELS, "uvicorn.error", "websockets.server", "soko"],
    )
    before = (root.handlers[:], root.level, {name: logging.getLogger(name).level for name in names})
    configure_logs(read_settings({"SOKO_ENVIRONMENT": "test", "SOKO_LOG_FORMAT": "json", "DEBUG": "on"}), stream)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.DEBUG)
    structlog.configure(cache_logger_on_first_use=False)
    yield stream
    structlog.reset_defaults()
    root.handlers[:], root.level = before[0], before[1]
    for name, level in before[2].items():
        logging.getLogger(name).setLevel(level)


async def test_no_token_of_a_socket_is_logged_or_measured(market: Market, log: io.StringIO) -> None:
    """A socket's address and its protocols hold what opens it, and libraries like to write both."""
    await market.register("canarywren", "student")
    pair = await sign_in(market, "canarywren")
    access = pair["access"]
    async with socketed(market) as server:
        held = await ticket(market, pair)
        ways: tuple[tuple[str, dict[str, Any]], ...] = (
            ("connection_established", {"ticket": held}),
            ("connection_established", {"token": access}),
            ("connection_established", {"protocols": [Subprotocol(f"access_token_{access}")]}),
            ("", {"ticket": held}),
            ("", {"token": access, "after": "x"}),
            ("", {"token": f"{access}x"}),
        )
        for expected, way in ways:
            async with server.connect(**way) as client:
                if expected:
                    assert (await client.frame())["type"] == expected
                else:
                    assert await client.closed() in {1008, 4001}
        with pytest.raises(InvalidStatus):
            async with server.connect(token=access, origin="https://evil.example"):
                pass
        async with httpx.AsyncClient(trust_env=False) as http:
            metrics = (await http.get(f"http://127.0.0.1:{server.served.port}/metrics")).text
    said = log.getvalue()
    events = [json.loads(line)["event"] for line in said.splitlines()]
    assert events.count("socket_closed") == len(ways)
    assert events.count("socket_refused") == 1
    for text in (said, metrics):
        assert not any(secret in text for secret in (held, access, access.rpartition(".")[2]))
        assert "?" not in "".join(line for line in text.splitlines() if "/ws/" in line)
