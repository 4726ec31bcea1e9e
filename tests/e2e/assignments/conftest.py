"""The market with its people on it."""

import pytest

from tests.e2e.assignments.stage import Stage, set_stage
from tests.e2e.market import Market


@pytest.fixture
async def stage(market: Market) -> Stage:
    """Give the test a server of its own with a student, two writers and an administrator."""
    return await set_stage(market)
