"""What every store of reviews promises."""

from collections.abc import Callable
from uuid import UUID

import pytest

from application.core.reputation.ports import ReputationUnitOfWork
from application.core.reputation.review_desk import ReviewDesk
from domain.core.kernel.ids import AccountId
from domain.core.reputation.review import AlreadyReviewed, RatingSummary, Review, ReviewId, ReviewNotFound
from tests.fakes.core.system import NOON, FixedClock, SequentialIds

ReviewUnits = Callable[[], ReputationUnitOfWork]
ADA, BEN, CYD = (AccountId(UUID(int=number)) for number in (0xADA, 0xBE, 0xC1D))
DEAL, OTHER_DEAL = UUID(int=0xD1), UUID(int=0xD2)
DESK = ReviewDesk(clock=FixedClock(), ids=SequentialIds())


async def write(
    units: ReviewUnits, rating: int, *, deal_id: UUID = DEAL, by: AccountId = BEN, area: str = "gigs"
) -> Review:
    async with units() as uow:
        review = await DESK.write(
            uow, area=area, deal_id=deal_id, reviewer_id=by, person_id=ADA, rating=rating, comment=" fine "
        )
        await uow.commit()
    return review


async def summary(units: ReviewUnits, area: str = "gigs") -> tuple[int, int]:
    async with units() as uow:
        found = await uow.reviews.summary(ADA, area)
        return found.total, found.count


class ReviewsContract:
    async def test_a_review_comes_back_as_it_was_written(self, unit_of_work: ReviewUnits) -> None:
        review = await write(unit_of_work, 4)
        async with unit_of_work() as uow:
            loaded = await uow.reviews.get(review.id)
        assert loaded == review
        assert (loaded.comment, loaded.created_at, loaded.is_hidden) == ("fine", NOON, False)

    async def test_the_summary_begins_empty_and_is_the_exact_sum(self, unit_of_work: ReviewUnits) -> None:
        async with unit_of_work() as uow:
            assert await uow.reviews.summary(ADA, "gigs") == RatingSummary(ADA, "gigs", total=0, count=0)
        await write(unit_of_work, 4)
        await write(unit_of_work, 5, deal_id=OTHER_DEAL)
        assert await summary(unit_of_work) == (9, 2)

    async def test_each_area_has_a_summary_of_its_own(self, unit_of_work: ReviewUnits) -> None:
        await write(unit_of_work, 4)
        await write(unit_of_work, 1, deal_id=OTHER_DEAL, area="timebank")
        assert await summary(unit_of_work) == (4, 1)
        assert await summary(unit_of_work, "timebank") == (1, 1)

    async def test_a_second_review_of_one_deal_is_refused_and_not_counted(self, unit_of_work: ReviewUnits) -> None:
        await write(unit_of_work, 4)
        with pytest.raises(AlreadyReviewed):
            await write(unit_of_work, 1)
        assert await summary(unit_of_work) == (4, 1)

    async def test_both_sides_of_a_deal_may_review(self, unit_of_work: ReviewUnits) -> None:
        await write(unit_of_work, 4)
        await write(unit_of_work, 2, by=CYD)
        assert await summary(unit_of_work) == (6, 2)

    async def test_hiding_and_showing_change_the_summary_once(self, unit_of_work: ReviewUnits) -> None:
        review = await write(unit_of_work, 4)
        await write(unit_of_work, 5, deal_id=OTHER_DEAL)
        for act, hidden, expected in (
            (DESK.hide, True, (5, 1)),
            (DESK.hide, True, (5, 1)),
            (DESK.show, False, (9, 2)),
            (DESK.show, False, (9, 2)),
        ):
            async with unit_of_work() as uow:
                assert (await act(uow, review.id)).is_hidden is hidden
                await uow.commit()
            async with unit_of_work() as uow:
                assert (await uow.reviews.get(review.id)).is_hidden is hidden
            assert await summary(unit_of_work) == expected

    async def test_what_is_not_committed_leaves_no_trace(self, unit_of_work: ReviewUnits) -> None:
        review = await write(unit_of_work, 4)
        async with unit_of_work() as uow:
            await DESK.hide(uow, review.id)
        async with unit_of_work() as uow:
            assert not (await uow.reviews.get(review.id)).is_hidden
        assert await summary(unit_of_work) == (4, 1)

    async def test_an_unknown_review_is_refused(self, unit_of_work: ReviewUnits) -> None:
        async with unit_of_work() as uow:
            with pytest.raises(ReviewNotFound):
                await DESK.hide(uow, ReviewId(UUID(int=1)))
