"""Money paid for a task: out of its escrow, or, where there is none, out of the operating account."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType
from uuid import UUID

from domain.assignments.task import OwnWork, Stage, Task, TaskId, TaskStatus
from domain.core.kernel.errors import Conflict, FieldError, Invalid
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money

ReleaseId = NewType("ReleaseId", UUID)

DUPLICATE_WINDOW = timedelta(minutes=10)
"""How long an equal release without a task may be a mistake (rule assignments.bare_release_is_guarded)."""


class NothingToRelease(Conflict):
    """There is nothing to pay out for this task."""

    code = "assignments.nothing_to_release"


class AlreadyReleased(Conflict):
    """This task was already paid, with another amount or to another writer."""

    code = "assignments.already_released"


class AmountIsFixed(Invalid):
    """A funded task pays its budget; another amount cannot be sent."""

    code = "assignments.amount_is_fixed"


class NotAWriter(Invalid):
    """Money can be released to writers only."""

    code = "assignments.not_a_writer"


class ReleaseTooLarge(Invalid):
    """The amount is above what one release may pay."""

    code = "assignments.release_too_large"


class PossibleDuplicate(Conflict):
    """The same payment was made a few minutes ago; send an Idempotency-Key if it is meant."""

    code = "payments.possible_duplicate"


class ReleaseSource(StrEnum):
    """Where the money came from."""

    ESCROW = "escrow"
    OPERATING = "operating"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One payment to a writer; at most one per task."""

    id: ReleaseId
    task_id: TaskId | None
    writer_id: AccountId
    amount: Money
    fee: Money
    source: ReleaseSource
    released_by: AccountId
    note: str | None
    created_at: datetime

    @property
    def net(self) -> Money:
        """What the writer gets."""
        return self.amount - self.fee

    @property
    def reference(self) -> str:
        """The reference of its transfer (one per task: assignments.release_is_idempotent)."""
        return f"task:{self.task_id}:release" if self.task_id is not None else f"release:{self.id}"


def fixed_amount_matches(task: Task, amount: Money | None) -> None:
    """A funded task pays its budget (rule assignments.funded_amount_is_fixed). Raises AmountIsFixed."""
    if task.budget is not None and amount not in (None, task.budget):
        raise AmountIsFixed(errors=(FieldError("amount", "must equal the budget"),))


def unfunded_release_is_due(task: Task, writer_id: AccountId) -> None:
    """Without escrow only a completed task is paid, and only to its writer
    (rule assignments.unfunded_release_from_operating). Raises NothingToRelease.
    """
    worker = completed_by(task)
    if worker is None or worker != writer_id:
        raise NothingToRelease


def funded_release_is_due(task: Task, writer_id: AccountId | None) -> None:
    """Escrow is released for work that waits, to the writer who holds the claim; None names whoever that is.

    Rule assignments.release_is_idempotent. Raises NothingToRelease.
    """
    if task.stage is not Stage.REVIEW or (writer_id is not None and not task.is_held_by(writer_id)):
        raise NothingToRelease


def completed_by(task: Task) -> AccountId | None:
    """Return who completed a task, if it is complete."""
    return task.completed_by if task.status is TaskStatus.COMPLETED else None


def amount_is_within(amount: Money, release_max_minor: int) -> None:
    """Refuse an unfunded release that is too large. Raises ReleaseTooLarge."""
    if amount.minor > release_max_minor:
        raise ReleaseTooLarge(errors=(FieldError("amount", f"must be at most {Money(release_max_minor)}"),))


def not_for_oneself(admin_id: AccountId, writer_id: AccountId) -> None:
    """An administrator never releases money to himself (rule assignments.no_own_work). Raises OwnWork."""
    if admin_id == writer_id:
        raise OwnWork


def is_no_duplicate(*, was_paid_lately: bool, has_key: bool) -> None:
    """Refuse a release without a task that looks like the one before, unless a key says that it is meant
    (rule assignments.bare_release_is_guarded). Raises PossibleDuplicate.
    """
    if was_paid_lately and not has_key:
        raise PossibleDuplicate


def same_release(earlier: Release, writer_id: AccountId | None, amount: Money | None) -> None:
    """Let a repeat pass, refuse anything that differs. Raises AlreadyReleased."""
    if writer_id not in (None, earlier.writer_id) or amount not in (None, earlier.amount):
        raise AlreadyReleased
