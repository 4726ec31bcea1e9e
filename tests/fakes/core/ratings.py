"""Points in memory."""

from domain.core.kernel.ids import AccountId
from domain.core.reputation.points import PointsEntry, PointsGivenBefore, Rating
from tests.fakes.core.ledger import Tables


class InMemoryRatings:
    """Ratings by account, and the entries they are the sum of."""

    def __init__(self, unit_of_work: Tables) -> None:
        self._ratings = unit_of_work.table("ratings")
        self._entries = unit_of_work.table("points_entries")
        self._is_repeated = False
        unit_of_work.at_commit(self._refuse_repeats)

    async def get(self, account_id: AccountId) -> Rating:
        if account_id not in self._ratings:
            self._ratings[account_id] = Rating(account_id, 0)
        found: Rating = self._ratings[account_id]
        return found

    def add(self, entry: PointsEntry) -> None:
        key = entry.account_id, entry.reason
        self._is_repeated |= key in self._entries
        self._entries[key] = entry

    def _refuse_repeats(self) -> None:
        if self._is_repeated:
            raise PointsGivenBefore
