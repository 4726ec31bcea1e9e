"""Who is told of what, under which category, and what goes by mail too."""

import inspect
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from application.assignments.tell_people import REMINDERS, TOLD_EVENTS, notices_of
from domain.assignments import events
from domain.assignments.events import (
    ClaimReturned,
    ClaimTimedOut,
    PaymentReleased,
    PlanActivated,
    PlanExpired,
    ReminderDue,
    TaskApproved,
    TaskCancelled,
    TaskClaimed,
    TaskEvent,
    TaskExpired,
    TaskPosted,
    TaskRejected,
    WorkApproved,
    WorkRejected,
    WorkSubmitted,
)
from domain.assignments.plan import Plan
from domain.assignments.task import RejectionOutcome
from domain.core.kernel.events import Event
from domain.core.kernel.ids import AccountId
from domain.core.notifications.notice import Category
from tests.builders.assignments import ADMIN, STUDENT, WRITER
from tests.fakes.assignments.market import Market, kes
from tests.fakes.core.system import NOON

SECOND_ADMIN = AccountId(UUID(int=0xAE))
STAFF = (ADMIN, SECOND_ADMIN)
TASK, PLAN, PAYMENT = Category.ASSIGNMENT, Category.SUBSCRIPTION, Category.PAYMENT
MAILED, NOT_MAILED = True, False
ABOUT: dict[str, Any] = {"task_id": UUID(int=7), "student_id": STUDENT, "title": "Essay on tides"}
WORKED: dict[str, Any] = {**ABOUT, "writer_id": WRITER}
BOUGHT: dict[str, Any] = {"subscription_id": UUID(int=8), "writer_id": WRITER, "plan": "P5"}

Told = tuple[AccountId, Category, bool, str]


def a_reminder(kind: str, recipient: AccountId | None) -> ReminderDue:
    return ReminderDue(key=kind, kind=kind, recipient=recipient, subject_id=UUID(int=9), title="Tides", due_at=NOON)


CASES: list[tuple[Event, list[Told]]] = [
    (TaskPosted(**ABOUT), [(one, TASK, MAILED, "waits for your decision") for one in STAFF]),
    (TaskApproved(**ABOUT), [(STUDENT, TASK, MAILED, "is visible to writers.")]),
    (
        TaskApproved(**ABOUT, set_budget="800.00 KES"),
        [(STUDENT, TASK, MAILED, "A budget of 800.00 KES was set and is held from your wallet")],
    ),
    (TaskRejected(**ABOUT, reason="unclear"), [(STUDENT, TASK, MAILED, "Reason: unclear")]),
    (TaskRejected(**ABOUT, reason=None), [(STUDENT, TASK, MAILED, "No reason was given.")]),
    (TaskCancelled(**ABOUT, writer_id=None, by_admin=False, reason=None), []),
    (
        TaskCancelled(**ABOUT, writer_id=WRITER, by_admin=False, reason=None),
        [(WRITER, TASK, MAILED, "was cancelled. No reason was given.")],
    ),
    (
        TaskCancelled(**ABOUT, writer_id=None, by_admin=True, reason="spam"),
        [(STUDENT, TASK, MAILED, "was cancelled. Reason: spam")],
    ),
    (
        TaskCancelled(**ABOUT, writer_id=WRITER, by_admin=True, reason="spam"),
        [(WRITER, TASK, MAILED, "Reason: spam"), (STUDENT, TASK, MAILED, "Reason: spam")],
    ),
    (TaskExpired(**ABOUT), [(STUDENT, TASK, MAILED, "Nobody took")]),
    (TaskClaimed(**WORKED, due_at=NOON), [(STUDENT, TASK, MAILED, "A writer works on")]),
    (
        ClaimReturned(**WORKED, why="returned", reason="too hard"),
        [(STUDENT, TASK, MAILED, "is open for writers again.")],
    ),
    (
        ClaimReturned(**WORKED, why="suspended", reason=None),
        [(STUDENT, TASK, MAILED, "is open for writers again."), (WRITER, TASK, MAILED, "has ended.")],
    ),
    (
        ClaimTimedOut(**WORKED),
        [(STUDENT, TASK, MAILED, "did not deliver in time"), (WRITER, TASK, MAILED, "it cost you points")],
    ),
    (
        WorkSubmitted(**WORKED, version=1, is_late=False),
        [
            *((one, TASK, NOT_MAILED, "Version 1 for “Essay on tides” waits for review.") for one in STAFF),
            (STUDENT, TASK, NOT_MAILED, "has arrived and is being checked."),
        ],
    ),
    (
        WorkSubmitted(**WORKED, version=2, is_late=True),  # after changes were asked for
        [
            *((one, TASK, NOT_MAILED, "waits for review. It is late.") for one in STAFF),
            (STUDENT, TASK, NOT_MAILED, "has arrived and is being checked."),
        ],
    ),
    (
        WorkSubmitted(**WORKED, version=2, is_late=False, replaces=True),
        [(one, TASK, NOT_MAILED, "Version 2 for") for one in STAFF],
    ),
    (
        WorkRejected(**WORKED, outcome="changes", reason="cite two sources"),
        [(WRITER, TASK, MAILED, "Changes are needed for “Essay on tides”. Reason: cite two sources")],
    ),
    (
        WorkRejected(**WORKED, outcome="reopen", reason="copied"),
        [(WRITER, TASK, MAILED, "has ended. Reason: copied"), (STUDENT, TASK, MAILED, "is open for writers again.")],
    ),
    (
        WorkRejected(**WORKED, outcome="cancel", reason="copied"),
        [
            (WRITER, TASK, MAILED, "has ended. Reason: copied"),
            (STUDENT, TASK, MAILED, "was cancelled; its budget is in your wallet."),
        ],
    ),
    (
        WorkApproved(**WORKED, paid="1190.00 KES"),
        [
            (STUDENT, TASK, MAILED, "is done; you can open it."),
            (WRITER, TASK, MAILED, "was approved. 1190.00 KES is yours."),
        ],
    ),
    (
        WorkApproved(**WORKED),
        [(STUDENT, TASK, MAILED, "is done"), (WRITER, TASK, MAILED, "“Essay on tides” was approved.")],
    ),
    (
        PaymentReleased(release_id=UUID(int=5), writer_id=WRITER, task_id=None, net="1190.00", currency="KES"),
        [(WRITER, PAYMENT, MAILED, "1190.00 KES was paid to you.")],
    ),
    (PlanActivated(**BOUGHT, ends_at=NOON), [(WRITER, PLAN, MAILED, "Your plan P5 runs until 02 March 2026.")]),
    (PlanExpired(**BOUGHT), [(WRITER, PLAN, MAILED, "Your running claims go on")]),
    (a_reminder("claim_due_24h", WRITER), [(WRITER, TASK, MAILED, "is due within 24 hours.")]),
    (a_reminder("claim_due_1h", WRITER), [(WRITER, TASK, NOT_MAILED, "is due within the hour.")]),
    (a_reminder("claim_overdue", WRITER), [(WRITER, TASK, MAILED, "is overdue")]),
    (a_reminder("plan_ends_3d", WRITER), [(WRITER, PLAN, MAILED, "ends in three days.")]),
    (a_reminder("plan_ends_1d", WRITER), [(WRITER, PLAN, MAILED, "ends in a day.")]),
    (a_reminder("work_waits_48h", None), [(one, TASK, MAILED, "has waited two days for review.") for one in STAFF]),
    (a_reminder("task_waits_24h", None), [(one, TASK, MAILED, "has waited a day for approval.") for one in STAFF]),
]


@pytest.mark.parametrize(("event", "told"), CASES)
def test_an_event_is_told_to_whom_it_concerns(event: Event, told: list[Told]) -> None:
    notices = notices_of(event, STAFF)
    assert [(one.recipient, one.category, one.mail) for one in notices] == [each[:3] for each in told]
    for notice, (_, _, _, words) in zip(notices, told, strict=True):
        assert words in notice.message
        assert notice.title


def test_every_event_of_the_market_is_told_and_every_reminder_has_its_words() -> None:
    kinds = {
        one
        for _, one in inspect.getmembers(events, inspect.isclass)
        if issubclass(one, Event) and one.__module__ == events.__name__ and not one.__subclasses__()
    }
    assert set(TOLD_EVENTS) == kinds == {type(event) for event, _ in CASES}
    assert set(REMINDERS) == {event.kind for event, _ in CASES if isinstance(event, ReminderDue)}


def test_an_event_that_nobody_wrote_a_text_for_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError):
        notices_of(TaskEvent(**ABOUT), STAFF)


def test_long_titles_and_reasons_are_cut() -> None:
    event = TaskRejected(task_id=UUID(int=7), student_id=STUDENT, title="t" * 200, reason="r" * 2000)
    (notice,) = notices_of(event, STAFF)
    assert notice.message == f"“{'t' * 80}” was rejected. Reason: {'r' * 500}"


def test_a_notice_links_to_its_task() -> None:
    (notice,) = notices_of(TaskApproved(**ABOUT), STAFF)
    assert notice.link == f"/api/assignments/{UUID(int=7)}"
    assert notice.metadata == {"assignment": str(UUID(int=7)), "event": "assignments.task_approved"}


# From what people do to what others read.


def letters(market: Market, recipient: AccountId) -> list[tuple[str, bool]]:
    """Return title and whether it was mailed, in order."""
    rows = sorted(market.store.rows("notices").values(), key=lambda row: row.view.seq)
    return [(row.view.title, row.view.is_mailed) for row in rows if row.recipient == recipient]


async def tell_everything(market: Market) -> None:
    for event in list(market.store.events):
        if type(event) in TOLD_EVENTS:
            await market.tell(event)


async def test_a_task_from_posting_to_payment_is_told_to_all_three(market: Market) -> None:
    task_id = await market.post(kes(1500))
    await market.approve(task_id, kes(1400))
    await market.pay(await market.buy("P2"))
    await market.claim(task_id)
    await market.submit(task_id)
    await market.submit(task_id)
    await market.refuse(task_id)
    await market.submit(task_id)
    await market.accept(task_id)
    await tell_everything(market)
    assert letters(market, STUDENT) == [
        ("Task approved", True),
        ("Task claimed", True),
        ("Work arrived", False),
        ("Work arrived", False),
        ("Task completed", True),
    ]
    assert letters(market, WRITER) == [
        ("Plan P2 is active", True),
        ("Changes asked for", True),
        ("You were paid", True),
        ("Work approved", True),
    ]
    assert letters(market, ADMIN) == [
        ("A task waits for approval", True),
        ("Work waits for review", False),
        ("Work waits for review", False),
        ("Work waits for review", False),
    ]
    approved = [row.view.message for row in market.store.rows("notices").values() if row.view.title == "Work approved"]
    assert approved == ["Your work for “Essay on tides” was approved. 1190.00 KES is yours."]


async def test_every_way_a_claim_ends_is_told_to_those_who_did_not_end_it(market: Market) -> None:
    async def told(end: str) -> tuple[list[str], list[str]]:
        one = Market()
        task_id = await one.a_claimed_task(kes(100))
        seen = len(one.store.events)
        match end:
            case "returned":
                await one.give_back(task_id)
            case "timed out":
                one.wait(hours=85)
                await one.expire_claims(9)
            case "cancelled by the student":
                await one.cancel(task_id)
            case "cancelled by an administrator":
                await one.cancel_as_admin(task_id)
            case "suspended":
                await one.suspend(WRITER)
            case _:
                await one.submit(task_id)
                seen = len(one.store.events)
                await one.refuse(task_id, RejectionOutcome(end))
        for event in one.store.events[seen:]:
            await one.tell(event)
        return [title for title, _ in letters(one, STUDENT)], [title for title, _ in letters(one, WRITER)]

    assert await told("returned") == (["Task open again"], [])
    assert await told("timed out") == (["Task open again"], ["Claim ended"])
    assert await told("cancelled by the student") == ([], ["Task cancelled"])
    assert await told("cancelled by an administrator") == (["Task cancelled"], ["Task cancelled"])
    assert await told("suspended") == (["Task open again"], ["Claim ended"])
    assert await told("reopen") == (["Work refused"], ["Work refused"])
    assert await told("cancel") == (["Work refused"], ["Work refused"])


async def test_an_event_delivered_again_as_the_same_is_told_once(market: Market) -> None:
    await market.post()
    event, delivery = market.store.events[0], market.delivery()
    await market.tell_people(event, delivery)
    again = type(delivery)(id=market.ids.new(), event_id=delivery.event_id, occurred_at=delivery.occurred_at)
    await market.tell_people(event, again)
    assert letters(market, ADMIN) == [("A task waits for approval", True)]
    assert market.store.deliveries_done == [delivery, again]


async def test_a_plan_that_was_prolonged_or_replaced_ends_without_a_word(market: Market) -> None:
    await market.pay(await market.buy("P2"))
    market.wait(days=10)
    await market.pay(await market.buy("P2"))
    market.wait(days=10)
    await market.pay(await market.buy(Plan.P5))
    market.wait(days=29)
    while await market.expire_plans(9):
        pass
    assert "assignments.plan_expired" not in market.happened()
    market.clock.advance(timedelta(days=1))
    await market.expire_plans(9)
    ended = [event for event in market.store.events if isinstance(event, PlanExpired)]
    assert [event.plan for event in ended] == ["P5"]
