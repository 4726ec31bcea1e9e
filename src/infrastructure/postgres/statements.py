"""Compile SQLAlchemy statements once, at import, and run them on the driver."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, TypeAlias

import asyncpg
import msgspec
from sqlalchemy import Executable
from sqlalchemy.dialects.postgresql import asyncpg as asyncpg_dialect
from sqlalchemy.sql import ClauseElement

_DIALECT = asyncpg_dialect.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves its dialects untyped
_PLACEHOLDER = re.compile(r"\$(\d+)")
_WRITTEN = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM) ([a-z_]+)")
_READ = re.compile(r"\b(?:FROM|JOIN) ([a-z_]+)")
TABLES_NAMED_MAX = 4

Connection: TypeAlias = asyncpg.Connection


class Statement:
    """A statement in the driver's own SQL, with the order of its parameters.

    Values reach the driver as they are: only column types that asyncpg speaks itself may be used.
    """

    __slots__ = ("_constants", "names", "sql")

    def __init__(self, statement: Executable) -> None:
        assert isinstance(statement, ClauseElement)
        compiled = statement.compile(dialect=_DIALECT)
        self.sql = str(compiled)
        self.names: tuple[str, ...] = tuple(getattr(compiled, "positiontup", None) or ())
        self._constants: Mapping[str, object] = {k: v for k, v in compiled.params.items() if v is not None}

    def arguments(self, values: Mapping[str, object]) -> list[object]:
        """Return the values in the order of the placeholders. Raises KeyError for one that is missing."""
        constants = self._constants
        return [values[name] if name in values else constants[name] for name in self.names]

    async def fetch(self, connection: Connection, /, **values: object) -> list[asyncpg.Record]:
        """Return all rows."""
        rows: list[asyncpg.Record] = await connection.fetch(self.sql, *self.arguments(values))
        return rows

    async def fetch_row(self, connection: Connection, /, **values: object) -> asyncpg.Record | None:
        """Return the first row, if any."""
        return await connection.fetchrow(self.sql, *self.arguments(values))

    async def fetch_value(self, connection: Connection, /, **values: object) -> Any:
        """Return the first column of the first row, if any."""
        return await connection.fetchval(self.sql, *self.arguments(values))

    async def execute(self, connection: Connection, /, **values: object) -> str:
        """Run the statement and return the server's status word, such as `UPDATE 1`."""
        status: str = await connection.execute(self.sql, *self.arguments(values))
        return status


@lru_cache(maxsize=1024)
def _combined(statements: tuple[Statement, ...]) -> str:
    parts, offset = [], 0
    for index, statement in enumerate(statements):
        sql = _PLACEHOLDER.sub(partial(_shifted, by=offset), statement.sql)
        parts.append(f"w{index} AS ({sql})")
        offset += len(statement.names)
    return f"WITH {', '.join(parts)} SELECT 1"


@lru_cache(maxsize=1024)
def summary_of(sql: str) -> str:
    """Return what a statement does to which tables, for those who watch: never the statement, never a value."""
    written = list(dict.fromkeys(" ".join(pair) for pair in _WRITTEN.findall(sql)))
    if written:
        return ", ".join(written[:TABLES_NAMED_MAX])
    verb = sql.split(maxsplit=1)[0].upper() if sql.strip() else "NOTHING"
    read = list(dict.fromkeys(_READ.findall(sql)))
    if verb in {"SELECT", "WITH"} and read:
        return f"SELECT {', '.join(read[:TABLES_NAMED_MAX])}"
    return verb.rstrip(";")


def _shifted(placeholder: re.Match[str], *, by: int) -> str:
    return f"${int(placeholder[1]) + by}"


class WriteBatch:
    """Writes that are sent together, in one round trip, just before the commit.

    They run as one statement, so none sees the others' effect and no row may be written by two of them; constraints
    and foreign keys are checked when all have run.
    """

    __slots__ = ("_last", "_staged")

    def __init__(self) -> None:
        self._staged: list[tuple[Statement, Mapping[str, object]]] = []
        self._last: list[tuple[Statement, Mapping[str, object]]] = []

    def stage(self, statement: Statement, /, **values: object) -> None:
        """Add a write."""
        self._staged.append((statement, values))

    def stage_last(self, statement: Statement, /, **values: object) -> None:
        """Add a write that has writing parts of its own, so it cannot be one of the others' parts; it runs after them.

        It costs a round trip, and the locks it takes are held for no other.
        """
        self._last.append((statement, values))

    async def flush(self, connection: Connection) -> None:
        """Send what is staged and forget it. Raises what the driver raises."""
        staged, self._staged = self._staged, []
        last, self._last = self._last, []
        if staged:
            await self._send(connection, staged)
        for statement, values in last:
            await statement.execute(connection, **values)

    async def _send(self, connection: Connection, staged: Sequence[tuple[Statement, Mapping[str, object]]]) -> None:
        arguments: list[object] = []
        for statement, values in staged:
            arguments += statement.arguments(values)
        if len(staged) == 1:
            await connection.execute(staged[0][0].sql, *arguments)
        else:
            await connection.execute(_combined(tuple(statement for statement, _ in staged)), *arguments)


def as_rows(rows: Sequence[Mapping[str, object]]) -> str:
    """Write rows for `json_to_recordset`, the form in which an INSERT takes a few rows of many columns.

    The driver asks four abstract classes about every element of an array, which costs more than the JSON.
    """
    return msgspec.json.encode(rows).decode()


def columns(rows: Sequence[Mapping[str, object]], *names: str) -> dict[str, list[object]]:
    """Turn rows into one list per column, the form in which `unnest` takes many rows at once."""
    return {name: [row[name] for row in rows] for name in names}
