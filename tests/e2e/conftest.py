"""The whole server, for tests that drive it over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.market import Market, open_market


@pytest.fixture
async def market(database_url: str, tmp_path: Path) -> AsyncIterator[Market]:
    """Give the test a server of its own."""
    async with open_market(database_url, tmp_path) as opened:
        yield opened
