"""The jobs of the gigs market: each due run once, one bad order alone, each reminder once, and the archive."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import asyncpg

from infrastructure.postgres.core.job_runs import PostgresJobRuns
from infrastructure.queue.jobs import JobRunner, Scheduler
from interface.bootstrap.area import Job
from tests.e2e.gigs.stage import GigsStage
from tests.e2e.market import Person

DAY, HOUR, MINUTE, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
SCHEDULES = {
    "gigs.assign_orders": "every 5 min",
    "gigs.expire_unpaid": "every 5 min",
    "gigs.cancel_unfilled": "every 5 min",
    "gigs.accept_silently": "every 10 min",
    "gigs.send_reminders": "every 10 min",
    "gigs.archive_orders": "Sunday 03:00",
}


async def free(stage: GigsStage) -> None:
    """Have the service cost nothing, so that what is ordered is paid."""
    await stage.done(stage.market.patch(stage.worker, f"/api/services/{stage.service}", {"base_price": "0.00"}))


async def reach(stage: GigsStage, ahead: timedelta, *steps: str) -> str:
    """Place an order that costs nothing and have the worker take steps on it."""
    order = await stage.placed(ahead=ahead)
    for step in steps:
        await stage.act(stage.worker, order, step)
    return order


async def test_each_due_run_happens_once_however_many_look(stage: GigsStage) -> None:
    """Two schedulers and two runners over one database; what was missed collapses into one run."""
    market, ran = stage.market, Counter[str]()

    def counted(job: Job) -> Job:
        async def run(batch_max: int, run_it: Callable[[int], Awaitable[int]] = job.run) -> int:
            ran[job.name] += 1
            return await run_it(batch_max)

        return replace(job, run=run)

    jobs = [counted(job) for job in market.server.jobs if job.name in SCHEDULES]
    assert len(jobs) == len(SCHEDULES)
    rows = PostgresJobRuns(market.database, market.clock, market.adapters.ids)
    schedulers = [Scheduler(rows, market.clock, jobs) for _ in range(2)]
    runners = [JobRunner(rows, market.adapters.ids, jobs) for _ in range(2)]

    async def pass_by() -> dict[str, int]:
        ran.clear()
        await asyncio.gather(*(one.plan_due() for one in schedulers))
        while any(await asyncio.gather(*(one.run_one() for one in runners))):
            pass
        return {name: ran[name] for name in SCHEDULES if ran[name]}

    order = await stage.paid()
    await pass_by()
    assert await pass_by() == {}
    stage.advance(5 * MINUTE)
    assert await pass_by() == dict.fromkeys(("gigs.assign_orders", "gigs.expire_unpaid", "gigs.cancel_unfilled"), 1)
    often = [name for name in SCHEDULES if name != "gigs.archive_orders"]
    stage.advance(3 * HOUR)  # nobody was there for three hours
    assert await pass_by() == dict.fromkeys(often, 1)
    # Sunday at three in Nairobi is the midnight before it in London
    stage.advance(timedelta(days=5, hours=12, minutes=55) - MINUTE)
    await pass_by()
    stage.advance(MINUTE)
    assert (await pass_by()).get("gigs.archive_orders") == 1
    assert (await stage.order(order))["stage"] == "canceled"
    canceled = await market.value("SELECT count(*) FROM ledger_transfers WHERE reference = $1", f"order:{order}:cancel")
    assert canceled == 1


async def test_administrators_see_the_jobs_and_have_them_run(stage: GigsStage) -> None:
    market = stage.market

    async def shown() -> dict[str, dict[str, object]]:
        jobs = (await stage.done(market.get(stage.admin, "/api/admin/jobs")))["results"]
        return {job["name"]: job for job in jobs if job["name"] in SCHEDULES}

    assert {name: job["schedule"] for name, job in (await shown()).items()} == SCHEDULES
    order = await stage.paid()
    run = "/api/admin/jobs/gigs.assign_orders/run"
    await stage.refused(market.post(stage.client, run), 403, "identity.role_required")
    assert (await market.post(stage.admin, run)).status_code == 202
    runner = JobRunner(
        PostgresJobRuns(market.database, market.clock, market.adapters.ids), market.adapters.ids, market.server.jobs
    )
    assert await runner.run_one() is True
    assert (await stage.order(order))["stage"] == "offered"
    job = (await shown())["gigs.assign_orders"]
    assert (job["last_error"], job["failures"], job["last_finished_at"] is None) == (None, 0, False)


@asynccontextmanager
async def poisoned(dsn: str, orders: Collection[str]) -> AsyncIterator[None]:
    """Have every fact about some orders refused by the database."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'poisoned'; END $$;"
        " CREATE TRIGGER poison BEFORE INSERT ON outbox_messages FOR EACH ROW"
        f" WHEN (NEW::text ~ '{'|'.join(orders)}') EXECUTE FUNCTION refuse()"
    )
    try:
        yield
    finally:
        await connection.execute("DROP FUNCTION refuse CASCADE")
        await connection.close()


async def test_one_bad_order_does_not_hold_up_the_others(stage: GigsStage, database_dsn: str) -> None:
    market = stage.market
    unpaid = [await stage.placed(), await stage.placed()]
    await free(stage)
    soon = [await reach(stage, 20 * HOUR, "assign") for _ in range(2)]
    delivered = [await reach(stage, 5 * DAY, "assign", "deliver") for _ in range(2)]
    waiting = [await stage.placed(ahead=ahead * DAY) for ahead in (30, 40)]
    await market.drain()

    async def stages(*orders: str) -> list[str]:
        return [(await stage.order(order))["stage"] for order in orders]

    async with poisoned(database_dsn, [pair[0] for pair in (unpaid, soon, delivered, waiting)]):
        await market.run("gigs.send_reminders")
        await market.run("gigs.assign_orders")
        assert await stages(*waiting) == ["unassigned", "offered"]
        stage.advance(DAY)
        await market.run("gigs.expire_unpaid")
        assert await stages(*unpaid) == ["unpaid", "canceled"]
        stage.advance(2 * DAY)
        await market.run("gigs.accept_silently")
        await market.run("gigs.cancel_unfilled")
        assert await stages(*delivered, *waiting) == ["delivered", "completed", "unassigned", "canceled"]
        await market.drain()
        reminded = await market.rows("SELECT link FROM notices WHERE category = 'reminder'")
        assert [row["link"] for row in reminded] == [f"/api/orders/{soon[1]}"] * 2
    for job in ("gigs.expire_unpaid", "gigs.accept_silently", "gigs.cancel_unfilled"):
        await market.run(job)
    assert await stages(*unpaid, *delivered, *waiting) == ["canceled"] * 2 + ["completed"] * 2 + ["canceled"] * 2


async def test_each_reminder_is_sent_once_when_its_hour_comes(stage: GigsStage) -> None:
    market, begin = stage.market, stage.now
    unpaid = await stage.placed(ahead=9 * DAY)
    await free(stage)
    visit, delivered = await reach(stage, 30 * HOUR, "assign"), await reach(stage, 9 * DAY, "assign", "deliver")
    seen: set[str] = set()

    async def new_at(moment: timedelta) -> list[tuple[str, str, str]]:
        market.clock.advance(begin + moment - stage.now)
        await market.run("gigs.send_reminders")
        await market.drain()
        rows = await market.rows(
            "SELECT n.id::text, a.username, n.title, n.link FROM notices AS n JOIN accounts AS a ON a.id = n.recipient"
            " WHERE n.category = 'reminder' AND NOT n.id::text = ANY($1::text[]) ORDER BY a.username",
            list(seen),
        )
        seen.update(row["id"] for row in rows)
        return [(row["username"], row["title"], row["link"].rpartition("/")[2]) for row in rows]

    async def reminded_at(after: timedelta) -> list[tuple[str, str, str]]:
        """Return what is new then: nothing a second before, and nothing when the job runs once more."""
        assert await new_at(after - SECOND) == []
        found = await new_at(after)
        assert await new_at(after) == []
        return found

    assert await reminded_at(6 * HOUR) == [("kamau", "Tomorrow", visit), ("njeri", "Tomorrow", visit)]
    assert await reminded_at(22 * HOUR) == [("njeri", "Pay your order", unpaid)]
    assert await reminded_at(29 * HOUR) == [("kamau", "In an hour", visit), ("njeri", "In an hour", visit)]
    assert await reminded_at(48 * HOUR) == [("njeri", "Is it done well?", delivered)]
    await stage.act(stage.client, delivered, "request-changes", reason="the oven")
    await stage.act(stage.worker, delivered, "deliver")
    assert await reminded_at(96 * HOUR) == [("njeri", "Is it done well?", delivered)]  # of this delivery


async def listed(stage: GigsStage, person: Person, **query: object) -> set[str]:
    return {one["id"] for one in (await stage.done(stage.market.get(person, "/api/orders", **query)))["results"]}


async def test_what_ended_over_a_year_ago_leaves_the_lists_and_nothing_else(stage: GigsStage) -> None:
    market = stage.market
    completed = await stage.completed()
    canceled = await stage.placed()
    await stage.act(stage.client, canceled, "cancel")
    running = await stage.assigned()
    await market.drain()
    books = await market.rows("SELECT * FROM ledger_postings ORDER BY 1, 2")
    payments = (await stage.done(market.get(stage.client, "/api/payments")))["results"]
    everything = {completed, canceled, running}
    stage.advance(365 * DAY)
    await market.run("gigs.archive_orders")
    assert await listed(stage, stage.client) == everything
    stage.advance(SECOND)
    await market.run("gigs.archive_orders")
    for person in (stage.client, stage.admin):
        assert await listed(stage, person) == {running}
        assert await listed(stage, person, archived="true") == everything
        assert await listed(stage, person, status="completed") == set()
    assert await listed(stage, stage.worker) == {running}
    assert await listed(stage, stage.worker, archived="true") == {completed, running}
    assert (await stage.order(completed, stage.client))["status"] == "completed"
    assert len(await stage.stages(completed)) == 5
    assert await market.rows("SELECT * FROM ledger_postings ORDER BY 1, 2") == books
    assert (await stage.done(market.get(stage.client, "/api/payments")))["results"] == payments
