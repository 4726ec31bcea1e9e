"""Write, hide and show reviews inside the unit of work of the vertical whose deal they are about.

- The vertical proves the deal: that it is finished, and that the two were its sides (`reputation.deal_proves`).
- The summary changes in the same transaction as the review, under a lock, so it is exact at any moment.
"""

from dataclasses import dataclass
from uuid import UUID

from application.core.kernel.ports import Clock, IdSource
from application.core.reputation.ports import ReputationUnitOfWork
from domain.core.kernel.ids import AccountId
from domain.core.reputation.review import Review, ReviewId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewDesk:
    clock: Clock
    ids: IdSource

    async def write(
        self,
        uow: ReputationUnitOfWork,
        *,
        area: str,
        deal_id: UUID,
        reviewer_id: AccountId,
        person_id: AccountId,
        rating: int,
        comment: str,
    ) -> Review:
        """Return the review, to be stored at commit.

        Raises SelfReview, Invalid, and AlreadyReviewed when the unit commits.
        """
        review = Review(
            id=ReviewId(self.ids.new()),
            area=area,
            deal_id=deal_id,
            reviewer_id=reviewer_id,
            person_id=person_id,
            rating=rating,
            comment=comment,
            created_at=self.clock.now(),
        )
        summary = await uow.reviews.summary(person_id, area)
        uow.reviews.add(review)
        summary.add(review.rating)
        return review

    async def hide(self, uow: ReputationUnitOfWork, review_id: ReviewId) -> Review:
        """Take a review out of sight and out of the summary; once more changes nothing. Raises ReviewNotFound."""
        review = await uow.reviews.get(review_id)
        review.hide(await uow.reviews.summary(review.person_id, review.area))
        return review

    async def show(self, uow: ReputationUnitOfWork, review_id: ReviewId) -> Review:
        """Bring a review back into sight and into the summary. Raises ReviewNotFound."""
        review = await uow.reviews.get(review_id)
        review.show(await uow.reviews.summary(review.person_id, review.area))
        return review
