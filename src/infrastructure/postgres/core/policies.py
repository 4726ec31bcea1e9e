"""The business settings in force, kept in memory and followed in the background."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from sqlalchemy import bindparam, insert, select

from application.core.kernel.ports import Clock
from domain.core.kernel.errors import Invalid
from domain.core.kernel.policies import Policy
from infrastructure.postgres.core.kernel_tables import policies
from infrastructure.postgres.database import Database
from infrastructure.postgres.statements import Statement, WriteBatch
from infrastructure.postgres.tables import INSTANT
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork

Value = TypeVar("Value", int, str)

_AHEAD = timedelta(seconds=10)
"""Rows that begin within this time are read beforehand, so that a value changes on time and not a refresh later."""

_IN_FORCE = Statement(
    select(policies.c.name, policies.c.value, policies.c.valid_from)
    .where(policies.c.valid_from <= bindparam("until", type_=INSTANT))
    .order_by(policies.c.name, policies.c.valid_from.desc(), policies.c.id.desc())
)
_ADD = Statement(insert(policies))


class PostgresPolicies:
    """Answers from memory; `refresh` reads the rows anew and is called every second.

    `defaults` are texts that the environment gives in place of a policy's own default; a row wins over both.
    """

    def __init__(self, database: Database, clock: Clock, *, defaults: Mapping[str, str] | None = None) -> None:
        self._database = database
        self._clock = clock
        self._defaults = dict(defaults or {})
        self._rows: dict[str, list[tuple[datetime, str]]] = {}

    async def refresh(self) -> None:
        """Read the rows in force now, and those about to be. Raises DatabaseUnavailable."""
        async with self._database.connection() as connection:
            found = await _IN_FORCE.fetch(connection, until=self._clock.now() + _AHEAD)
        rows: dict[str, list[tuple[datetime, str]]] = {}
        for row in found:
            rows.setdefault(row["name"], []).append((row["valid_from"], row["value"]))
        self._rows = rows

    def value(self, policy: Policy[Value]) -> Value:
        rows = self._rows.get(policy.name)
        if rows is not None:
            now = self._clock.now()
            for valid_from, text in rows:  # the latest first
                if valid_from <= now:
                    try:
                        return policy.parse(text)
                    except Invalid:  # a bound was tightened after the row was written: the next older value counts
                        continue
        return self.default_of(policy)

    def default_of(self, policy: Policy[Value]) -> Value:
        default = self._defaults.get(policy.name)
        return policy.default if default is None else policy.parse(default)


class PostgresPolicyRows:
    """The policy rows of a unit of work: only added to, so that the history of every setting stays."""

    def __init__(self, uow: PostgresUnitOfWork) -> None:
        self._added: list[dict[str, object]] = []
        self._uow = uow
        uow.attach(self)

    def set(self, name: str, value: str, *, valid_from: datetime, reason: str, set_by: UUID | None) -> None:
        """Put a value in force from an instant on."""
        self._added.append(
            {
                "id": self._uow.ids.new(),
                "name": name,
                "value": value,
                "valid_from": valid_from,
                "reason": reason,
                "set_by": set_by,
                "created_at": self._uow.clock.now(),
            }
        )

    def stage(self, batch: WriteBatch) -> None:
        for row in self._added:
            batch.stage(_ADD, **row)
        self._added.clear()
