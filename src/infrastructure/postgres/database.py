"""The pool of connections and the one way to borrow from it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, EmulatedDBAPIException
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from domain.core.kernel.errors import Invalid, Unavailable
from infrastructure.postgres.statements import Connection

RUNTIME_ROLE = "soko_runtime"
"""The role of every connection of the server: it may add to the books and the audit trail, never change them."""

STATEMENT_TIMEOUT_MS = 8_000
"""A statement of a request ends before the client's patience of 10 s does."""

LOCK_TIMEOUT_MS = 4_000

POOL_WAIT_S = 2.0
"""A request waits this long for a free connection before it is refused with 503."""

DOWN = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,  # shutdown, crash, and statement timeouts among them
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InvalidTransactionStateError,
    OSError,
    TimeoutError,
    PoolTimeout,
    DBAPIError,
    EmulatedDBAPIException,  # no connection to be had: the server starts, stops, is full or closed to us
)
"""What says that the database cannot serve now. The transaction did not commit, or nobody can say that it did."""


NOT_STORABLE = (
    asyncpg.CharacterNotInRepertoireError,  # NUL in a text
    asyncpg.UntranslatableCharacterError,  # NUL in JSON
    asyncpg.NumericValueOutOfRangeError,
    asyncpg.DatetimeFieldOverflowError,
)
"""What says that a value cannot be stored by anybody. The edge refuses most of these; this is the last line."""


class ValueNotStorable(Invalid):
    """A value is outside what can be stored."""

    code = "kernel.value_not_storable"


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached at the moment; try again."""


@asynccontextmanager
async def unavailable_when_down() -> AsyncIterator[None]:
    """Turn the driver's words for a database that cannot serve into one refusal."""
    try:
        yield
    except NOT_STORABLE as error:
        raise ValueNotStorable from error
    except asyncpg.DataError as error:
        if type(error) is not asyncpg.DataError:
            raise  # the server names what is wrong with a statement, which is a mistake of ours
        raise ValueNotStorable from error  # the driver cannot write it: past int64, past year 9999, a lone surrogate
    except DOWN as error:
        raise DatabaseUnavailable(retry_after_s=2) from error


class Database:
    """A pool over one PostgreSQL. `borrowed` counts the connections that are out, for readiness and tests."""

    def __init__(
        self, url: str, *, pool_size: int = 10, role: str | None = RUNTIME_ROLE, application: str = "soko"
    ) -> None:
        settings = {
            "application_name": application,
            "statement_timeout": str(STATEMENT_TIMEOUT_MS),
            "lock_timeout": str(LOCK_TIMEOUT_MS),
            "idle_in_transaction_session_timeout": "30000",
            "timezone": "UTC",
        }
        if role is not None:
            settings["role"] = role
        self.pool_size = pool_size
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,  # a connection beyond the pool would be closed on return, and reconnecting is dear
            pool_timeout=POOL_WAIT_S,
            pool_reset_on_return=None,  # the unit of work ends its own transaction, always
            connect_args={"server_settings": settings, "statement_cache_size": 512, "timeout": 5},
        )
        event.listen(self.engine.sync_engine, "connect", _speak_json)
        self.messages_written = asyncio.Event()
        """Set whenever a transaction of this process has committed outbox messages; the relay clears it."""

    @property
    def borrowed(self) -> int:
        """How many connections are out of the pool now."""
        return int(self.engine.pool.checkedout())  # type: ignore[attr-defined]  # every queue pool has it

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection without a transaction: each statement commits by itself. Raises DatabaseUnavailable."""
        async with unavailable_when_down():
            fairy: Any = await self.engine.raw_connection()
            while fairy.driver_connection.is_closed():  # the server restarted while it lay in the pool
                fairy.invalidate()
                fairy = await self.engine.raw_connection()
            driver: Connection = fairy.driver_connection
            try:
                yield driver
            except asyncio.CancelledError:
                # the statement in flight was cancelled with us; nobody may get this connection before it is clean
                await to_the_end(_rollback(driver))
                raise
            finally:
                if driver.is_closed():
                    fairy.invalidate()
                else:
                    fairy.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection inside a transaction that rolls back unless `commit` ended it in the block."""
        async with self.connection() as driver:
            await driver.execute("BEGIN")
            try:
                yield driver
            finally:
                if driver.is_in_transaction() and not driver.is_closed():
                    await to_the_end(_rollback(driver))

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


async def commit(driver: Connection) -> None:
    """Commit, also when the client hangs up meanwhile: a commit that was sent is waited for."""
    await to_the_end(driver.execute("COMMIT"))


async def to_the_end(work: Coroutine[Any, Any, object]) -> None:
    """Wait until the work has ended, whatever becomes of us; a cancellation is passed on afterwards.

    Without it a request that is cut between two bytes of the driver's protocol leaves a connection in the pool that is
    still busy, or still holds its locks.
    """
    task = asyncio.ensure_future(work)
    cut: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:  # also the second time, and the third
            cut = error
    if cut is not None:
        task.cancelled() or task.exception()  # looked at, so that it is not reported as forgotten
        raise cut
    task.result()


async def _rollback(driver: Connection) -> None:
    """Roll back, and do not ask first whether there is a transaction.

    After a cancelled BEGIN the driver does not know yet: its `reset` looks before the server's word has come, finds no
    transaction, and leaves one open.
    """
    try:
        await driver.execute("ROLLBACK", timeout=2)
    except DOWN:
        driver.terminate()


def _speak_json(connection: Any, _record: object) -> None:
    async def set_codec(driver: Connection) -> None:
        await driver.set_type_codec(
            "jsonb",
            schema="pg_catalog",
            encoder=lambda value: msgspec.json.encode(value).decode(),
            decoder=msgspec.json.decode,
            format="text",
        )

    connection.run_async(set_codec)
