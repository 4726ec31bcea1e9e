"""What use cases need of reputation, inside their own unit of work."""

from typing import Protocol

from application.core.kernel.ports import UnitOfWork
from domain.core.kernel.ids import AccountId
from domain.core.reputation.points import PointsEntry, Rating


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


class ReputationUnitOfWork(UnitOfWork, Protocol):
    """A transaction that can change points."""

    @property
    def ratings(self) -> RatingRepository: ...


class RatingQueries(Protocol):
    """Reads of ratings, one round trip each."""

    async def points_of(self, account_id: AccountId) -> int:
        """Return an account's points; 0 where nothing was ever given."""
        ...
