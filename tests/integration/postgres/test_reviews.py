"""Reviews on a real PostgreSQL: the contract, and what happens at once."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from tests.contract.core.reviews import ADA, CYD, DESK, ReviewsContract, ReviewUnits, summary, write
from tests.integration.postgres.conftest import PostgresUnits


class TestPostgresReviews(ReviewsContract):
    async def test_of_two_reviews_of_one_deal_at_once_one_is_kept_and_counted(
        self, unit_of_work: PostgresUnits
    ) -> None:
        outcomes = await asyncio.gather(write(unit_of_work, 5), write(unit_of_work, 5), return_exceptions=True)
        assert sorted(type(one).__name__ for one in outcomes) == ["AlreadyReviewed", "Review"]
        assert await summary(unit_of_work) == (5, 1)

    async def test_many_reviews_at_once_add_up_exactly(self, unit_of_work: ReviewUnits) -> None:
        ratings = [1, 2, 3, 4, 5, 5, 4, 3, 2, 1, 3, 5]
        await asyncio.gather(
            *(write(unit_of_work, rating, deal_id=UUID(int=number)) for number, rating in enumerate(ratings))
        )
        assert await summary(unit_of_work) == (sum(ratings), len(ratings))

    async def test_hiding_and_writing_at_once_add_up_exactly(self, unit_of_work: ReviewUnits) -> None:
        reviews = [await write(unit_of_work, 4, deal_id=UUID(int=number)) for number in range(4)]

        async def hide(number: int) -> None:
            async with unit_of_work() as uow:
                await DESK.hide(uow, reviews[number].id)
                await uow.commit()

        await asyncio.gather(
            *(hide(number % 3) for number in range(6)),
            *(write(unit_of_work, 5, deal_id=UUID(int=number), by=CYD) for number in range(4)),
        )
        assert await summary(unit_of_work) == (4 + 4 * 5, 1 + 4)

    @pytest.mark.parametrize(
        ("total", "count"), [(6, 1), (0, 1), (-1, 0)], ids=["above five", "below one", "below nothing"]
    )
    async def test_a_summary_that_no_reviews_can_have_is_not_stored(
        self, unit_of_work: PostgresUnits, total: int, count: int
    ) -> None:
        async with unit_of_work() as uow:
            found = await uow.reviews.summary(ADA, "gigs")
            found.total, found.count = total, count
            with pytest.raises(asyncpg.CheckViolationError):
                await uow.commit()
        assert await summary(unit_of_work) == (0, 0)
