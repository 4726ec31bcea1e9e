import pytest

from tests.fakes.assignments.market import Market


@pytest.fixture
def market() -> Market:
    return Market()
