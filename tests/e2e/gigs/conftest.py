"""The gigs market with its people on it."""

import pytest

from tests.e2e.gigs.stage import GigsStage, set_gigs_stage
from tests.e2e.market import Market


@pytest.fixture
async def stage(market: Market) -> GigsStage:
    """Give the test a server of its own with a client, two workers and an administrator."""
    return await set_gigs_stage(market)
