"""What use cases need of reputation, inside their own unit of work."""

from typing import Protocol

from application.core.kernel.ports import UnitOfWork
from domain.core.kernel.ids import AccountId
from domain.core.reputation.points import PointsEntry, Rating
from domain.core.reputation.review import RatingSummary, Review, ReviewId


class RatingRepository(Protocol):
    """Points. Promises (tests/contract/core/ratings.py):

    - `get` locks the rating until the unit of work ends, and makes it with no points where there is none;
    - an entry changes the rating once: the same account and reason again raises PointsGivenBefore at commit.
    """

    async def get(self, account_id: AccountId) -> Rating:
        """Return a rating, locked."""
        ...

    def add(self, entry: PointsEntry) -> None:
        """Record why points changed."""
        ...


class ReviewRepository(Protocol):
    """Reviews and what they add up to. Promises (tests/contract/core/reviews.py):

    - a second review of one deal by one reviewer raises AlreadyReviewed at commit, whatever was read before;
    - `get` locks the review, and `summary` locks the summary and makes it where there is none, until the unit ends;
    - what was loaded here is saved by commit, and by nothing else.

    A review is locked before its summary.
    """

    def add(self, review: Review) -> None: ...

    async def get(self, review_id: ReviewId) -> Review:
        """Return a review, locked. Raises ReviewNotFound."""
        ...

    async def summary(self, person_id: AccountId, area: str) -> RatingSummary:
        """Return what the reviews of a person in an area add up to, locked."""
        ...


class ReputationUnitOfWork(UnitOfWork, Protocol):
    """A transaction that can change points and reviews."""

    @property
    def ratings(self) -> RatingRepository: ...

    @property
    def reviews(self) -> ReviewRepository: ...


class RatingQueries(Protocol):
    """Reads of ratings, one round trip each."""

    async def points_of(self, account_id: AccountId) -> int:
        """Return an account's points; 0 where nothing was ever given."""
        ...
