"""One Valkey for these tests, wiped before each; those that kill servers start their own."""

from collections.abc import Iterator

import pytest

from tests.integration.redis.valkey import Valkey


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    """Give this pytest process one server of its own."""
    with Valkey() as server:
        yield server


@pytest.fixture
def valkey(valkey_server: Valkey) -> Valkey:
    """Give the test a server that runs, takes writes and is empty."""
    valkey_server.start()
    valkey_server.resume()
    valkey_server.empty()
    valkey_server.flush()
    return valkey_server
