"""One piece of work from one student: its states, its money, and who holds it."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import ClassVar, NewType
from uuid import UUID

from domain.assignments.events import (
    ClaimReturned,
    ClaimTimedOut,
    TaskApproved,
    TaskCancelled,
    TaskClaimed,
    TaskExpired,
    TaskPosted,
    TaskRejected,
    WorkApproved,
    WorkRejected,
    WorkSubmitted,
)
from domain.core.kernel.errors import Conflict, FieldError, Forbidden, Invalid, NotFound
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money
from domain.core.kernel.periods import business_date

TaskId = NewType("TaskId", UUID)
ClaimId = NewType("ClaimId", UUID)

DUE_AHEAD_MAX = timedelta(days=3_650)
"""Beyond it a due time is a slip of the pen, and the end of a claim could be past the last year there is."""


class TaskNotFound(NotFound):
    """There is no such task."""

    code = "assignments.task_not_found"


class WrongState(Conflict):
    """The task does not allow that in its present state; `allowed` lists what it does."""

    code = "assignments.wrong_state"


class InProgress(Conflict):
    """A writer is working on this; only an administrator can end it now."""

    code = "assignments.in_progress"


class BudgetOutOfRange(Invalid):
    """The budget is outside the allowed range."""

    code = "assignments.budget_out_of_range"


class BudgetCannotRise(Invalid):
    """An administrator may lower a budget, never raise it."""

    code = "assignments.budget_cannot_rise"


class DueTooSoon(Invalid):
    """The due time is too close; a writer needs some hours."""

    code = "assignments.due_too_soon"


class NotClaimHolder(Forbidden):
    """Only the writer who holds the claim may do that."""

    code = "assignments.not_claim_holder"


class ClaimExpired(Conflict):
    """The time for this work is over."""

    code = "assignments.claim_expired"


class AlreadyCompleted(Conflict):
    """This task is complete."""

    code = "assignments.already_completed"


class WorkInReview(Conflict):
    """The work waits for review; the claim cannot be returned now."""

    code = "assignments.work_in_review"


class NothingToReview(Conflict):
    """No work waits for review here."""

    code = "assignments.nothing_to_review"


class SubmissionChanged(Conflict):
    """A newer version has arrived since; look at it first."""

    code = "assignments.submission_changed"


class RevisionLimitReached(Conflict):
    """Changes were asked for often enough; reopen or cancel the task."""

    code = "assignments.revision_limit"


class OwnWork(Forbidden):
    """An administrator does not decide on work or money of his own."""

    code = "assignments.own_work"


class TaskStatus(StrEnum):
    """The words of the wire."""

    PENDING_APPROVAL = "PENDING_APPROVAL"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


class Stage(StrEnum):
    """Where inside its status a task is."""

    WAITING = "waiting"
    OPEN = "open"
    WORKING = "working"
    REVIEW = "review"
    CHANGES = "changes"
    ENDED = "ended"


ALLOWED_ACTIONS: dict[Stage, tuple[str, ...]] = {
    Stage.WAITING: ("approve", "reject", "edit", "cancel"),
    Stage.OPEN: ("edit", "cancel", "claim", "admin_cancel"),
    Stage.WORKING: ("submit", "return", "admin_cancel"),
    Stage.CHANGES: ("submit", "return", "admin_cancel"),
    Stage.REVIEW: ("submit", "approve_submission", "reject_submission", "admin_cancel"),
    Stage.ENDED: (),
}


class RejectionOutcome(StrEnum):
    """What becomes of a task whose work was refused."""

    CHANGES = "changes"
    REOPEN = "reopen"
    CANCEL = "cancel"

    @classmethod
    def named(cls, word: str) -> "RejectionOutcome":
        """Return the outcome of a word. Raises Invalid."""
        try:
            return cls(word.lower())
        except ValueError as error:
            raise Invalid(errors=(FieldError("outcome", "must be changes, reopen or cancel"),)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTerms:
    """The bounds in force: money in KES cents, times as durations."""

    budget_min: int
    budget_max: int
    claim_window: timedelta
    window_floor: timedelta
    late_grace: timedelta
    revision_window: timedelta
    free_return: timedelta
    revision_rounds: int
    open_life: timedelta


class ClaimEnd(StrEnum):
    """How a claim ended."""

    RETURNED = "returned"
    TIMED_OUT = "timed_out"
    SUSPENDED = "suspended"
    COMPLETED = "completed"
    REOPENED = "reopened"
    CANCELLED = "cancelled"


@dataclass(slots=True, kw_only=True)
class Claim:
    """The exclusive right of one writer to work on a task until `expires_at`; work after `due_at` is late."""

    id: ClaimId
    writer_id: AccountId
    claimed_at: datetime
    due_at: datetime
    expires_at: datetime
    day: date
    """The business day on which the claim counts (rule assignments.day_is_nairobi)."""
    rounds: int = 0
    """How often changes were asked for."""
    ended_at: datetime | None = None
    end: ClaimEnd | None = None

    def is_late_at(self, moment: datetime) -> bool:
        """Tell whether work delivered at an instant is marked late (rule assignments.late_is_marked)."""
        return moment > self.due_at

    def has_expired_at(self, moment: datetime) -> bool:
        """Tell whether the claim is over at an instant."""
        return moment > self.expires_at


@dataclass(slots=True, kw_only=True)
class Task:
    """The aggregate; every verb checks the state, changes it and returns what happened."""

    FINAL: ClassVar = (TaskStatus.COMPLETED, TaskStatus.CANCELLED, TaskStatus.EXPIRED)

    id: TaskId
    student_id: AccountId
    title: str
    description: str
    status: TaskStatus
    stage: Stage
    budget: Money | None
    due_at: datetime | None
    rejection_reason: str | None
    approved_at: datetime | None
    created_at: datetime
    updated_at: datetime
    is_hidden: bool = False
    """The student is suspended: open tasks leave the list (rule assignments.suspended_student_hides)."""
    revision: int = 1
    """Counts edits, so that an approval never covers text it did not see."""
    moves: int = 0
    """Counts the holds and returns of its escrow; part of their references."""
    claim: Claim | None = None
    version: int = 0
    """The current version of the work under the present claim; 0 = none yet."""
    submission_id: UUID | None = None
    """The work under the present claim, and the accepted work of a complete task."""
    completed_by: AccountId | None = None
    """Whose work was accepted."""
    ended_claims: list[Claim] = field(default_factory=list)
    """Claims that ended in this unit of work, to be stored."""

    @classmethod
    def post(
        cls,
        *,
        id: TaskId,
        student_id: AccountId,
        title: str,
        description: str,
        budget: Money | None,
        due_at: datetime | None,
        terms: TaskTerms,
        now: datetime,
    ) -> tuple["Task", TaskPosted]:
        """Make a task that waits for approval. Raises BudgetOutOfRange, DueTooSoon."""
        budget_is_in_range(budget, terms)
        due_leaves_time(due_at, terms, now)
        task = cls(
            id=id,
            student_id=student_id,
            title=title,
            description=description,
            status=TaskStatus.PENDING_APPROVAL,
            stage=Stage.WAITING,
            budget=budget,
            due_at=due_at,
            rejection_reason=None,
            approved_at=None,
            created_at=now,
            updated_at=now,
        )
        return task, TaskPosted(task_id=id, student_id=student_id, title=title)

    @property
    def is_funded(self) -> bool:
        """Whether a budget is held for it, or was until it was paid out."""
        return self.budget is not None

    @property
    def held(self) -> Money | None:
        """What lies in escrow now: nothing once the task has ended or was refused."""
        if self.status in (*self.FINAL, TaskStatus.REJECTED):
            return None
        return self.budget

    @property
    def shown_stage(self) -> str:
        """The stage on the wire; an ended or refused task shows its status."""
        return self.status.lower() if self.stage is Stage.ENDED else str(self.stage)

    def wrong_state(self, terms: TaskTerms, now: datetime) -> WrongState:
        """Return the refusal that names what is possible now."""
        allowed = ("edit", "cancel") if self.status is TaskStatus.REJECTED else ALLOWED_ACTIONS[self.stage]
        if self.claim is not None and self.may_cancel_claimed(terms, now):
            allowed = (*allowed, "cancel")
        return WrongState(allowed=list(allowed))

    def may_cancel_claimed(self, terms: TaskTerms, now: datetime) -> bool:
        """Tell whether the student may still cancel what a writer has claimed: for some minutes, and before work
        arrives (rule assignments.short_cancel_after_claim).
        """
        return (
            self.claim is not None and self.stage is Stage.WORKING and now <= self.claim.claimed_at + terms.free_return
        )

    def is_held_by(self, writer_id: AccountId) -> bool:
        """Tell whether a writer holds the active claim."""
        return self.claim is not None and self.claim.writer_id == writer_id

    # -- the student --

    def edit(
        self,
        *,
        title: str | None,
        description: str | None,
        budget: Money | None,
        due_at: datetime | None,
        terms: TaskTerms,
        now: datetime,
    ) -> TaskPosted:
        """Change what was asked for; it needs a new approval (rule assignments.edit_requeues).

        None keeps a value. Raises WrongState, BudgetOutOfRange, DueTooSoon.
        """
        if self.claim is not None or self.status in (*self.FINAL, TaskStatus.IN_PROGRESS):
            raise self.wrong_state(terms, now)
        budget_is_in_range(budget, terms)
        due_leaves_time(due_at, terms, now)
        self.title = self.title if title is None else title
        self.description = self.description if description is None else description
        self.budget = self.budget if budget is None else budget
        self.due_at = self.due_at if due_at is None else due_at
        self.status, self.stage = TaskStatus.PENDING_APPROVAL, Stage.WAITING
        self.rejection_reason, self.approved_at = None, None
        self.revision += 1
        self.updated_at = now
        return TaskPosted(task_id=self.id, student_id=self.student_id, title=self.title)

    def cancel(self, *, reason: str | None, terms: TaskTerms, now: datetime) -> TaskCancelled:
        """End the task for its student: free before a claim, and for some minutes after one if nothing was delivered.

        Rules assignments.free_cancel_before_claim, assignments.short_cancel_after_claim. Raises InProgress, WrongState.
        """
        if self.status in self.FINAL:
            raise self.wrong_state(terms, now)
        if self.claim is not None and not self.may_cancel_claimed(terms, now):
            raise InProgress
        return self._cancel(by_admin=False, reason=reason, now=now)

    # -- administrators --

    def approve(self, *, budget: Money | None, seen_revision: int, terms: TaskTerms, now: datetime) -> TaskApproved:
        """Let writers see the task, at a lower budget or with one where none was given. Raises WrongState,
        BudgetCannotRise (rule assignments.admin_may_only_lower), BudgetOutOfRange.

        An approval never covers text it did not see: `seen_revision` is the one that was looked at.
        """
        if self.status is not TaskStatus.PENDING_APPROVAL or seen_revision != self.revision:
            raise self.wrong_state(terms, now)
        set_budget = None
        if budget is not None and budget != self.budget:
            if self.budget is not None and (budget.currency != self.budget.currency or budget > self.budget):
                raise BudgetCannotRise
            budget_is_in_range(budget, terms)
            set_budget = str(budget) if self.budget is None else None
            self.budget = budget
        self.status, self.stage = TaskStatus.APPROVED, Stage.OPEN
        self.approved_at, self.updated_at = now, now
        return TaskApproved(task_id=self.id, student_id=self.student_id, title=self.title, set_budget=set_budget)

    def is_approved_already(self, budget: Money | None) -> bool:
        """Tell whether approving again changes nothing (rule assignments.approve_is_idempotent)."""
        return self.status is TaskStatus.APPROVED and budget in (None, self.budget)

    def reject(self, *, reason: str | None, terms: TaskTerms, now: datetime) -> TaskRejected:
        """Refuse the task. Raises WrongState."""
        if self.status is not TaskStatus.PENDING_APPROVAL:
            raise self.wrong_state(terms, now)
        self.status, self.stage = TaskStatus.REJECTED, Stage.ENDED
        self.rejection_reason, self.updated_at = reason, now
        return TaskRejected(task_id=self.id, student_id=self.student_id, title=self.title, reason=reason)

    def cancel_by_admin(self, *, reason: str, terms: TaskTerms, now: datetime) -> TaskCancelled:
        """End a visible or running task. Raises WrongState."""
        if self.status not in (TaskStatus.APPROVED, TaskStatus.IN_PROGRESS):
            raise self.wrong_state(terms, now)
        return self._cancel(by_admin=True, reason=reason, now=now)

    # -- the claim --

    def claim_for(self, writer_id: AccountId, *, id: ClaimId, terms: TaskTerms, now: datetime) -> TaskClaimed:
        """Give the task to a writer whom the claim rules let through."""
        assert self.claim is None, "a rule let a second claim through"
        assert self.status is TaskStatus.APPROVED
        due_at = self._claim_due(terms, now)
        self.claim = Claim(
            id=id,
            writer_id=writer_id,
            claimed_at=now,
            due_at=due_at,
            expires_at=due_at + terms.late_grace,
            day=business_date(now),
        )
        self.status, self.stage, self.version, self.updated_at = TaskStatus.IN_PROGRESS, Stage.WORKING, 0, now
        return TaskClaimed(
            task_id=self.id, student_id=self.student_id, title=self.title, writer_id=writer_id, due_at=due_at
        )

    def _claim_due(self, terms: TaskTerms, now: datetime) -> datetime:
        """The task's own due time, not less than the floor from now, else the window (assignments.claim_window)."""
        if self.due_at is None:
            return now + terms.claim_window
        return max(self.due_at, now + terms.window_floor)

    def return_claim(
        self, writer_id: AccountId, *, reason: str | None, terms: TaskTerms, now: datetime
    ) -> tuple[Claim, bool, ClaimReturned]:
        """Open the task again for others; the flag says whether the return was early enough to give quota back.

        Raises NotClaimHolder, WorkInReview.
        """
        claim = self._claim_of(writer_id)
        if self.stage is Stage.REVIEW:
            raise WorkInReview
        self._end_claim(ClaimEnd.RETURNED, now)
        self._open(now)
        was_early = now <= claim.claimed_at + terms.free_return
        return claim, was_early, self._returned(claim, ClaimEnd.RETURNED, reason)

    def time_out(self, *, now: datetime) -> tuple[Claim, ClaimTimedOut] | None:
        """Take the task back from a writer who is too late, unless his work waits for review
        (rule assignments.clock_stops_in_review) or the claim still runs.
        """
        claim = self.claim
        if claim is None or self.stage is Stage.REVIEW or not claim.has_expired_at(now):
            return None
        self._end_claim(ClaimEnd.TIMED_OUT, now)
        self._open(now)
        return claim, ClaimTimedOut(
            task_id=self.id, student_id=self.student_id, title=self.title, writer_id=claim.writer_id
        )

    def release_of_suspended(self, writer_id: AccountId, *, now: datetime) -> tuple[Claim, ClaimReturned] | None:
        """Open the task of a suspended writer again; work in review stays (assignments.suspended_writer_returns)."""
        if not self.is_held_by(writer_id) or self.stage is Stage.REVIEW or self.claim is None:
            return None
        claim = self.claim
        self._end_claim(ClaimEnd.SUSPENDED, now)
        self._open(now)
        return claim, self._returned(claim, ClaimEnd.SUSPENDED, None)

    # -- the work --

    def submit(self, writer_id: AccountId, *, now: datetime) -> WorkSubmitted:
        """Take work, or a new version of it (rule assignments.resubmission_replaces).

        Raises NotClaimHolder, ClaimExpired, AlreadyCompleted.
        """
        if self.completed_by == writer_id:
            raise AlreadyCompleted
        claim = self._claim_of(writer_id)
        if self.stage is not Stage.REVIEW and claim.has_expired_at(now):
            raise ClaimExpired
        replaces = self.stage is Stage.REVIEW
        self.stage = Stage.REVIEW
        self.version += 1
        self.updated_at = now
        return WorkSubmitted(
            task_id=self.id,
            student_id=self.student_id,
            title=self.title,
            writer_id=writer_id,
            version=self.version,
            is_late=claim.is_late_at(now),
            replaces=replaces,
        )

    def accept_work(self, *, admin_id: AccountId, version: int | None, now: datetime) -> WorkApproved:
        """Complete the task. Raises NothingToReview, SubmissionChanged, OwnWork."""
        claim = self._reviewed_claim(admin_id, version)
        self._end_claim(ClaimEnd.COMPLETED, now)
        self.status, self.stage, self.completed_by = TaskStatus.COMPLETED, Stage.ENDED, claim.writer_id
        return WorkApproved(task_id=self.id, student_id=self.student_id, title=self.title, writer_id=claim.writer_id)

    def refuse_work(
        self, *, admin_id: AccountId, outcome: RejectionOutcome, reason: str, terms: TaskTerms, now: datetime
    ) -> tuple[Claim, WorkRejected]:
        """Ask for changes, open the task again, or end it.

        Raises NothingToReview, RevisionLimitReached (rule assignments.two_revision_rounds), OwnWork.
        """
        claim = self._reviewed_claim(admin_id, None)
        match outcome:
            case RejectionOutcome.CHANGES:
                if claim.rounds >= terms.revision_rounds:
                    raise RevisionLimitReached
                claim.rounds += 1
                self.stage = Stage.CHANGES
                claim.due_at = max(claim.due_at, now + terms.revision_window)
                claim.expires_at = max(claim.expires_at, claim.due_at + terms.late_grace)
                self.updated_at = now
            case RejectionOutcome.REOPEN:
                self._end_claim(ClaimEnd.REOPENED, now)
                self._open(now)
            case RejectionOutcome.CANCEL:
                self._cancel(by_admin=True, reason=reason, now=now)
        return claim, WorkRejected(
            task_id=self.id,
            student_id=self.student_id,
            title=self.title,
            writer_id=claim.writer_id,
            outcome=outcome,
            reason=reason,
        )

    # -- the clock --

    def expire(self, *, terms: TaskTerms, now: datetime) -> TaskExpired | None:
        """End an open task that nobody claimed until its due time, or within its open life."""
        if self.status is not TaskStatus.APPROVED or self.approved_at is None:
            return None
        if now <= (self.due_at or self.approved_at + terms.open_life):
            return None
        self.status, self.stage, self.updated_at = TaskStatus.EXPIRED, Stage.ENDED, now
        return TaskExpired(task_id=self.id, student_id=self.student_id, title=self.title)

    # -- shared steps --

    def _cancel(self, *, by_admin: bool, reason: str | None, now: datetime) -> TaskCancelled:
        holder = self.claim.writer_id if self.claim is not None else None
        if self.claim is not None:
            self._end_claim(ClaimEnd.CANCELLED, now)
        self.status, self.stage, self.updated_at = TaskStatus.CANCELLED, Stage.ENDED, now
        return TaskCancelled(
            task_id=self.id,
            student_id=self.student_id,
            title=self.title,
            writer_id=holder,
            by_admin=by_admin,
            reason=reason,
        )

    def _claim_of(self, writer_id: AccountId) -> Claim:
        if self.claim is None or self.claim.writer_id != writer_id:
            raise NotClaimHolder
        return self.claim

    def _reviewed_claim(self, admin_id: AccountId, version: int | None) -> Claim:
        if self.stage is not Stage.REVIEW or self.claim is None:
            raise NothingToReview
        if admin_id in (self.claim.writer_id, self.student_id):
            raise OwnWork
        if version is not None and version != self.version:
            raise SubmissionChanged
        return self.claim

    def _end_claim(self, end: ClaimEnd, now: datetime) -> None:
        assert self.claim is not None
        self.claim.ended_at, self.claim.end = now, end
        self.ended_claims.append(self.claim)
        self.claim, self.updated_at = None, now

    def _open(self, now: datetime) -> None:
        self.status, self.stage, self.updated_at = TaskStatus.APPROVED, Stage.OPEN, now
        self.version, self.submission_id = 0, None

    def _returned(self, claim: Claim, why: ClaimEnd, reason: str | None) -> ClaimReturned:
        return ClaimReturned(
            task_id=self.id,
            student_id=self.student_id,
            title=self.title,
            writer_id=claim.writer_id,
            why=why,
            reason=reason,
        )


def budget_is_in_range(budget: Money | None, terms: TaskTerms) -> None:
    """Refuse a budget that is too small or too large, or not in shillings. Raises BudgetOutOfRange."""
    if budget is None:
        return
    if budget.currency != "KES" or not terms.budget_min <= budget.minor <= terms.budget_max:
        lowest, highest = Money(terms.budget_min), Money(terms.budget_max)
        raise BudgetOutOfRange(errors=(FieldError("budget.amount", f"must be from {lowest} to {highest}"),))


def due_leaves_time(due_at: datetime | None, terms: TaskTerms, now: datetime) -> None:
    """Refuse a due time that leaves a writer no time, or that no calendar needs. Raises DueTooSoon, Invalid."""
    if due_at is not None and due_at < now + terms.window_floor:
        raise DueTooSoon(errors=(FieldError("due_at", "is too close"),))
    if due_at is not None and due_at > now + DUE_AHEAD_MAX:
        raise Invalid(errors=(FieldError("due_at", "is too far ahead"),))
