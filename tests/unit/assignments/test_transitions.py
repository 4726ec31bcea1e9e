"""Every place of a task's life x every action x whoever may try it: what is allowed stands in one table, all else is
refused and changes nothing.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from domain.assignments.plan import Plan
from domain.assignments.task import RejectionOutcome, Task, TaskId
from domain.core.kernel.errors import DomainError
from domain.core.kernel.money import Money
from tests.builders.assignments import OTHER_STUDENT, OTHER_WRITER, WRITER
from tests.fakes.assignments.market import Market, kes
from tests.fakes.core.system import NOON

BUDGET = kes(1400)
PENDING, OPEN, REJECTED = "PENDING_APPROVAL/waiting", "APPROVED/open", "REJECTED/rejected"
WORKING, REVIEW, CHANGES = "IN_PROGRESS/working", "IN_PROGRESS/review", "IN_PROGRESS/changes"
COMPLETED, CANCELLED, EXPIRED = "COMPLETED/completed", "CANCELLED/cancelled", "EXPIRED/expired"
PLACES = (PENDING, OPEN, REJECTED, WORKING, REVIEW, CHANGES, COMPLETED, CANCELLED, EXPIRED)

Action = Callable[[Market, TaskId], Awaitable[Any]]


async def cancel_late(market: Market, task_id: TaskId) -> None:
    market.wait(minutes=11)
    await market.cancel(task_id)


async def expire_claims(market: Market, task_id: TaskId) -> None:
    market.clock.set(NOON + timedelta(hours=85))
    await market.expire_claims(9)


async def expire_tasks(market: Market, task_id: TaskId) -> None:
    market.clock.set(NOON + timedelta(days=31))
    await market.expire_tasks(9)


ACTIONS: dict[str, Action] = {
    "student: edit": lambda market, task_id: market.edit(task_id, title="Another essay"),
    "student: cancel": lambda market, task_id: market.cancel(task_id),
    "student: cancel after 11 min": cancel_late,
    "other student: edit": lambda market, task_id: market.edit(task_id, student=OTHER_STUDENT, title="Mine"),
    "other student: cancel": lambda market, task_id: market.cancel(task_id, student=OTHER_STUDENT),
    "admin: approve": lambda market, task_id: market.approve(task_id),
    "admin: approve lower": lambda market, task_id: market.approve(task_id, kes(1000)),
    "admin: reject": lambda market, task_id: market.reject(task_id),
    "admin: cancel": lambda market, task_id: market.cancel_as_admin(task_id),
    "admin: approve work": lambda market, task_id: market.accept(task_id),
    "admin: ask for changes": lambda market, task_id: market.refuse(task_id),
    "admin: reopen": lambda market, task_id: market.refuse(task_id, RejectionOutcome.REOPEN),
    "admin: refuse and cancel": lambda market, task_id: market.refuse(task_id, RejectionOutcome.CANCEL),
    "admin: release": lambda market, task_id: market.release(task_id=task_id),
    "writer: claim": lambda market, task_id: market.claim(task_id),
    "writer: return": lambda market, task_id: market.give_back(task_id),
    "writer: submit": lambda market, task_id: market.submit(task_id),
    "other writer: claim": lambda market, task_id: market.claim(task_id, OTHER_WRITER),
    "other writer: return": lambda market, task_id: market.give_back(task_id, OTHER_WRITER),
    "other writer: submit": lambda market, task_id: market.submit(task_id, OTHER_WRITER),
    "clock: claims expire": expire_claims,
    "clock: tasks expire": expire_tasks,
}

UNCHANGED = "unchanged"
"""Answered as if done: a repeat, or a clock that finds nothing to do."""

OUTCOMES: dict[str, dict[str, str]] = {
    "student: edit": {PENDING: PENDING, OPEN: PENDING, REJECTED: PENDING},
    "student: cancel": {
        PENDING: CANCELLED, OPEN: CANCELLED, REJECTED: CANCELLED, WORKING: CANCELLED,
        REVIEW: "assignments.in_progress", CHANGES: "assignments.in_progress",
    },
    "student: cancel after 11 min": {
        PENDING: CANCELLED, OPEN: CANCELLED, REJECTED: CANCELLED,
        WORKING: "assignments.in_progress", REVIEW: "assignments.in_progress", CHANGES: "assignments.in_progress",
    },
    "other student: edit": dict.fromkeys(PLACES, "assignments.task_not_found"),
    "other student: cancel": dict.fromkeys(PLACES, "assignments.task_not_found"),
    "admin: approve": {PENDING: OPEN, OPEN: UNCHANGED},
    "admin: approve lower": {PENDING: OPEN},
    "admin: reject": {PENDING: REJECTED, REJECTED: UNCHANGED},
    "admin: cancel": {OPEN: CANCELLED, WORKING: CANCELLED, REVIEW: CANCELLED, CHANGES: CANCELLED},
    "admin: approve work": {
        **dict.fromkeys(PLACES, "assignments.nothing_to_review"), REVIEW: COMPLETED, COMPLETED: UNCHANGED,
    },
    "admin: ask for changes": {**dict.fromkeys(PLACES, "assignments.nothing_to_review"), REVIEW: CHANGES},
    "admin: reopen": {**dict.fromkeys(PLACES, "assignments.nothing_to_review"), REVIEW: OPEN},
    "admin: refuse and cancel": {**dict.fromkeys(PLACES, "assignments.nothing_to_review"), REVIEW: CANCELLED},
    "admin: release": {
        **dict.fromkeys(PLACES, "assignments.nothing_to_release"), REVIEW: COMPLETED, COMPLETED: UNCHANGED,
    },
    "writer: claim": {
        **dict.fromkeys(PLACES, "assignments.not_available"), OPEN: WORKING,
        WORKING: UNCHANGED, REVIEW: UNCHANGED, CHANGES: UNCHANGED, COMPLETED: "assignments.already_claimed",
    },
    "writer: return": {
        **dict.fromkeys(PLACES, "assignments.not_claim_holder"), WORKING: OPEN, CHANGES: OPEN,
        REVIEW: "assignments.work_in_review",
    },
    "writer: submit": {
        **dict.fromkeys(PLACES, "assignments.not_claim_holder"), WORKING: REVIEW, CHANGES: REVIEW, REVIEW: REVIEW,
        COMPLETED: "assignments.already_completed",
    },
    "other writer: claim": {
        **dict.fromkeys(PLACES, "assignments.not_available"), OPEN: WORKING,
        **dict.fromkeys((WORKING, REVIEW, CHANGES, COMPLETED), "assignments.already_claimed"),
    },
    "other writer: return": dict.fromkeys(PLACES, "assignments.not_claim_holder"),
    "other writer: submit": dict.fromkeys(PLACES, "assignments.not_claim_holder"),
    "clock: claims expire": {**dict.fromkeys(PLACES, UNCHANGED), WORKING: OPEN, CHANGES: OPEN},
    "clock: tasks expire": {**dict.fromkeys(PLACES, UNCHANGED), OPEN: EXPIRED},
}  # fmt: skip
"""By action and place: where the task goes, or the refusal; what is not named is `assignments.wrong_state`."""

ALLOWED = {
    PENDING: ["approve", "reject", "edit", "cancel"],
    OPEN: ["edit", "cancel", "claim", "admin_cancel"],
    REJECTED: ["edit", "cancel"],
    WORKING: ["submit", "return", "admin_cancel", "cancel"],
    REVIEW: ["submit", "approve_submission", "reject_submission", "admin_cancel"],
    CHANGES: ["submit", "return", "admin_cancel"],
    COMPLETED: [],
    CANCELLED: [],
    EXPIRED: [],
}


def place_of(task: Task) -> str:
    return f"{task.status}/{task.shown_stage}"


def test_the_table_knows_every_action() -> None:
    assert OUTCOMES.keys() == ACTIONS.keys()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("action", ACTIONS)
async def test_an_action_does_what_the_table_says(market: Market, action: str, place: str) -> None:
    for writer in (WRITER, OTHER_WRITER):
        await market.give_plan(Plan.P10, writer=writer, days=99)
    task_id = await market.a_task_at(place, BUDGET)
    assert place_of(market.task(task_id)) == place
    expected = OUTCOMES[action].get(place, "assignments.wrong_state")
    before, events = market.snapshot(), len(market.store.events)
    if "." in expected:
        with pytest.raises(DomainError) as refusal:
            await ACTIONS[action](market, task_id)
        assert refusal.value.code == expected
        if expected == "assignments.wrong_state":
            assert refusal.value.extra == {"allowed": ALLOWED[place]}
    else:
        await ACTIONS[action](market, task_id)
    if "." in expected or expected == UNCHANGED:
        assert market.snapshot() == before
    else:
        assert place_of(market.task(task_id)) == expected
        assert len(market.store.events) > events
    task = market.task(task_id)
    assert market.escrow(task_id) == (task.held or Money(0))
    assert market.total() == 0


@pytest.mark.parametrize("place", PLACES)
async def test_what_is_said_to_be_allowed_is_what_the_table_allows(market: Market, place: str) -> None:
    words = {
        "approve": "admin: approve lower",
        "reject": "admin: reject",
        "edit": "student: edit",
        "cancel": "student: cancel",
        "claim": "other writer: claim",
        "submit": "writer: submit",
        "return": "writer: return",
        "admin_cancel": "admin: cancel",
        "approve_submission": "admin: approve work",
        "reject_submission": "admin: ask for changes",
    }
    assert set(ALLOWED[place]) == {word for word, action in words.items() if OUTCOMES[action].get(place) in PLACES}
