import pytest

from tests.contract.core.ratings import RatingsContract, RatingUnits
from tests.fakes.core.store import InMemoryStore


class TestInMemoryRatings(RatingsContract):
    @pytest.fixture
    def unit_of_work(self) -> RatingUnits:
        return InMemoryStore().unit_of_work
