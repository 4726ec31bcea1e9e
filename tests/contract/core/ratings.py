"""What every store of points promises."""

from collections.abc import Callable
from uuid import UUID

import pytest

from application.core.reputation.ports import ReputationUnitOfWork
from domain.core.kernel.ids import AccountId
from domain.core.reputation.points import PointsEntry, PointsGivenBefore

RatingUnits = Callable[[], ReputationUnitOfWork]
ADA = AccountId(UUID(int=0xADA))


async def add(units: RatingUnits, points: int, reason: str) -> PointsEntry:
    async with units() as uow:
        entry = (await uow.ratings.get(ADA)).add(points, reason)
        uow.ratings.add(entry)
        await uow.commit()
    return entry


async def points(units: RatingUnits) -> int:
    async with units() as uow:
        return (await uow.ratings.get(ADA)).points


class RatingsContract:
    async def test_a_rating_begins_with_no_points(self, unit_of_work: RatingUnits) -> None:
        assert await points(unit_of_work) == 0

    async def test_points_add_up(self, unit_of_work: RatingUnits) -> None:
        await add(unit_of_work, 5, "task:1:approved")
        await add(unit_of_work, 5, "task:2:approved")
        assert await points(unit_of_work) == 10

    async def test_a_penalty_takes_at_most_what_is_there(self, unit_of_work: RatingUnits) -> None:
        await add(unit_of_work, 3, "task:1:approved")
        assert (await add(unit_of_work, -5, "claim:1:timed_out")).points == -3
        assert await points(unit_of_work) == 0

    async def test_a_reason_counts_once(self, unit_of_work: RatingUnits) -> None:
        await add(unit_of_work, 5, "task:1:approved")
        with pytest.raises(PointsGivenBefore):
            await add(unit_of_work, 5, "task:1:approved")
        assert await points(unit_of_work) == 5

    async def test_without_commit_nothing_was_given(self, unit_of_work: RatingUnits) -> None:
        async with unit_of_work() as uow:
            uow.ratings.add((await uow.ratings.get(ADA)).add(5, "task:1:approved"))
        assert await points(unit_of_work) == 0
