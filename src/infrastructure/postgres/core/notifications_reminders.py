"""Which reminders were sent, on PostgreSQL."""

from sqlalchemy import bindparam
from sqlalchemy.dialects.postgresql import insert

from infrastructure.postgres.core.notifications_tables import sent_reminders
from infrastructure.postgres.statements import Statement
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork

_NEW = Statement(
    insert(sent_reminders)
    .values(key=bindparam("key"), created_at=bindparam("created_at"))
    .on_conflict_do_nothing()
    .returning(sent_reminders.c.key)
)


class PostgresSentReminders:
    """Which reminders were sent."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work

    async def is_new(self, key: str) -> bool:
        """Remember a key and tell whether it was new."""
        now = self._unit.clock.now()
        return await _NEW.fetch_value(self._unit.connection, key=key, created_at=now) is not None
