"""What the clock does: claims, tasks and plans that end, and reminders, each once; no job stops at one bad row."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from application.assignments.expire_claims import ExpireClaims
from application.assignments.expire_plans import ExpirePlans
from application.assignments.expire_tasks import ExpireTasks
from application.assignments.queries import DuePlan
from application.assignments.terms import task_terms
from domain.assignments.events import ReminderDue
from domain.assignments.plan import Plan, SubscriptionId, SubscriptionState
from domain.assignments.policies import OPEN_LIFE
from domain.assignments.task import TaskId, TaskStatus
from domain.core.kernel.errors import Unavailable
from domain.core.kernel.ids import AccountId
from tests.builders.assignments import OTHER_WRITER, STUDENT, WRITER
from tests.fakes.assignments.market import Market, kes
from tests.fakes.assignments.store import InMemoryAssignmentsQueries, InMemoryAssignmentsUnitOfWork
from tests.fakes.core.system import NOON

MOMENT = timedelta(microseconds=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LOST = UUID(int=1)


class NamesALostRowFirst(InMemoryAssignmentsQueries):
    """Reads that name something first which is gone by the time it is looked at."""

    async def expired_claims(self, *, now: datetime, limit: int) -> Sequence[TaskId]:
        return [TaskId(LOST), *await super().expired_claims(now=now, limit=limit)]

    async def expired_tasks(self, *, now: datetime, open_since: datetime, limit: int) -> Sequence[TaskId]:
        return [TaskId(LOST), *await super().expired_tasks(now=now, open_since=open_since, limit=limit)]

    async def expired_plans(self, *, now: datetime, limit: int) -> Sequence[DuePlan]:
        lost = DuePlan(subscription_id=SubscriptionId(LOST), writer_id=AccountId(LOST))
        return [lost, *await super().expired_plans(now=now, limit=limit)]


class NobodyThere(InMemoryAssignmentsUnitOfWork):
    """A unit of work whose database is down."""

    async def __aenter__(self) -> "NobodyThere":
        raise Unavailable


# assignments.expire_claims


async def test_a_claim_runs_until_its_last_moment(market: Market) -> None:
    task_id = await market.a_claimed_task()
    market.clock.set(NOON + 84 * HOUR)
    with market.nothing_changes():
        assert await market.expire_claims(9) == 0
    market.clock.advance(MOMENT)
    assert await market.expire_claims(9) == 1
    assert market.task(task_id).status is TaskStatus.APPROVED


async def test_overdue_claims_are_handled_once_and_in_batches_the_longest_over_first(market: Market) -> None:
    tasks = []
    for _ in range(3):
        tasks.append(await market.a_claimed_task())
        market.wait(minutes=1)
    market.wait(hours=85)
    assert await market.expire_claims(2) == 2
    assert [market.task(one).status for one in tasks] == [
        TaskStatus.APPROVED,
        TaskStatus.APPROVED,
        TaskStatus.IN_PROGRESS,
    ]
    assert await market.expire_claims(2) == 1
    assert await market.expire_claims(2) == 0
    assert market.happened().count("assignments.claim_timed_out") == 3
    assert market.writer().open_claims == 0


async def test_work_that_came_between_the_look_and_the_lock_is_left_alone(market: Market) -> None:
    class LooksEarlier(InMemoryAssignmentsQueries):
        async def expired_claims(self, *, now: datetime, limit: int) -> Sequence[TaskId]:
            return [working, waiting]

    working, waiting = await market.a_claimed_task(), await market.a_delivered_task()
    market.wait(hours=85)
    job = replace(market.expire_claims, queries=LooksEarlier(market.store))
    await job(9)
    assert market.happened().count("assignments.claim_timed_out") == 1
    assert market.task(waiting).is_held_by(WRITER)


# assignments.expire_tasks


async def test_an_open_task_ends_after_its_due_time_and_the_money_goes_back(market: Market) -> None:
    task_id = await market.an_open_task(kes(1500), due_at=NOON + 7 * HOUR)
    market.clock.set(NOON + 7 * HOUR)
    with market.nothing_changes():
        assert await market.expire_tasks(9) == 0
    assert market.task(task_id).expire(terms=task_terms(market.policies), now=NOON + 7 * HOUR) is None
    market.clock.advance(MOMENT)
    assert await market.expire_tasks(9) == 1
    assert (market.task(task_id).status, market.task(task_id).shown_stage) == (TaskStatus.EXPIRED, "expired")
    assert (market.wallet(STUDENT), market.escrow(task_id)) == (kes(1500), kes(0))
    assert market.happened()[-1] == "assignments.task_expired"
    with market.nothing_changes():
        assert await market.expire_tasks(9) == 0


async def test_without_a_due_time_a_task_is_open_for_thirty_days_from_its_approval(market: Market) -> None:
    task_id = await market.post(kes(1500))
    market.wait(days=3)
    await market.approve(task_id)
    market.clock.set(NOON + 33 * DAY)
    assert await market.expire_tasks(9) == 0
    market.clock.advance(MOMENT)
    assert await market.expire_tasks(9) == 1


async def test_the_open_life_is_a_setting(market: Market) -> None:
    await market.an_open_task()
    market.policies.set(OPEN_LIFE, 2)
    market.clock.set(NOON + 2 * DAY + MOMENT)
    assert await market.expire_tasks(9) == 1


async def test_only_open_tasks_end_by_the_clock(market: Market) -> None:
    due_at = NOON + 7 * HOUR
    waiting = await market.post(due_at=due_at)
    claimed = await market.a_claimed_task(due_at=due_at)
    market.wait(days=40)
    with market.nothing_changes():
        assert await market.expire_tasks(9) == 0
    assert [market.task(one).status for one in (waiting, claimed)] == [
        TaskStatus.PENDING_APPROVAL,
        TaskStatus.IN_PROGRESS,
    ]


async def test_a_task_that_a_timed_out_claim_gave_back_past_its_due_time_ends(market: Market) -> None:
    task_id = await market.a_claimed_task(kes(1500), due_at=NOON + 7 * HOUR)
    market.wait(hours=20)
    await market.expire_claims(9)
    assert market.task(task_id).status is TaskStatus.APPROVED
    await market.expire_tasks(9)
    assert (market.task(task_id).status, market.wallet(STUDENT)) == (TaskStatus.EXPIRED, kes(1500))


# assignments.expire_plans


async def test_a_plan_ends_at_its_moment_and_its_writer_is_told_once(market: Market) -> None:
    plan = await market.give_plan(Plan.P2)
    market.clock.set(plan.ends_at - MOMENT)
    assert await market.expire_plans(9) == 0
    market.clock.set(plan.ends_at)
    assert [await market.expire_plans(9) for _ in range(2)] == [1, 0]
    assert market.happened() == ["assignments.plan_expired"]
    assert [one.state for one in market.purchases()] == [SubscriptionState.EXPIRED]


# One bad row does not stop the rest; a database that is down does.


@pytest.mark.parametrize("job", ["claims", "tasks", "plans"])
async def test_a_row_that_fails_is_passed_over(market: Market, job: str) -> None:
    queries = NamesALostRowFirst(market.store)
    await market.a_claimed_task()
    await market.an_open_task()
    market.wait(days=31)
    jobs: dict[str, ExpireClaims | ExpireTasks | ExpirePlans] = {
        "claims": replace(market.expire_claims, queries=queries),
        "tasks": replace(market.expire_tasks, queries=queries),
        "plans": replace(market.expire_plans, queries=queries),
    }
    before = len(market.store.events)
    handled = await jobs[job](9)
    # a plan of nobody has counters made for it, and then no row: the plan of the writer is still handled
    assert (handled, len(market.store.events)) == (1, before + 1)


@pytest.mark.parametrize("job", ["claims", "tasks", "plans"])
async def test_a_database_that_is_down_ends_the_run(market: Market, job: str) -> None:
    await market.a_claimed_task()
    await market.an_open_task()
    market.wait(days=31)
    down = market.store.units(NobodyThere)
    jobs: dict[str, ExpireClaims | ExpireTasks | ExpirePlans] = {
        "claims": replace(market.expire_claims, unit_of_work=down),
        "tasks": replace(market.expire_tasks, unit_of_work=down),
        "plans": replace(market.expire_plans, unit_of_work=down),
    }
    with market.nothing_changes(), pytest.raises(Unavailable):
        await jobs[job](9)


# assignments.send_reminders


def reminded(market: Market) -> Counter[tuple[str, AccountId | None]]:
    return Counter((one.kind, one.recipient) for one in market.store.events if isinstance(one, ReminderDue))


async def hours_pass(market: Market, hours: int) -> None:
    """Run the job every hour, and once more in between."""
    for _ in range(hours):
        market.wait(minutes=30)
        await market.send_reminders(50)
        market.wait(minutes=30)
        await market.send_reminders(50)


async def test_a_claim_is_reminded_of_a_day_and_an_hour_before_and_when_overdue_each_once(market: Market) -> None:
    await market.a_claimed_task()
    await hours_pass(market, 47)
    assert reminded(market) == {}
    await hours_pass(market, 1)
    assert reminded(market) == {("claim_due_24h", WRITER): 1}
    await hours_pass(market, 22)
    assert reminded(market) == {("claim_due_24h", WRITER): 1}
    await hours_pass(market, 1)
    assert reminded(market) == {("claim_due_24h", WRITER): 1, ("claim_due_1h", WRITER): 1}
    await hours_pass(market, 13)
    assert reminded(market) == {
        ("claim_due_24h", WRITER): 1,
        ("claim_due_1h", WRITER): 1,
        ("claim_overdue", WRITER): 1,
    }


async def test_a_new_window_after_changes_is_reminded_of_anew(market: Market) -> None:
    task_id = await market.a_delivered_task()
    await hours_pass(market, 47)
    assert reminded(market) == {}  # the clock stops in review
    await market.refuse(task_id)
    await hours_pass(market, 24)
    assert reminded(market)["claim_due_24h", WRITER] == 1
    await market.submit(task_id)
    await market.refuse(task_id)  # 48 h again
    await hours_pass(market, 24)
    assert reminded(market)["claim_due_24h", WRITER] == 2


async def test_a_plan_is_reminded_of_three_days_and_one_day_before_its_end(market: Market) -> None:
    plan = await market.give_plan(Plan.P2)
    market.clock.set(plan.ends_at - 3 * DAY - HOUR)
    await hours_pass(market, 73)
    assert reminded(market) == {("plan_ends_3d", WRITER): 1, ("plan_ends_1d", WRITER): 1}


async def test_a_plan_that_was_prolonged_is_reminded_of_again_before_its_new_end(market: Market) -> None:
    await market.pay(await market.buy("P2"))
    market.clock.set(NOON + 28 * DAY)
    await market.send_reminders(50)
    await market.pay(await market.buy("P2"))
    await hours_pass(market, 24)
    assert reminded(market) == {("plan_ends_3d", WRITER): 1}
    market.clock.set(NOON + 58 * DAY)
    await market.send_reminders(50)
    assert reminded(market) == {("plan_ends_3d", WRITER): 2}


async def test_administrators_are_reminded_of_what_waits_for_them_each_once(market: Market) -> None:
    task_id = await market.post()
    work = await market.a_delivered_task()
    await hours_pass(market, 23)
    assert reminded(market) == {}
    await hours_pass(market, 1)
    assert reminded(market) == {("task_waits_24h", None): 1}
    await hours_pass(market, 48)
    assert reminded(market) == {("task_waits_24h", None): 1, ("work_waits_48h", None): 1}
    await market.edit(task_id, title="Other")
    await market.submit(work)
    await hours_pass(market, 49)
    assert reminded(market) == {("task_waits_24h", None): 2, ("work_waits_48h", None): 2}


async def test_nobody_is_reminded_of_what_is_over(market: Market) -> None:
    returned, completed = await market.a_claimed_task(), await market.a_delivered_task()
    await market.give_back(returned)
    await market.accept(completed)
    rejected = await market.post()
    await market.reject(rejected)
    with market.nothing_changes():
        await hours_pass(market, 90)


async def test_reminders_come_in_batches_until_all_are_sent(market: Market) -> None:
    for writer in (WRITER, OTHER_WRITER):
        await market.a_claimed_task(writer=writer)
    market.wait(hours=50)
    assert [await market.send_reminders(1) for _ in range(3)] == [1, 1, 0]
    assert reminded(market) == {("claim_due_24h", WRITER): 1, ("claim_due_24h", OTHER_WRITER): 1}
