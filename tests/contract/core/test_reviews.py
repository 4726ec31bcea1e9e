import pytest

from tests.contract.core.reviews import ReviewsContract, ReviewUnits
from tests.fakes.core.store import InMemoryStore


class TestInMemoryReviews(ReviewsContract):
    @pytest.fixture
    def unit_of_work(self) -> ReviewUnits:
        return InMemoryStore().unit_of_work
