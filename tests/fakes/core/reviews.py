"""Reviews in memory."""

from domain.core.kernel.ids import AccountId
from domain.core.reputation.review import AlreadyReviewed, RatingSummary, Review, ReviewId, ReviewNotFound
from tests.fakes.core.ledger import Tables


class InMemoryReviews:
    def __init__(self, unit_of_work: Tables) -> None:
        self._reviews = unit_of_work.table("reviews")
        self._summaries = unit_of_work.table("review_summaries")
        self._added: list[Review] = []
        unit_of_work.at_commit(self._store)

    def add(self, review: Review) -> None:
        self._added.append(review)

    async def get(self, review_id: ReviewId) -> Review:
        if review_id not in self._reviews:
            raise ReviewNotFound
        review: Review = self._reviews[review_id]
        return review

    async def summary(self, person_id: AccountId, area: str) -> RatingSummary:
        summary: RatingSummary = self._summaries.setdefault((person_id, area), RatingSummary(person_id, area))
        return summary

    def _store(self) -> None:
        for review in self._added:
            if any((one.deal_id, one.reviewer_id) == (review.deal_id, review.reviewer_id) for one in self._all()):
                raise AlreadyReviewed
            self._reviews[review.id] = review
        self._added.clear()

    def _all(self) -> list[Review]:
        return [self._reviews[key] for key in self._reviews]
