"""Points on PostgreSQL."""

from collections.abc import Mapping

from sqlalchemy import bindparam, insert, select, text, update

from domain.core.kernel.errors import DomainError
from domain.core.kernel.ids import AccountId
from domain.core.reputation.points import PointsEntry, PointsGivenBefore, Rating
from infrastructure.postgres.core.reputation_tables import points_entries, ratings
from infrastructure.postgres.database import Database
from infrastructure.postgres.statements import Statement, WriteBatch
from infrastructure.postgres.tables import UUID
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork

REPUTATION_REFUSALS: Mapping[str, type[DomainError]] = {"uq_points_entries_account_reason": PointsGivenBefore}

# the update of nothing locks the row where it exists; where it does not, the insert makes and locks it
_LOCK = Statement(
    text(
        "INSERT INTO ratings (account_id, points) VALUES (:account, 0)"
        " ON CONFLICT (account_id) DO UPDATE SET points = ratings.points RETURNING points"
    ).bindparams(bindparam("account", type_=UUID))
)
_SAVE = Statement(
    update(ratings).where(ratings.c.account_id == bindparam("account")).values(points=bindparam("new_points"))
)
_ADD = Statement(insert(points_entries))
_POINTS = Statement(select(ratings.c.points).where(ratings.c.account_id == bindparam("account")))


class PostgresRatings:
    """Ratings inside one unit of work."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._loaded: dict[AccountId, tuple[Rating, int]] = {}
        self._entries: list[PointsEntry] = []
        unit_of_work.attach(self)

    def loaded(self, account_id: AccountId, points: int) -> None:
        """Take a rating that another statement of the unit has read and locked."""
        self._loaded.setdefault(account_id, (Rating(account_id, points), points))

    async def get(self, account_id: AccountId) -> Rating:
        """Return a rating, locked."""
        if account_id not in self._loaded:
            points = await _LOCK.fetch_value(self._unit.connection, account=account_id)
            self._loaded[account_id] = (Rating(account_id, points), points)
        return self._loaded[account_id][0]

    def add(self, entry: PointsEntry) -> None:
        """Record why points changed."""
        self._entries.append(entry)

    def stage(self, batch: WriteBatch) -> None:
        """Write the sums that changed, and why."""
        for account_id, (rating, before) in self._loaded.items():
            if rating.points != before:
                batch.stage(_SAVE, account=account_id, new_points=rating.points)
                self._loaded[account_id] = (rating, rating.points)
        for entry in self._entries:
            batch.stage(
                _ADD,
                id=self._unit.ids.new(),
                account_id=entry.account_id,
                reason=entry.reason,
                points=entry.points,
                created_at=self._unit.clock.now(),
            )
        self._entries.clear()


class PostgresRatingQueries:
    """Reads of ratings."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def points_of(self, account_id: AccountId) -> int:
        """Return an account's points; 0 where nothing was ever given."""
        async with self._database.connection() as connection:
            return int(await _POINTS.fetch_value(connection, account=account_id) or 0)
