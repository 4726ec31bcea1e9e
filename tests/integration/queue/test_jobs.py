"""Due runs are rows: two schedulers are as good as one, and a dead worker's run is taken over."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, time, timedelta

import asyncpg
import pytest

from infrastructure.postgres.core.job_runs import LEASE, PostgresJobRuns, PostgresOperationsQueries
from infrastructure.postgres.database import Database
from infrastructure.queue.jobs import RETRY_FIRST, TRIES_MAX, JobRunner, Scheduler
from interface.bootstrap.area import Job
from tests.fakes.core.system import NOON, FixedClock, SequentialIds

MINUTE = timedelta(minutes=1)


class Works:
    """The rows of one database, a clock, and jobs that count."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = FixedClock()
        self.ids = SequentialIds()
        self.runs = PostgresJobRuns(database, self.clock, self.ids)
        self.batches: list[int] = []
        self.ran = 0
        self.failures: list[Exception] = []

    async def sweep(self, batch_max: int) -> int:
        self.ran += 1
        if self.failures:
            raise self.failures.pop(0)
        return min(self.batches.pop(0), batch_max) if self.batches else 0

    def job(self, name: str = "market.sweep", *, run: Callable[[int], Awaitable[int]] | None = None) -> Job:
        return Job(name=name, run=run or self.sweep, every=MINUTE)

    def scheduler(self, *jobs: Job) -> Scheduler:
        return Scheduler(self.runs, self.clock, jobs or (self.job(),))

    def runner(self, *jobs: Job) -> JobRunner:
        return JobRunner(self.runs, self.ids, jobs or (self.job(),))

    async def rows(self) -> list[asyncpg.Record]:
        async with self.database.connection() as connection:
            rows: list[asyncpg.Record] = await connection.fetch("SELECT * FROM job_runs ORDER BY due_at")
        return rows


@pytest.fixture
async def works(database_url: str) -> AsyncIterator[Works]:
    database = Database(database_url)
    yield Works(database)
    await database.close()


async def test_two_schedulers_and_two_runners_run_a_due_job_once(works: Works) -> None:
    schedulers = [works.scheduler() for _ in range(4)]
    planned = await asyncio.gather(*(each.plan_due() for each in schedulers))
    assert sorted(planned, key=len) == [[], [], [], ["market.sweep"]]
    assert sorted(await asyncio.gather(*(works.runner().run_one() for _ in range(4)))) == [False, False, False, True]
    assert works.ran == 1
    (row,) = await works.rows()
    assert (row["due_at"], row["handled"], row["finished_at"]) == (NOON, 0, NOON)


async def test_missed_runs_collapse_into_one(works: Works) -> None:
    await works.scheduler().plan_due()
    await works.runner().run_one()
    works.clock.advance(timedelta(hours=3, seconds=30))
    await works.scheduler().plan_due()
    await works.scheduler().plan_due()
    assert await works.runner().run_one() is True
    assert await works.runner().run_one() is False
    assert [row["due_at"] for row in await works.rows()] == [NOON, NOON + timedelta(hours=3)]


async def test_a_run_that_waits_stands_for_later_ones(works: Works) -> None:
    await works.scheduler().plan_due()
    works.clock.advance(timedelta(minutes=10))
    assert await works.scheduler().plan_due() == []
    assert await works.runner().run_one() is True
    assert await works.scheduler().plan_due() == []  # it began after the later ones were due
    works.clock.advance(MINUTE)
    assert await works.scheduler().plan_due() == ["market.sweep"]


async def test_a_daily_job_is_due_at_its_time_in_nairobi_once_a_day(works: Works) -> None:
    job = Job(name="market.report", run=works.sweep, daily_at=time(0, 15))
    works.clock.set(datetime(2026, 3, 2, 21, 14, tzinfo=UTC))
    await works.scheduler(job).plan_due()
    works.clock.set(datetime(2026, 3, 2, 21, 15, tzinfo=UTC))
    await works.runner(job).run_one()
    assert [row["due_at"] for row in await works.rows()] == [datetime(2026, 3, 1, 21, 15, tzinfo=UTC)]
    works.clock.set(datetime(2026, 3, 3, 21, 15, tzinfo=UTC))
    await works.scheduler(job).plan_due()
    assert [row["due_at"] for row in await works.rows()][1:] == [datetime(2026, 3, 3, 21, 15, tzinfo=UTC)]


async def test_a_full_batch_is_followed_by_the_next_at_once(works: Works) -> None:
    works.batches = [200, 200, 17]
    await works.scheduler().plan_due()
    await works.runner().run_one()
    (row,) = await works.rows()
    assert (works.ran, row["handled"]) == (3, 417)


async def test_the_run_of_a_dead_worker_is_taken_over_when_its_lease_ends(works: Works) -> None:
    await works.scheduler().plan_due()
    assert await works.runs.take(["market.sweep"]) is not None  # and then nothing is heard of it
    works.clock.advance(LEASE - timedelta(seconds=1))
    assert await works.runner().run_one() is False
    works.clock.advance(timedelta(seconds=1))
    assert await works.runner().run_one() is True
    assert works.ran == 1


async def test_a_failed_run_is_tried_again_and_given_up_at_last_and_the_next_one_starts_afresh(works: Works) -> None:
    works.failures = [ValueError("a bug")] * TRIES_MAX
    await works.scheduler().plan_due()
    await works.runner().run_one()
    (row,) = await works.rows()
    assert (row["failures"], row["last_error"], row["finished_at"]) == (1, "ValueError: a bug", None)
    works.clock.advance(RETRY_FIRST - timedelta(seconds=1))
    assert await works.runner().run_one() is False
    for _ in range(TRIES_MAX - 1):
        works.clock.advance(timedelta(minutes=5))
        assert await works.runner().run_one() is True
    (row,) = await works.rows()
    assert (row["failures"], row["handled"]) == (TRIES_MAX, None)
    assert row["finished_at"] == works.clock.now()
    works.clock.advance(MINUTE)
    await works.scheduler().plan_due()
    await works.runner().run_one()
    assert (await works.rows())[1]["handled"] == 0


async def test_one_bad_job_does_not_hold_up_another(works: Works) -> None:
    async def broken(_: int) -> int:
        raise ValueError("a bug")

    jobs = (works.job("market.broken", run=broken), works.job())
    await works.scheduler(*jobs).plan_due()
    runner = works.runner(*jobs)
    assert [await runner.run_one(), await runner.run_one(), await runner.run_one()] == [True, True, False]
    assert works.ran == 1


async def test_a_runner_leaves_jobs_alone_that_it_does_not_know(works: Works) -> None:
    await works.scheduler(works.job("market.from_a_newer_version")).plan_due()
    assert await works.runner().run_one() is False


async def test_the_state_shows_the_last_run_and_what_waits(works: Works) -> None:
    queries = PostgresOperationsQueries(works.database, works.clock)
    assert await queries.job_states() == {}
    works.batches = [3]
    await works.scheduler().plan_due()
    await works.runner().run_one()
    works.clock.advance(MINUTE)
    await works.scheduler().plan_due()
    state = (await queries.job_states())["market.sweep"]
    assert (state.last_started_at, state.last_finished_at, state.last_handled) == (NOON, NOON, 3)
    assert state.waiting_since == NOON + MINUTE
