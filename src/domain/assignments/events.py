"""What happened on the assignment market."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from domain.core.kernel.events import Event
from domain.core.kernel.ids import AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvent(Event):
    """Something about one task. The title is kept as it was, so that a notice needs no look-up."""

    area: ClassVar[str] = "assignments"
    task_id: UUID
    student_id: AccountId
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPosted(TaskEvent):
    """A task waits for approval: new, or edited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskApproved(TaskEvent):
    """Writers can see and claim a task. `set_budget` is the budget an administrator set where none was given."""

    set_budget: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRejected(TaskEvent):
    """An administrator refused a task."""

    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCancelled(TaskEvent):
    """A task ended without result; `writer_id` had claimed it."""

    writer_id: AccountId | None
    by_admin: bool
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskExpired(TaskEvent):
    """Nobody claimed a task in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskClaimed(TaskEvent):
    """A writer has taken a task."""

    writer_id: AccountId
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimReturned(TaskEvent):
    """A claim ended before work was accepted, and the task is open again."""

    writer_id: AccountId
    why: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimTimedOut(TaskEvent):
    """A writer did not deliver in time."""

    writer_id: AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkSubmitted(TaskEvent):
    """Work, or a new version of it, waits for review."""

    writer_id: AccountId
    version: int
    is_late: bool
    replaces: bool = False
    """Whether it takes the place of a version that nobody has decided on yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkRejected(TaskEvent):
    """Work was refused; the outcome says what becomes of the task."""

    writer_id: AccountId
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkApproved(TaskEvent):
    """Work was accepted and the task is complete; `paid` is what the writer got for it out of escrow, if anything."""

    writer_id: AccountId
    paid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentReleased(Event):
    """A writer was paid."""

    area: ClassVar[str] = "assignments"
    release_id: UUID
    writer_id: AccountId
    task_id: UUID | None
    net: str
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanEvent(Event):
    """Something about one writer's plan."""

    area: ClassVar[str] = "assignments"
    subscription_id: UUID
    writer_id: AccountId
    plan: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanActivated(PlanEvent):
    """A plan runs until `ends_at`."""

    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanExpired(PlanEvent):
    """A plan has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReminderDue(Event):
    """Somebody should be reminded, once per `key`."""

    area: ClassVar[str] = "assignments"
    key: str
    kind: str
    recipient: AccountId | None
    """None: every administrator."""
    subject_id: UUID
    title: str
    due_at: datetime | None
