"""Claims: rules 10 to 21 and 33 to 34 of the assignment market."""

from datetime import UTC, date, datetime, timedelta

import pytest

from application.assignments.terms import claim_terms
from application.core.kernel.ports import Page
from domain.assignments.claim_rules import (
    AlreadyClaimed,
    DailyLimitReached,
    NotAvailable,
    OpenClaimsLimitReached,
    SubscriptionRequired,
)
from domain.assignments.plan import Plan
from domain.assignments.policies import CLAIM_WINDOW, FREE_DAILY_CLAIMS, LATE_GRACE, PLAN_LIMIT_P2
from domain.assignments.submission import SubmissionStatus
from domain.assignments.task import ClaimExpired, NotClaimHolder, RejectionOutcome, Stage, TaskStatus, WorkInReview
from domain.core.kernel.ids import AccountId
from tests.builders.assignments import OTHER_STUDENT, OTHER_WRITER, STUDENT, WRITER
from tests.fakes.assignments.market import Market, kes
from tests.fakes.core.system import NOON

MOMENT = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
NEXT_MIDNIGHT = datetime(2026, 3, 2, 21, 0, tzinfo=UTC)
"""Midnight in Nairobi after NOON."""


async def free_hands(market: Market, writer: AccountId = WRITER) -> None:
    """Have a writer's badge never be what refuses: Platinum may hold twelve."""
    await market.give_points(61, writer)


async def claim_new(market: Market, count: int, writer: AccountId = WRITER) -> None:
    for _ in range(count):
        await market.claim(await market.an_open_task(), writer)


def counters(market: Market, writer: AccountId = WRITER) -> tuple[int, int, int]:
    """Return claims that count today, open claims, points."""
    seen = market.writer(writer)
    return seen.used_on(_today(market)), seen.open_claims, seen.points


def _today(market: Market) -> date:
    return (market.clock.now() + 3 * HOUR).date()


# assignments.one_active_claim


async def test_a_claimed_task_is_claimed_by_nobody_else(market: Market) -> None:
    task_id = await market.a_claimed_task(kes(1400))
    await market.give_plan(writer=OTHER_WRITER)
    with market.refused(AlreadyClaimed, "assignments.already_claimed"):
        await market.claim(task_id, OTHER_WRITER)
    assert market.task(task_id).is_held_by(WRITER)


async def test_a_claim_gives_the_task_the_quota_and_the_holder_to_the_writer(market: Market) -> None:
    await market.give_plan(Plan.P2)
    task_id = await market.an_open_task(kes(1400))
    claimed = await market.claim(task_id)
    view, quota = claimed.assignment, claimed.quota
    assert (view.status, view.stage) == ("IN_PROGRESS", "working")
    assert view.writer is not None
    assert (view.writer.id, view.writer.username, view.student.username) == (WRITER, "wanjiku", "stella")
    assert (quota.plan, quota.daily_limit, quota.daily_count, quota.left) == (Plan.P2, 5, 1, 4)
    assert (quota.open_claims, quota.open_claims_limit) == (1, 3)
    assert market.happened()[-1] == "assignments.task_claimed"
    assert market.escrow(task_id) == kes(1400)


async def test_the_winner_who_repeats_gets_the_same_claim_and_uses_no_quota(market: Market) -> None:
    task_id = await market.a_claimed_task()
    market.wait(hours=1)
    with market.nothing_changes():
        again = await market.claim(task_id)
    assert again.assignment.claim is not None
    assert again.assignment.claim.claimed_at == NOON
    assert again.quota.daily_count == 1


async def test_a_repeated_claim_shows_the_work_that_was_delivered(market: Market) -> None:
    task_id = await market.a_delivered_task()
    await market.submit(task_id)
    work = (await market.claim(task_id)).assignment.submission
    assert work is not None
    assert (work.version, work.status) == (2, SubmissionStatus.PENDING_REVIEW)


# assignments.claim_needs_plan


async def test_without_a_plan_nothing_is_claimed(market: Market) -> None:
    task_id = await market.an_open_task()
    with market.refused(SubscriptionRequired, "assignments.subscription_required"):
        await market.claim(task_id)


async def test_free_claims_need_no_plan_and_end_at_their_number(market: Market) -> None:
    market.policies.set(FREE_DAILY_CLAIMS, 2)
    first, second, third = [await market.an_open_task() for _ in range(3)]
    assert (await market.claim(first)).quota.daily_limit == 2
    assert (await market.claim(second)).quota.left == 0
    with market.refused(DailyLimitReached, "assignments.daily_limit_reached", limit=2, resets_at=NEXT_MIDNIGHT):
        await market.claim(third)


async def test_a_plan_gives_rights_from_its_start_until_the_moment_of_its_end(market: Market) -> None:
    plan = await market.give_plan(Plan.P2)
    inside, outside = await market.an_open_task(), await market.an_open_task()
    market.clock.set(plan.ends_at - MOMENT)
    await market.approve(late := await market.post())
    await market.claim(late)
    market.clock.set(plan.ends_at)
    for task_id in (inside, outside):
        with market.refused(SubscriptionRequired, "assignments.subscription_required"):
            await market.claim(task_id)


# assignments.day_is_nairobi


async def test_a_claim_counts_on_the_business_day_of_its_instant(market: Market) -> None:
    await market.give_plan(Plan.P2)
    await free_hands(market)
    one, two = await market.an_open_task(), await market.an_open_task()
    market.clock.set(NEXT_MIDNIGHT - timedelta(milliseconds=1))
    assert (await market.claim(one)).quota.daily_count == 1
    market.clock.set(NEXT_MIDNIGHT)
    assert (await market.claim(two)).quota.daily_count == 1
    days = [claim.day for claim in (market.task(one).claim, market.task(two).claim) if claim is not None]
    assert days == [date(2026, 3, 2), date(2026, 3, 3)]
    assert market.writer().open_claims == 2


async def test_a_full_day_opens_again_at_midnight_in_nairobi(market: Market) -> None:
    await market.give_plan(Plan.P2)
    await free_hands(market)
    await claim_new(market, 5)
    task_id = await market.an_open_task()
    market.clock.set(NEXT_MIDNIGHT - MOMENT)
    with market.refused(DailyLimitReached, "assignments.daily_limit_reached", limit=5, resets_at=NEXT_MIDNIGHT):
        await market.claim(task_id)
    market.clock.set(NEXT_MIDNIGHT)
    assert (await market.claim(task_id)).quota.daily_count == 1


# assignments.quota_never_overrun


@pytest.mark.parametrize(("plan", "limit"), [(Plan.P2, 5), (Plan.P5, 9)])
async def test_a_plan_allows_so_many_claims_a_day_and_not_one_more(market: Market, plan: Plan, limit: int) -> None:
    await market.give_plan(plan)
    await free_hands(market)
    await claim_new(market, limit)
    task_id = await market.an_open_task()
    with market.refused(DailyLimitReached, "assignments.daily_limit_reached", limit=limit, resets_at=NEXT_MIDNIGHT):
        await market.claim(task_id)
    assert counters(market) == (limit, limit, 61)


async def test_the_highest_plan_has_no_daily_limit(market: Market) -> None:
    await market.give_plan(Plan.P10)
    await free_hands(market)
    await claim_new(market, 11)
    quota = (await market.claim(await market.an_open_task())).quota
    assert (quota.daily_limit, quota.daily_count, quota.left) == (None, 12, None)


async def test_the_limit_that_counts_is_that_of_the_plan_active_now(market: Market) -> None:
    await market.give_plan(Plan.P2)
    await free_hands(market)
    await claim_new(market, 5)
    await market.give_plan(Plan.P5)
    assert market.writer().quota(claim_terms(market.policies), NOON).left == 4
    await claim_new(market, 4)
    with pytest.raises(DailyLimitReached):
        await claim_new(market, 1)


async def test_a_limit_that_was_lowered_shows_nothing_left_and_never_less(market: Market) -> None:
    await market.give_plan(Plan.P2)
    await claim_new(market, 3)
    market.policies.set(PLAN_LIMIT_P2, 2)
    quota = market.writer().quota(claim_terms(market.policies), NOON)
    assert (quota.daily_limit, quota.daily_count, quota.left) == (2, 3, 0)


# assignments.plan_end_keeps_claims


async def test_a_plan_that_ends_leaves_running_claims_alone(market: Market) -> None:
    plan = await market.give_plan(Plan.P2)
    market.clock.set(plan.ends_at - HOUR)
    task_id = await market.an_open_task(kes(1400))
    await market.claim(task_id)
    market.clock.set(plan.ends_at)
    assert await market.expire_plans(9) == 1
    assert market.task(task_id).is_held_by(WRITER)
    assert (await market.claim(task_id)).quota.plan is None  # a repeat needs no plan
    await market.submit(task_id)
    done = await market.accept(task_id)
    assert done.release is not None
    assert done.release.net == kes(1190)


# assignments.open_claims_by_badge


@pytest.mark.parametrize(("points", "most"), [(0, 3), (10, 3), (11, 5), (30, 5), (31, 8), (60, 8), (61, 12)])
async def test_also_an_unlimited_plan_obeys_the_cap_of_the_badge(market: Market, points: int, most: int) -> None:
    await market.give_plan(Plan.P10)
    if points:
        await market.give_points(points)
    await claim_new(market, most)
    task_id = await market.an_open_task()
    with market.refused(OpenClaimsLimitReached, "assignments.open_claims_limit", limit=most):
        await market.claim(task_id)
    assert counters(market) == (most, most, points)


async def test_a_claim_that_ends_makes_room(market: Market) -> None:
    await market.give_plan(Plan.P10)
    await claim_new(market, 2)
    await market.submit(last := await market.a_claimed_task())
    await market.accept(last)
    assert counters(market) == (3, 2, 5)
    await claim_new(market, 1)
    assert counters(market) == (4, 3, 5)


# assignments.claim_window


@pytest.mark.parametrize(
    ("due_after_h", "claimed_after_h", "claim_due_after_h"),
    [
        (None, 0, 72),  # without a due time: the window
        (48, 0, 48),  # the task's own
        (100, 0, 100),  # also a far one
        (6, 0, 6),  # just the floor
        (48, 44, 50),  # never less than six hours from the claim
        (48, 42, 48),
    ],
)
async def test_a_claim_is_due_with_its_task_but_never_too_soon(
    market: Market, due_after_h: int | None, claimed_after_h: int, claim_due_after_h: int
) -> None:
    await market.give_plan()
    due_at = None if due_after_h is None else NOON + due_after_h * HOUR
    task_id = await market.an_open_task(due_at=due_at)
    market.wait(hours=claimed_after_h)
    claim = (await market.claim(task_id)).assignment.claim
    assert claim is not None
    assert claim.due_at == NOON + claim_due_after_h * HOUR
    assert claim.expires_at == NOON + (claim_due_after_h + 12) * HOUR
    assert market.task(task_id).due_at == due_at


async def test_a_task_is_claimed_until_the_moment_it_is_due(market: Market) -> None:
    await market.give_plan()
    due_at = NOON + 7 * HOUR
    one, two = await market.an_open_task(due_at=due_at), await market.an_open_task(due_at=due_at)
    market.clock.set(due_at - MOMENT)
    await market.claim(one)
    market.clock.set(due_at)
    with market.refused(NotAvailable, "assignments.not_available"):
        await market.claim(two)


# assignments.late_is_marked


@pytest.mark.parametrize(
    ("after", "late"),
    [(72 * HOUR, False), (72 * HOUR + MOMENT, True), (72 * HOUR + timedelta(seconds=1), True), (84 * HOUR, True)],
)
async def test_work_after_the_due_time_is_accepted_and_marked_late(
    market: Market, after: timedelta, late: bool
) -> None:
    task_id = await market.a_claimed_task()
    market.clock.set(NOON + after)
    view = await market.submit(task_id)
    assert (view.is_late, view.status, view.version) == (late, SubmissionStatus.PENDING_REVIEW, 1)


async def test_work_after_the_claim_has_expired_is_refused_even_before_the_job_has_run(market: Market) -> None:
    task_id = await market.a_claimed_task()
    market.clock.set(NOON + 84 * HOUR + MOMENT)
    with market.refused(ClaimExpired, "assignments.claim_expired"):
        await market.submit(task_id)


# assignments.timeout_costs_five


@pytest.mark.parametrize(("before", "after"), [(0, 0), (3, 0), (5, 0), (12, 7)])
async def test_a_timeout_costs_up_to_five_points_and_never_goes_below_zero(
    market: Market, before: int, after: int
) -> None:
    if before:
        await market.give_points(before)
    task_id = await market.a_claimed_task(kes(1400))
    market.clock.set(NOON + 84 * HOUR + MOMENT)
    assert await market.expire_claims(9) == 1
    task = market.task(task_id)
    assert (task.status, task.stage, task.claim) == (TaskStatus.APPROVED, Stage.OPEN, None)
    assert (market.writer().open_claims, market.points()) == (0, after)
    assert market.escrow(task_id) == kes(1400)
    assert market.happened()[-1] == "assignments.claim_timed_out"


async def test_a_timeout_keeps_the_quota_used(market: Market) -> None:
    market.policies.set(CLAIM_WINDOW, 1)
    market.policies.set(LATE_GRACE, 0)
    await market.a_claimed_task()
    market.clock.set(NOON + HOUR + MOMENT)  # the same day
    assert await market.expire_claims(9) == 1
    assert counters(market) == (1, 0, 0)


async def test_whom_the_task_was_taken_from_may_claim_it_again(market: Market) -> None:
    task_id = await market.a_claimed_task()
    market.clock.set(NOON + 85 * HOUR)
    await market.expire_claims(9)
    with market.refused(NotClaimHolder, "assignments.not_claim_holder"):
        await market.submit(task_id)
    claim = (await market.claim(task_id)).assignment.claim
    assert claim is not None
    assert claim.claimed_at == NOON + 85 * HOUR


# assignments.return_is_free_early  # noqa: ERA001 - a heading


@pytest.mark.parametrize(("after", "used"), [(timedelta(minutes=10), 0), (timedelta(minutes=10) + MOMENT, 1)])
async def test_a_return_gives_the_quota_back_within_ten_minutes_only(
    market: Market, after: timedelta, used: int
) -> None:
    await market.give_points(20)
    task_id = await market.a_claimed_task(kes(1400))
    market.clock.set(NOON + after)
    returned = await market.give_back(task_id)
    assert (returned.assignment.status, returned.assignment.stage) == ("APPROVED", "open")
    assert (returned.assignment.writer, returned.assignment.claim) == (None, None)
    assert (returned.quota.daily_count, returned.quota.open_claims) == (used, 0)
    assert counters(market) == (used, 0, 20)
    assert market.escrow(task_id) == kes(1400)
    assert market.happened()[-1] == "assignments.claim_returned"


async def test_a_days_quota_comes_back_once_a_day(market: Market) -> None:
    await market.give_plan(Plan.P2)
    task_id = await market.an_open_task()
    for expected in (0, 1, 2):
        await market.claim(task_id)
        await market.give_back(task_id)
        assert counters(market) == (expected, 0, 0)
    market.clock.set(NEXT_MIDNIGHT)
    await market.claim(task_id)
    await market.give_back(task_id)
    assert counters(market) == (0, 0, 0)


async def test_a_claim_of_yesterday_gives_nothing_back_to_today(market: Market) -> None:
    await market.give_plan(Plan.P2)
    old, new = await market.an_open_task(), await market.an_open_task()
    market.clock.set(NEXT_MIDNIGHT - timedelta(minutes=5))
    await market.claim(old)
    market.clock.set(NEXT_MIDNIGHT + timedelta(minutes=1))
    await market.claim(new)
    await market.give_back(old)
    assert counters(market) == (1, 1, 0)
    await market.give_back(new)  # the return of yesterday has not used up today's
    assert counters(market) == (0, 0, 0)


async def test_a_return_of_yesterdays_claim_does_not_renew_todays(market: Market) -> None:
    await market.give_plan(Plan.P2)
    old, new = await market.an_open_task(), await market.an_open_task()
    market.clock.set(NEXT_MIDNIGHT - timedelta(minutes=5))
    await market.claim(old)
    market.clock.set(NEXT_MIDNIGHT)
    for task_id in (new, old):
        await market.claim(task_id)
        await market.give_back(task_id)
    assert counters(market) == (0, 0, 0)
    await market.claim(new)
    await market.give_back(new)
    assert counters(market) == (1, 0, 0)


async def test_only_the_holder_returns_a_claim(market: Market) -> None:
    task_id = await market.a_claimed_task()
    with market.refused(NotClaimHolder, "assignments.not_claim_holder"):
        await market.give_back(task_id, OTHER_WRITER)


async def test_a_claim_whose_work_waits_is_not_returned(market: Market) -> None:
    task_id = await market.a_delivered_task()
    with market.refused(WorkInReview, "assignments.work_in_review"):
        await market.give_back(task_id)
    await market.refuse(task_id)
    await market.give_back(task_id)
    assert market.task(task_id).stage is Stage.OPEN


# assignments.admin_end_gives_back


@pytest.mark.parametrize("ended_by", ["student", "admin", "suspension", "reopen", "cancel"])
async def test_a_claim_that_others_end_costs_nothing_and_gives_the_quota_back(market: Market, ended_by: str) -> None:
    await market.give_points(20)
    task_id = await market.a_claimed_task(kes(1400))
    match ended_by:
        case "student":
            await market.cancel(task_id)
        case "admin":
            market.wait(hours=1)
            await market.cancel_as_admin(task_id)
        case "suspension":
            market.wait(hours=1)
            await market.suspend(WRITER)
        case _:
            await market.submit(task_id)
            await market.refuse(task_id, RejectionOutcome(ended_by))
    assert counters(market) == (0, 0, 20)
    assert market.task(task_id).claim is None
    is_over = ended_by in {"student", "admin", "cancel"}
    assert market.task(task_id).status is (TaskStatus.CANCELLED if is_over else TaskStatus.APPROVED)
    assert market.wallet(STUDENT) == (kes(1400) if is_over else kes(0))
    assert market.escrow(task_id) == (kes(0) if is_over else kes(1400))


async def test_the_quota_of_a_day_that_is_over_is_not_given_to_the_next(market: Market) -> None:
    task_id = await market.a_claimed_task()
    market.clock.set(NEXT_MIDNIGHT)
    await claim_new(market, 1)
    await market.cancel_as_admin(task_id)
    assert counters(market) == (1, 1, 0)


async def test_ends_by_others_do_not_use_up_the_writers_own_early_return(market: Market) -> None:
    first = await market.a_claimed_task()
    await market.cancel(first)
    second = await market.a_claimed_task()
    await market.give_back(second)
    assert counters(market) == (0, 0, 0)


# assignments.clock_stops_in_review


async def test_a_claim_does_not_time_out_while_its_work_waits(market: Market) -> None:
    task_id = await market.a_delivered_task(kes(1400))
    market.wait(days=30)
    assert await market.expire_claims(9) == 0
    assert market.task(task_id).stage is Stage.REVIEW
    assert (await market.submit(task_id)).is_late is True
    await market.accept(task_id)
    assert market.points() == 5


async def test_work_that_arrived_after_the_job_had_looked_stops_the_clock(market: Market) -> None:
    task_id = await market.a_claimed_task()
    market.clock.set(NOON + 84 * HOUR)
    await market.submit(task_id)
    market.wait(hours=1)
    task = market.task(task_id)
    assert task.time_out(now=market.clock.now()) is None
    assert task == market.task(task_id)


# assignments.suspended_writer_returns  # noqa: ERA001 - a heading


async def test_a_suspension_returns_claims_and_leaves_work_in_review(market: Market) -> None:
    working, waiting, changing = [await market.a_claimed_task() for _ in range(3)]
    await market.submit(waiting)
    await market.submit(changing)
    await market.refuse(changing)
    await market.suspend(WRITER)
    assert [market.task(one).stage for one in (working, waiting, changing)] == [Stage.OPEN, Stage.REVIEW, Stage.OPEN]
    assert counters(market) == (1, 1, 0)
    assert market.happened()[-2:] == ["assignments.claim_returned"] * 2
    whys = [getattr(event, "why", None) for event in market.store.events[-2:]]
    assert whys == ["suspended", "suspended"]
    await market.accept(waiting)
    assert market.task(waiting).status is TaskStatus.COMPLETED


async def test_a_suspension_heard_twice_has_one_effect(market: Market) -> None:
    await market.a_claimed_task()
    await market.suspend(WRITER)
    before = (counters(market), market.happened())
    await market.suspend(WRITER)
    assert (counters(market), market.happened()) == before


# assignments.suspended_student_hides


async def test_a_suspended_students_open_tasks_leave_the_list_until_he_is_back(market: Market) -> None:
    await market.give_plan()
    mine, foreign = await market.an_open_task(kes(1400)), await market.an_open_task(student=OTHER_STUDENT)

    async def listed() -> list[object]:
        return [view.id for view in (await market.queries.available(Page(), now=market.clock.now())).results]

    assert await listed() == [mine, foreign]
    await market.suspend(STUDENT)
    assert await listed() == [foreign]
    with market.refused(NotAvailable, "assignments.not_available"):
        await market.claim(mine)
    await market.reinstate(STUDENT)
    assert await listed() == [mine, foreign]
    assert (await market.claim(mine)).assignment.status == "IN_PROGRESS"


async def test_a_suspended_students_running_tasks_go_on_and_the_administrator_acts(market: Market) -> None:
    paid, cancelled = await market.a_claimed_task(kes(1400)), await market.a_delivered_task(kes(100))
    await market.suspend(STUDENT)
    await market.submit(paid)
    await market.accept(paid)
    assert market.wallet(WRITER) == kes(1190)
    await market.cancel_as_admin(cancelled)
    assert (market.wallet(STUDENT), market.work_on(cancelled).status) == (kes(100), SubmissionStatus.REJECTED)
