"""A streaming replica beside the primary: what may lag is read from it, nothing else is, and nobody misses it."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from infrastructure.local.postgres import EmbeddedPostgres
from interface.bootstrap.runtime import with_driver
from tests.conftest import UNSAFE_AND_FAST
from tests.e2e.market import Market, Person, open_market

NAME = "soko"
WITHIN_S = 5.0


class Pair:
    """A primary and its replica, and the hands that hold the replica back."""

    def __init__(self, primary: EmbeddedPostgres, replica: EmbeddedPostgres) -> None:
        self.primary = primary
        self.replica = replica

    @property
    def both(self) -> str:
        """The URL of whichever is the primary, in libpq's words."""
        hosts = f"{self.primary.socket_dir},{self.replica.socket_dir}"
        return with_driver(f"postgres://postgres@/{NAME}?host={hosts}&port=5432,5432&target_session_attrs=read-write")

    @asynccontextmanager
    async def held_back(self) -> AsyncIterator[None]:
        """Let the replica show nothing new while the block runs."""
        await self.ask("SELECT pg_wal_replay_pause()")
        await until(lambda: self.ask("SELECT pg_get_wal_replay_pause_state() = 'paused'"))
        try:
            yield
        finally:
            await self.ask("SELECT pg_wal_replay_resume()")

    async def ask(self, sql: str) -> Any:
        """Ask the replica."""
        connection = await asyncpg.connect(self.replica.asyncpg_dsn(NAME))
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    async def reads(self) -> int:
        """Return how many lists of services the replica has been asked for."""
        counted: int = await self.ask(
            "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements WHERE query ILIKE '%FROM offerings%'"
        )
        return counted


async def until(is_so: Callable[[], Any]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await is_so():  # noqa: ASYNC110 - another process makes it so
            await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def pair(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[Pair]:
    """Copy the server of the tests, which has the tables already, make it a primary, and give it a replica."""
    with tempfile.TemporaryDirectory(prefix="soko-replica-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # under root the servers run as nobody, who must walk through here
        counted = {"shared_preload_libraries": "pg_stat_statements"}
        primary = EmbeddedPostgres(Path(folder) / "primary", options=UNSAFE_AND_FAST | counted)
        replica = EmbeddedPostgres(Path(folder) / "replica", options=UNSAFE_AND_FAST | counted)
        primary.copy_from(postgres_server)
        with primary:
            primary.promote()
            primary.create_database(NAME, template=migrated_template)
            asyncio.run(count_statements(primary))
            replica.copy_from(primary, "replica_1")
            with replica:
                yield Pair(primary, replica)
            replica.remove()
        primary.remove()


async def count_statements(primary: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(primary.asyncpg_dsn(NAME))
    await connection.execute("CREATE EXTENSION pg_stat_statements")
    await connection.close()


class Stopwatch:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def stopwatch() -> Stopwatch:
    return Stopwatch()


@pytest.fixture
async def market(pair: Pair, stopwatch: Stopwatch, tmp_path: Path) -> AsyncIterator[Market]:
    url = pair.replica.url(NAME)
    async with open_market(pair.both, tmp_path, replica_url=url, replica_elapsed=stopwatch) as opened:
        yield opened


SERVICES = "/api/services"


async def list_service(market: Market, worker: Person, name: str, category: str) -> str:
    body = {
        "name": name,
        "description": "All of it",
        "base_price": "2500.00",
        "duration_hours": 2,
        "category_id": category,
    }
    reply = await market.post(worker, SERVICES, body)
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


async def listed(market: Market, person: Person | None = None, **wanted: Any) -> set[str]:
    """Return the names in a list of services."""
    reply = await market.get(person, SERVICES, **wanted)
    assert reply.status_code == 200, reply.text
    return {service["name"] for service in reply.json()["results"]}


async def readiness(market: Market) -> tuple[str, str, str]:
    """Return the status of the whole, and status and detail of the replica."""
    reply = await market.http.get("/health/ready")
    (found,) = [check for check in reply.json()["checks"] if check["name"] == "replica"]
    return reply.json()["status"], found["status"], found["detail"]


async def caught_up(market: Market, stopwatch: Stopwatch) -> None:
    """Look at the replica, as the loop of the server does, until it shows all that is written now."""
    lagging = market.lagging
    assert lagging is not None
    stopwatch.now += 1

    async def is_so() -> bool:
        await lagging.look()
        return lagging.lag_s == 0

    await until(is_so)


async def set_aside(market: Market, trouble: str) -> None:
    """Look at the replica until it is left alone for this reason."""
    lagging = market.lagging
    assert lagging is not None

    async def is_so() -> bool:
        await lagging.look()
        return lagging.trouble == trouble

    await until(is_so)


async def test_lists_lag_while_money_and_what_is_ones_own_do_not(
    pair: Pair, market: Market, stopwatch: Stopwatch
) -> None:
    admin, worker = await market.register("ann", "admin"), await market.register("wanja", "worker")
    client, writer = await market.register("carol", "client"), await market.register("wafula", "writer")
    reply = await market.post(admin, f"{SERVICES}/categories", {"name": "Cleaning", "description": "", "icon": ""})
    category = reply.json()["id"]
    await list_service(market, worker, "Old", category)
    assert await pair.reads() == 0  # nobody has looked yet whether it keeps up
    await caught_up(market, stopwatch)
    assert await listed(market) == {"Old"}
    assert await pair.reads() == 1
    for path in ("/api/workers", f"{SERVICES}/categories", "/api/tasks/available"):
        before = await pair.ask("SELECT sum(calls) FROM pg_stat_statements")
        assert (await market.get(writer, path)).status_code == 200
        assert await pair.ask("SELECT sum(calls) FROM pg_stat_statements") - before > 1, path  # one is the question

    async with pair.held_back():
        new = await list_service(market, worker, "New", category)
        await market.top_up(client, 500)

        assert await listed(market) == {"Old"}
        assert await listed(market, search="new") == set()
        assert await listed(market, client, owner=str(worker.id)) == {"Old"}
        assert await listed(market, worker, owner=str(worker.id)) == {"Old", "New"}
        assert await listed(market, worker, mine=True) == {"Old", "New"}
        assert (await market.get(None, f"{SERVICES}/{new}")).json()["name"] == "New"
        wallet = (await market.get(client, "/api/wallet")).json()
        assert wallet["balance"] == "500.00", wallet

        stopwatch.now += 5
        assert await listed(market) == {"Old"}
        stopwatch.now += 1
        await set_aside(market, "it is 6 s behind")
        reads = await pair.reads()
        assert await listed(market) == {"Old", "New"}
        assert await pair.reads() == reads
        assert await readiness(market) == ("degraded", "down", "it is 6 s behind; the primary answers")

    await caught_up(market, stopwatch)
    assert await listed(market) == {"Old", "New"}
    assert await pair.reads() == reads + 1
    assert (await readiness(market))[1] == "ok"


async def test_a_killed_replica_is_not_missed_and_is_promoted_when_the_primary_is_killed(
    pair: Pair, market: Market, stopwatch: Stopwatch
) -> None:
    admin, worker = await market.register("abel", "admin"), await market.register("wekesa", "worker")
    reply = await market.post(admin, f"{SERVICES}/categories", {"name": "Gardens", "description": "", "icon": ""})
    category = reply.json()["id"]
    await list_service(market, worker, "Hedge", category)
    await caught_up(market, stopwatch)
    reads = await pair.reads()

    async def read_on() -> None:
        for _ in range(20):
            assert await listed(market, category=category) == {"Hedge"}

    assert await listed(market, category=category) == {"Hedge"}
    assert await pair.reads() == reads + 1
    reading = [asyncio.create_task(read_on()) for _ in range(4)]
    kill(pair.replica)
    await asyncio.gather(*reading)
    await read_on()
    await set_aside(market, "it cannot be reached")
    assert await readiness(market) == ("degraded", "down", "it cannot be reached; the primary answers")

    await asyncio.to_thread(again, pair.replica)
    await caught_up(market, stopwatch)
    reads = await pair.reads()
    await read_on()
    assert await pair.reads() == reads + 20

    kill(pair.primary)
    await asyncio.to_thread(pair.replica.promote)
    await list_service(market, worker, "Lawn", category)
    await set_aside(market, "it is no replica")
    assert await listed(market, category=category) == {"Hedge", "Lawn"}
    assert await listed(market, worker, mine=True) == {"Hedge", "Lawn"}


def kill(server: EmbeddedPostgres) -> None:
    """Take the power from a server."""
    os.kill(int((server.data_dir / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)


def again(server: EmbeddedPostgres) -> None:
    """Start a server that was killed."""
    server.stop()
    server.start()
