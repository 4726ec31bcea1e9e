"""Reads that may lag: from a streaming replica while it is close behind the primary, else from the primary.

How close is measured without anybody's clock: the primary is asked up to where it has written, then the replica up to
where it shows. Once it shows what had been written at some moment, whatever it answers is as of that moment or later.
What is served is therefore never older than the limit, also when nobody can measure any more.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, cast

import asyncpg
import structlog

from application.core.operations.health import NotHealthy
from infrastructure.postgres.database import Database, DatabaseUnavailable
from infrastructure.postgres.statements import Connection

ANSWER_WITHIN_S = 2.0
"""A read that the replica has not answered by then is asked of the primary."""

LOOKS_KEPT = 256
LOOK_EVERY_S_MAX = 1.0
LOOKS_WITHIN_LIMIT = 4
"""The replica is looked at so often within the limit, or every second."""

# inserted, and not only written: where commits do not wait for the disk, they are seen before they are written
_WRITTEN = (
    "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint AS position, system_identifier"
    " FROM pg_control_system()"
)
_SHOWN = (
    "SELECT CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint END AS position,"
    " system_identifier FROM pg_control_system()"
)

_log = structlog.get_logger("soko.replica")


class LaggingReads:
    """Lends connections of `replica` while what it shows is at most `lag_max_s` old, else of `primary`.

    What it lends fetches, and nothing more; a fetch that the replica fails to answer is answered by the primary.
    """

    def __init__(
        self, primary: Database, replica: Database, *, lag_max_s: float, elapsed: Callable[[], float] = time.monotonic
    ) -> None:
        self._primary = primary
        self._replica = replica
        self._lag_max_s = lag_max_s
        self._elapsed = elapsed
        self._looks: deque[tuple[float, int]] = deque(maxlen=LOOKS_KEPT)
        self._as_of: float | None = None
        self._trouble = "not looked at yet"
        self.look_every_s = min(LOOK_EVERY_S_MAX, lag_max_s / LOOKS_WITHIN_LIMIT)

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """Lend something to fetch with. Raises DatabaseUnavailable when the primary is needed and cannot be reached."""
        return _Fetching(self) if self.trouble is None else self._primary.connection()

    @property
    def lag_s(self) -> float | None:
        """How old what the replica shows may be; None when that is not known."""
        return None if self._as_of is None else self._elapsed() - self._as_of

    @property
    def trouble(self) -> str | None:
        """Why reads go to the primary; None while they go to the replica."""
        lag_s = self.lag_s
        if lag_s is None:
            return self._trouble
        return None if lag_s <= self._lag_max_s else f"it is {lag_s:.0f} s behind"

    async def look(self) -> None:
        """Measure how far the replica is behind. Raises DatabaseUnavailable when it is the primary that is away."""
        before = self.trouble
        at = self._elapsed()
        async with self._primary.connection() as connection:
            written = await connection.fetchrow(_WRITTEN)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S), self._replica.connection() as connection:
                shown = await connection.fetchrow(_SHOWN)
        except (DatabaseUnavailable, TimeoutError, asyncpg.PostgresError):
            self._set_aside("it cannot be reached")
        else:
            assert written is not None
            assert shown is not None
            self._compare(at, written, shown)
        self._tell(before)

    def _compare(self, at: float, written: asyncpg.Record, shown: asyncpg.Record) -> None:
        if shown["system_identifier"] != written["system_identifier"]:
            self._set_aside("it belongs to another primary")
            return
        if shown["position"] is None:
            self._set_aside("it is no replica")
            return
        self._looks.append((at, written["position"]))
        while self._looks and self._looks[0][1] <= shown["position"]:
            self._as_of = self._looks.popleft()[0]
        if self._as_of is None:
            self._trouble = "it is behind"

    async def fetched(self, how: Callable[[Connection], Awaitable[Any]]) -> Any:
        """Fetch from the replica; from the primary if that fails. Raises what the primary raises."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S), self._replica.connection() as connection:
                return await how(connection)
        except (DatabaseUnavailable, TimeoutError, asyncpg.PostgresError):  # a table that is not there yet among them
            before = self.trouble
            self._set_aside("it did not answer a read")
            self._tell(before)
        async with self._primary.connection() as connection:
            return await how(connection)

    def _set_aside(self, trouble: str) -> None:
        """Use the primary until the next look finds the replica well."""
        self._as_of, self._trouble = None, trouble

    def _tell(self, before: str | None) -> None:
        if before is None and self.trouble is not None:
            _log.warning("replica_set_aside", reason=self.trouble)
        elif before is not None and self.trouble is None:
            _log.info("replica_used")


class _Fetching:
    """What queries call of a connection."""

    __slots__ = ("_reads",)

    def __init__(self, reads: LaggingReads) -> None:
        self._reads = reads

    async def __aenter__(self) -> Connection:
        return cast("Connection", self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def fetch(self, sql: str, *arguments: object) -> Any:
        return await self._reads.fetched(lambda connection: connection.fetch(sql, *arguments))

    async def fetchrow(self, sql: str, *arguments: object) -> Any:
        return await self._reads.fetched(lambda connection: connection.fetchrow(sql, *arguments))

    async def fetchval(self, sql: str, *arguments: object) -> Any:
        return await self._reads.fetched(lambda connection: connection.fetchval(sql, *arguments))


class ReplicaCheck:
    """Whether reads that may lag go to the replica. Nothing stops without it: the primary answers them."""

    name = "replica"
    is_needed = False

    def __init__(self, reads: LaggingReads) -> None:
        self._reads = reads

    async def check(self) -> str:
        trouble = self._reads.trouble
        if trouble is not None:
            raise NotHealthy(f"{trouble}; the primary answers")
        return f"at most {self._reads.lag_s or 0:.1f} s behind"
