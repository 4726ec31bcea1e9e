"""Tell people what happened on the market: one notice per event and person, by mail too unless said otherwise.

A rejection without a reason says that none was given; "work arrived" and the last reminder are not mailed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Protocol

from application.assignments.ports import AssignmentsUnitOfWork
from application.core.kernel.ports import Delivery
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
from domain.assignments.task import ClaimEnd
from domain.core.kernel.events import Event
from domain.core.kernel.ids import AccountId
from domain.core.notifications.notice import Category, Notice

TITLE_SHOWN_MAX = 80
"""Characters of a task's title that a notice shows."""

SHOWN_REASON_MAX = 500


class Administrators(Protocol):
    """Who runs the market."""

    async def administrators(self) -> Sequence[AccountId]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TellPeople:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    people: Administrators

    async def __call__(self, event: Event, delivery: Delivery) -> None:
        """React to any event of the market that somebody should hear of."""
        administrators = await self.people.administrators()
        async with self.unit_of_work() as uow:
            uow.notices.add(delivery, *notices_of(event, administrators))
            uow.done(delivery)
            await uow.commit()


@singledispatch
def notices_of(event: Event, administrators: Sequence[AccountId]) -> tuple[Notice, ...]:
    """Return what to tell whom about an event."""
    raise TypeError(f"nobody decided what to tell about {type(event).__name__}")


TOLD_EVENTS: tuple[type[Event], ...] = (
    TaskPosted,
    TaskApproved,
    TaskRejected,
    TaskCancelled,
    TaskExpired,
    TaskClaimed,
    ClaimReturned,
    ClaimTimedOut,
    WorkSubmitted,
    WorkRejected,
    WorkApproved,
    PaymentReleased,
    PlanActivated,
    PlanExpired,
    ReminderDue,
)
"""The events that have a text below; a test holds the two together."""


def _about(event: TaskEvent, recipient: AccountId, title: str, message: str, *, mail: bool = True) -> Notice:
    return Notice(
        recipient=recipient,
        category=Category.ASSIGNMENT,
        title=title,
        message=message,
        link=f"/api/assignments/{event.task_id}",
        metadata={"assignment": str(event.task_id), "event": event.event_name()},
        mail=mail,
    )


def _name(title: str) -> str:
    return f"“{title[:TITLE_SHOWN_MAX]}”"


def _because(reason: str | None) -> str:
    return f"Reason: {reason[:SHOWN_REASON_MAX]}" if reason else "No reason was given."


@notices_of.register
def _(event: TaskPosted, administrators: Sequence[AccountId]) -> tuple[Notice, ...]:
    return tuple(
        _about(event, one, "A task waits for approval", f"{_name(event.title)} waits for your decision.")
        for one in administrators
    )


@notices_of.register
def _(event: TaskApproved, administrators: Sequence[AccountId]) -> tuple[Notice, ...]:
    budget = (
        f" A budget of {event.set_budget} was set and is held from your wallet; cancelling before a writer takes the"
        " task costs nothing."
        if event.set_budget
        else ""
    )
    return (_about(event, event.student_id, "Task approved", f"{_name(event.title)} is visible to writers.{budget}"),)


@notices_of.register
def _(event: TaskRejected, administrators: Sequence[AccountId]) -> tuple[Notice, ...]:
    return (
        _about(
            event, event.student_id, "Task rejected", f"{_name(event.title)} was rejected. {_because(event.reason)}"
        ),
    )


@notices_of.register
def _(event: TaskCancelled, administrators: Sequence[AccountId]) -> tuple[Notice, ...]:
    told = [] if event.writer_id is None else [event.writer_id]
    if event.by_admin:
        told.append(event.student_id)
    return tuple(
        _about(event, one, "Task cancelled", f"{_name(event.title)} was cancelled. {_because(event.reason)}")
        for one in told
    )


@notices_of.register
def _(event: TaskExpired, administrators: Sequence[AccountId]) -> tuple[Notice, ...]:
    message = f"Nobody took {_name(event.title)} in time. A budget that was held is back in your wallet."
    return (_about(event, event.student_id, "Task expired", message),)


@notices_of.register
def _(event: TaskClaimed, administrators: Sequence[AccountId]) -> tuple[Notice, ...]:
    return (_about(event, event.student_id, "Task claimed", f"A writer works on {_name(event.title)}."),)


@notices_of.register
def _(event: ClaimReturned, administrators: Sequence[AccountId]) -> tuple[Notice, ...]:
    notices = [_about(event, event.student_id, "Task open again", f"{_name(event.title)} is open for writers again.")]
    if event.why != ClaimEnd.RETURNED:
        notices.append(_about(event, event.writer_id, "Claim ended", f"Your claim on {_name(event.title)} has ended."))
    return tuple(notices)


@notices_of.register
def _(event: ClaimTimedOut, administrators: Sequence[AccountId]) -> tuple[Notice, ...]:
    return (
        _about(
            event, event.student_id, "Task open again", f"The writer of {_name(event.title)} did not deliver in time."
        ),
        _about(
            event, event.writer_id, "Claim ended", f"Your time for {_name(event.title)} is over; it cost you points."
        ),
    )


@notices_of.register
def _(event: WorkSubmitted, administrators: Sequence[AccountId]) -> tuple[Notice, ...]:
    late = " It is late." if event.is_late else ""
    review = f"Version {event.version} for {_name(event.title)} waits for review.{late}"
    told = [_about(event, one, "Work waits for review", review, mail=False) for one in administrators]
    if not event.replaces:
        arrived = f"Work for {_name(event.title)} has arrived and is being checked."
        told.append(_about(event, event.student_id, "Work arrived", arrived, mail=False))
    return tuple(told)


@notices_of.register
def _(event: WorkRejected, administrators: Sequence[AccountId]) -> tuple[Notice, ...]:
    if event.outcome == "changes":
        asked = f"Changes are needed for {_name(event.title)}. {_because(event.reason)}"
        return (_about(event, event.writer_id, "Changes asked for", asked),)
    ended = "is open for writers again" if event.outcome == "reopen" else "was cancelled; its budget is in your wallet"
    return (
        _about(
            event,
            event.writer_id,
            "Work refused",
            f"Your claim on {_name(event.title)} has ended. {_because(event.reason)}",
        ),
        _about(event, event.student_id, "Work refused", f"{_name(event.title)} {ended}."),
    )


@notices_of.register
def _(event: WorkApproved, administrators: Sequence[AccountId]) -> tuple[Notice, ...]:
    paid = f" {event.paid} is yours." if event.paid else ""
    return (
        _about(
            event, event.student_id, "Task completed", f"The work for {_name(event.title)} is done; you can open it."
        ),
        _about(event, event.writer_id, "Work approved", f"Your work for {_name(event.title)} was approved.{paid}"),
    )


@notices_of.register
def _(event: PaymentReleased, administrators: Sequence[AccountId]) -> tuple[Notice, ...]:
    return (
        Notice(
            recipient=event.writer_id,
            category=Category.PAYMENT,
            title="You were paid",
            message=f"{event.net} {event.currency} was paid to you.",
            link="/api/wallet/entries",
            metadata={"release": str(event.release_id)},
        ),
    )


@notices_of.register
def _(event: PlanActivated, administrators: Sequence[AccountId]) -> tuple[Notice, ...]:
    return (
        Notice(
            recipient=event.writer_id,
            category=Category.SUBSCRIPTION,
            title=f"Plan {event.plan} is active",
            message=f"Your plan {event.plan} runs until {event.ends_at:%d %B %Y}.",
            link="/api/subscriptions/status",
        ),
    )


@notices_of.register
def _(event: PlanExpired, administrators: Sequence[AccountId]) -> tuple[Notice, ...]:
    return (
        Notice(
            recipient=event.writer_id,
            category=Category.SUBSCRIPTION,
            title=f"Plan {event.plan} has ended",
            message="Your running claims go on; a new plan lets you claim again.",
            link="/api/subscriptions/status",
        ),
    )


REMINDERS: dict[str, tuple[Category, str, str, bool]] = {
    "claim_due_24h": (Category.ASSIGNMENT, "Due in a day", "{title} is due within 24 hours.", True),
    "claim_due_1h": (Category.ASSIGNMENT, "Due in an hour", "{title} is due within the hour.", False),
    "claim_overdue": (
        Category.ASSIGNMENT,
        "Overdue",
        "{title} is overdue; late work is still accepted for a while.",
        True,
    ),
    "plan_ends_3d": (Category.SUBSCRIPTION, "Plan ends soon", "Your plan {title} ends in three days.", True),
    "plan_ends_1d": (Category.SUBSCRIPTION, "Plan ends tomorrow", "Your plan {title} ends in a day.", True),
    "work_waits_48h": (Category.ASSIGNMENT, "Work waits", "The work for {title} has waited two days for review.", True),
    "task_waits_24h": (Category.ASSIGNMENT, "Task waits", "{title} has waited a day for approval.", True),
}
"""By kind: category, title, message, and whether it is mailed."""


@notices_of.register
def _(event: ReminderDue, administrators: Sequence[AccountId]) -> tuple[Notice, ...]:
    category, title, message, mail = REMINDERS[event.kind]
    return tuple(
        Notice(
            recipient=one,
            category=category,
            title=title,
            message=message.format(title=_name(event.title)),
            metadata={"subject": str(event.subject_id)},
            mail=mail,
        )
        for one in (administrators if event.recipient is None else (event.recipient,))
    )
