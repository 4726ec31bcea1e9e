"""The pool of connections and the one way to borrow from it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Protocol, TypeAlias

import asyncpg
import msgspec
from asyncpg.connection import LoggedQuery
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, EmulatedDBAPIException
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import PoolProxiedConnection

from application.core.kernel.tracing import NO_TRACING, Tracing
from domain.core.kernel.errors import Invalid, Unavailable
from infrastructure.postgres.statements import Connection, summary_of

RUNTIME_ROLE = "soko_runtime"
"""The role of every connection of the server: it may add to the books and the audit trail, never change them."""

STATEMENT_TIMEOUT_MS = 8_000
"""A statement of a request ends before the client's patience of 10 s does."""

LOCK_TIMEOUT_MS = 4_000

CONNECT_TIMEOUT_S = 5.0

GRACE_S = 1.0
"""What is under way when a request is given up may take this much longer; then its connection is closed."""

STATEMENTS_KEPT = 512
"""Prepared statements that a connection keeps; 0 for a pooler that gives each transaction another connection."""

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
    asyncpg.InvalidTransactionStateError,  # a primary that has become a replica among them
    asyncpg.InternalClientError,  # the server said goodbye while nobody asked; or of those named none is the primary
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


DRIVER = "postgresql+asyncpg://"


def dsn_of(url: str) -> str:
    """Return a database URL as asyncpg reads it, which knows everything that libpq's may say.

    SQLAlchemy reads them its own way, and neither several servers nor `sslmode` in libpq's words; it gets none.
    """
    return "postgresql://" + url.removeprefix(DRIVER) if url.startswith(DRIVER) else url


@asynccontextmanager
async def unavailable_when_down() -> AsyncIterator[None]:
    """Turn the driver's words for a database that cannot serve into one refusal."""
    try:
        yield
    except Exception as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
        raise refusal from error


def refusal_of(error: BaseException) -> ValueNotStorable | DatabaseUnavailable | None:
    """Return what an error of the driver means for who asked; None for one that says nothing of the kind."""
    if isinstance(error, NOT_STORABLE):
        return ValueNotStorable()
    if type(error) is asyncpg.DataError:
        return ValueNotStorable()  # the driver cannot write it: past int64, past year 9999, a lone surrogate
    if isinstance(error, asyncpg.DataError) or not isinstance(error, DOWN):
        return None  # where the server names what is wrong with a statement, that is a mistake of ours
    return DatabaseUnavailable(retry_after_s=2)


CLOSED = (
    asyncpg.InvalidAuthorizationSpecificationError,  # a wrong password among them
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)
"""What says that the database does not let us in, or not do what we came for; an operator puts it right."""


def reason_of(error: BaseException) -> str | None:
    """Return why the database does not serve, in the words of the server or the system; None where they said nothing.

    They name users, databases and roles, no password.
    """
    refused = isinstance(error, DatabaseUnavailable)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, CLOSED) or (refused and isinstance(cause, asyncpg.PostgresError | OSError) and str(cause)):
            return str(cause).splitlines()[0]
        cause = cause.__cause__
    return None


Taken: TypeAlias = tuple[Connection, PoolProxiedConnection]
"""The driver's connection, and what SQLAlchemy's pool knows it by."""


class Reads(Protocol):
    """Where queries get a connection for single statements."""

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection without a transaction: each statement commits by itself. Raises DatabaseUnavailable."""
        ...


class Database:
    """A pool over one PostgreSQL. `borrowed` counts the connections that are out, for readiness and tests.

    SQLAlchemy's pool opens the connections and knows which are broken. Those that were given back are kept here, since
    each way through that pool takes a greenlet and some hundred calls; that is a tenth of a short request.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        role: str | None = RUNTIME_ROLE,
        application: str = "soko",
        statements_kept: int = STATEMENTS_KEPT,
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
        self._settings = settings
        self.pool_size = pool_size
        self._dsn = dsn_of(url)
        self.engine: AsyncEngine = create_async_engine(
            DRIVER,
            pool_size=pool_size,
            max_overflow=0,  # a connection beyond the pool would be closed on return, and reconnecting is dear
            pool_timeout=POOL_WAIT_S,
            pool_reset_on_return=None,  # the unit of work ends its own transaction, always
            connect_args={
                "dsn": self._dsn,
                "server_settings": settings,
                "statement_cache_size": statements_kept,
                "timeout": CONNECT_TIMEOUT_S,
            },
        )
        event.listen(self.engine.sync_engine, "connect", _speak_json)
        self._free = asyncio.Semaphore(pool_size)
        self._idle: list[Taken] = []
        self.borrowed = 0
        """How many connections are lent now."""
        self.waiting = 0
        """How many wait for one."""
        self.messages_written = asyncio.Event()
        """Set whenever a transaction of this process has committed outbox messages; the relay clears it."""
        self.publish: Callable[[Collection[str]], None] = _to_nobody
        """Called after each commit with the topics that the transaction wakes; the container sets it."""
        self._tracing: Tracing = NO_TRACING

    def traced(self, tracing: Tracing) -> None:
        """Have transactions and round trips recorded, on connections that are opened from now on."""
        self._tracing = tracing

        def listen(connection: Any, _record: object) -> None:
            connection.driver_connection.add_query_logger(self._ended)

        event.listen(self.engine.sync_engine, "connect", listen)

    def _ended(self, query: LoggedQuery) -> None:
        failure = None if query.exception is None else type(query.exception).__name__
        self._tracing.past(summary_of(query.query), query.elapsed, failure)  # never its parameters

    def connection(self) -> "Loan":
        """Lend a connection without a transaction: each statement commits by itself. Raises DatabaseUnavailable."""
        return Loan(self)

    def transaction(self) -> "Transaction":
        """Lend a connection inside a transaction that rolls back unless `commit` ended it in the block."""
        return Transaction(self) if self._tracing is NO_TRACING else TracedTransaction(self, self._tracing)

    async def take(self) -> Taken:
        """Take a connection that is open as far as anybody knows. Raises TimeoutError and what the driver raises."""
        if self._free.locked():
            self.waiting += 1
            try:
                async with asyncio.timeout(POOL_WAIT_S):
                    await self._free.acquire()
            finally:
                self.waiting -= 1
        else:
            await self._free.acquire()
        self.borrowed += 1
        try:
            while True:
                taken = self._idle.pop() if self._idle else await self._another()
                if not taken[0].is_closed():
                    return taken
                taken[1].invalidate()  # the server restarted while it lay in a pool
        except BaseException:
            self._released()
            raise

    def give_back(self, taken: Taken) -> None:
        """Keep a connection for who comes next, unless it is closed."""
        if taken[0].is_closed():
            taken[1].invalidate()
        else:
            self._idle.append(taken)
        self._released()

    async def _another(self) -> Taken:
        pooled = await self.engine.raw_connection()
        return pooled.driver_connection, pooled

    async def open_apart(self, application: str, **settings: str) -> Connection:
        """Open a connection that is not of the pool, for who keeps it. Raises what the driver raises."""
        server_settings = self._settings | settings | {"application_name": application}
        return await asyncpg.connect(self._dsn, server_settings=server_settings, timeout=CONNECT_TIMEOUT_S)

    def _released(self) -> None:
        self.borrowed -= 1
        self._free.release()

    async def close(self) -> None:
        """Close every connection."""
        while self._idle:
            self._idle.pop()[1].close()
        await self.engine.dispose()


class Loan:
    """A connection inside a block."""

    __slots__ = ("_database", "_taken")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __aenter__(self) -> Connection:
        try:
            self._taken = await self._database.take()
        except Exception as error:
            refusal = refusal_of(error)
            if refusal is None:
                raise
            raise refusal from error
        return self._taken[0]

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._database.give_back(self._taken)
            return
        try:
            if isinstance(error, asyncio.CancelledError):
                # the statement in flight was cancelled with us; nobody may get this connection before it is clean
                await to_the_end(_rollback(self._taken[0]), give_up=self._taken[0].terminate)
            elif isinstance(error, asyncpg.InternalClientError):
                self._taken[0].terminate()  # it will not notice by itself before its line is cut
        finally:
            self._database.give_back(self._taken)
        refusal = refusal_of(error)
        if refusal is not None:
            raise refusal from error


class Transaction:
    """A connection inside a block, in a transaction."""

    __slots__ = ("_driver", "_loan")

    def __init__(self, database: Database) -> None:
        self._loan = database.connection()

    async def __aenter__(self) -> Connection:
        self._driver = await self._loan.__aenter__()
        try:
            await self._driver.execute("BEGIN")
        except BaseException as error:
            await self._loan.__aexit__(type(error), error, error.__traceback__)
            raise
        return self._driver

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end(error)

    async def _end(self, error: BaseException | None) -> None:
        """Roll back what is open, and give the connection back. Raises what `error` means, if anything."""
        try:
            if not self._driver.is_closed() and self._driver.is_in_transaction():
                await to_the_end(_rollback(self._driver), give_up=self._driver.terminate)
        except BaseException as second:
            error = second
            raise
        finally:
            await self._loan.__aexit__(type(error) if error else None, error, error.__traceback__ if error else None)


class TracedTransaction(Transaction):
    """A transaction that is recorded, from the wait for its connection to its end."""

    __slots__ = ("_spans", "_tracing")

    def __init__(self, database: Database, tracing: Tracing) -> None:
        super().__init__(database)
        self._tracing = tracing
        self._spans = ExitStack()

    async def __aenter__(self) -> Connection:
        self._spans.enter_context(self._tracing.span("transaction"))
        try:
            return await super().__aenter__()
        except BaseException:
            self._spans.__exit__(*sys.exc_info())
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(kind, error, trace)
        except BaseException:
            self._spans.__exit__(*sys.exc_info())
            raise
        self._spans.__exit__(kind, error, trace)


async def commit(driver: Connection) -> None:
    """Commit, also when the request is given up meanwhile: a commit that was sent is waited for, a second then.

    After that nobody can say whether it was done, and its connection is closed.
    """
    await to_the_end(driver.execute("COMMIT"), give_up=driver.terminate)


async def to_the_end(work: Coroutine[Any, Any, object], *, give_up: Callable[[], None]) -> None:
    """Wait until the work has ended, whatever becomes of us; a cancellation is passed on afterwards.

    Without it a request that is cut between two bytes of the driver's protocol leaves a connection in the pool that is
    still busy, or still holds its locks. Work that goes on for a second after we were cancelled is ended by `give_up`.
    """
    task = asyncio.ensure_future(work)
    cut: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task}, timeout=None if cut is None else GRACE_S)
        except asyncio.CancelledError as error:  # also the second time, and the third
            cut = error
        else:
            if not task.done():
                give_up()
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
        async with asyncio.timeout(GRACE_S):  # the driver's own timeout does not count what it waits for beforehand
            await driver.execute("ROLLBACK")
    except DOWN:
        driver.terminate()


def _to_nobody(topics: Collection[str]) -> None:
    """Wake nobody: the realtime of a process that serves nobody."""


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
