"""Who claims reads the first refusal of a fixed order; where two are true, the earlier one wins."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import combinations
from uuid import UUID

import pytest

from domain.assignments.claim_rules import CLAIM_RULES
from domain.assignments.plan import Plan
from domain.assignments.policies import FREE_DAILY_CLAIMS, OPEN_CLAIMS_BRONZE, PLAN_LIMIT_P10
from domain.assignments.task import TaskId, TaskNotFound
from domain.core.kernel.errors import DomainError
from tests.builders.assignments import OTHER_WRITER, STUDENT, WRITER
from tests.fakes.assignments.market import Market

Condition = Callable[[Market, TaskId], Awaitable[None]]


async def block(market: Market, task_id: TaskId) -> None:
    market.block(STUDENT, WRITER)
    market.block(WRITER, WRITER)  # as far as a task of one's own can be blocked


async def own_task(market: Market, task_id: TaskId) -> None:
    market.store.tables["tasks"][task_id].student_id = WRITER


async def claimed_by_another(market: Market, task_id: TaskId) -> None:
    await market.give_plan(Plan.P10, writer=OTHER_WRITER)
    await market.claim(task_id, OTHER_WRITER)


async def past_due(market: Market, task_id: TaskId) -> None:
    market.store.tables["tasks"][task_id].due_at = market.clock.now()


async def no_plan(market: Market, task_id: TaskId) -> None:
    market.store.tables["writers"][WRITER].plan = None


async def day_is_used(market: Market, task_id: TaskId) -> None:
    market.policies.set(PLAN_LIMIT_P10, 1)
    market.store.tables["writers"][WRITER].count_claim(market.clock.now())


async def hands_are_full(market: Market, task_id: TaskId) -> None:
    market.policies.set(OPEN_CLAIMS_BRONZE, 0)


ORDER: tuple[tuple[Condition, str], ...] = (
    (block, "assignments.task_not_found"),
    (own_task, "assignments.own_task"),
    (claimed_by_another, "assignments.already_claimed"),
    (past_due, "assignments.not_available"),
    (no_plan, "assignments.subscription_required"),
    (day_is_used, "assignments.daily_limit_reached"),
    (hands_are_full, "assignments.open_claims_limit"),
)


async def refusal_of(market: Market, *conditions: Condition) -> str:
    await market.give_plan(Plan.P10)
    task_id = await market.an_open_task()
    for condition in sorted(conditions, key=lambda one: one is not claimed_by_another):  # while it can be claimed
        await condition(market, task_id)
    with market.nothing_changes(), pytest.raises(DomainError) as refusal:
        await market.claim(task_id)
    return refusal.value.code


def test_every_rule_of_a_claim_has_its_place_here() -> None:
    assert len(ORDER) == len(CLAIM_RULES)


@pytest.mark.parametrize(("condition", "code"), ORDER)
async def test_one_condition_gives_its_refusal(market: Market, condition: Condition, code: str) -> None:
    assert await refusal_of(market, condition) == code


@pytest.mark.parametrize(("earlier", "later"), list(combinations(range(len(ORDER)), 2)))
async def test_of_two_true_conditions_the_earlier_one_is_told(market: Market, earlier: int, later: int) -> None:
    conditions = [ORDER[later][0], ORDER[earlier][0]]
    assert await refusal_of(market, *conditions) == ORDER[earlier][1]


async def test_all_at_once_is_told_as_the_first(market: Market) -> None:
    assert await refusal_of(market, *(condition for condition, _ in ORDER)) == "assignments.task_not_found"


async def test_an_unknown_task_is_told_before_anything_about_the_writer(market: Market) -> None:
    with market.refused(TaskNotFound, "assignments.task_not_found"):
        await market.claim(TaskId(UUID(int=1)))


async def test_the_holder_is_answered_before_anything_else_but_a_block(market: Market) -> None:
    """His plan has ended, his day is used, his hands are full, the task is past due: it is still his."""
    task_id = await market.a_claimed_task()
    for condition in (past_due, no_plan, day_is_used, hands_are_full):
        await condition(market, task_id)
    with market.nothing_changes():
        assert (await market.claim(task_id)).assignment.status == "IN_PROGRESS"
    await block(market, task_id)
    with market.refused(TaskNotFound, "assignments.task_not_found"):
        await market.claim(task_id)


async def test_a_blocked_writer_learns_nothing_in_either_direction(market: Market) -> None:
    await market.give_plan()
    task_id = await market.an_open_task()
    market.block(WRITER, STUDENT)
    with market.refused(TaskNotFound, "assignments.task_not_found"):
        await market.claim(task_id)


async def test_ones_own_task_is_refused_also_while_another_writer_holds_it(market: Market) -> None:
    task_id = await market.an_open_task(student=WRITER)
    await market.give_plan(Plan.P10, writer=OTHER_WRITER)
    await market.claim(task_id, OTHER_WRITER)
    with pytest.raises(DomainError) as refusal:
        await market.claim(task_id)
    assert refusal.value.code == "assignments.own_task"


async def test_a_complete_task_is_claimed_already_and_an_ended_one_not_available(market: Market) -> None:
    complete = await market.a_completed_task()
    await market.cancel(ended := await market.an_open_task())
    codes = []
    for task_id in (complete, ended):
        with pytest.raises(DomainError) as refusal:
            await market.claim(task_id)
        codes.append(refusal.value.code)
    assert codes == ["assignments.already_claimed", "assignments.not_available"]


async def test_free_claims_let_a_writer_without_plan_come_to_the_next_check(market: Market) -> None:
    market.policies.set(FREE_DAILY_CLAIMS, 1)
    await market.claim(await market.an_open_task())
    task_id = await market.an_open_task()
    with pytest.raises(DomainError) as refusal:
        await market.claim(task_id)
    assert refusal.value.code == "assignments.daily_limit_reached"
    market.wait(days=1)
    market.policies.set(OPEN_CLAIMS_BRONZE, 1)
    with pytest.raises(DomainError) as refusal:
        await market.claim(task_id)
    assert refusal.value.code == "assignments.open_claims_limit"


async def test_an_expired_plan_is_no_plan(market: Market) -> None:
    await market.give_plan(Plan.P10, starts_at=market.clock.now() - timedelta(days=30))
    task_id = await market.an_open_task()
    with pytest.raises(DomainError) as refusal:
        await market.claim(task_id)
    assert refusal.value.code == "assignments.subscription_required"
