"""What the use cases of this vertical need from outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from application.core.files.ports import FilesUnitOfWork, ShownFile
from application.core.ledger.ports import EarningsUnitOfWork
from application.core.notifications.ports import NoticesUnitOfWork
from application.core.payments.ports import PaymentsUnitOfWork
from application.core.reputation.ports import ReputationUnitOfWork
from domain.assignments.plan import SubscriptionId, WriterSubscription
from domain.assignments.release import Release
from domain.assignments.submission import Submission
from domain.assignments.task import ClaimId, Task, TaskId
from domain.assignments.writer import Writer
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLabels:
    """What a reply shows of a task beside the task itself."""

    student: str
    """The student's username."""
    files: tuple[ShownFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimLoad:
    """Everything that decides a claim, read and locked at once."""

    task: Task
    writer: Writer
    writer_name: str
    is_blocked: bool


class TaskRepository(Protocol):
    """Tasks as whole aggregates. Promises (tests/contract/assignments/repositories.py):

    - `get` and `get_for_claim` lock the task until the unit of work ends and raise TaskNotFound;
    - a task loaded here is saved by commit, and by nothing else;
    - a second active claim on one task raises AlreadyClaimed at commit, whatever was read before.
    """

    def add(self, task: Task) -> None: ...

    async def get(self, task_id: TaskId) -> Task: ...

    async def get_for_claim(self, task_id: TaskId, writer_id: AccountId) -> ClaimLoad:
        """Return task and writer, both locked, the task first."""
        ...

    def labels_of(self, task: Task) -> TaskLabels:
        """Return what was read along with a task that was loaded here."""
        ...

    async def held_by(self, writer_id: AccountId) -> Sequence[TaskId]:
        """Return the tasks that a writer holds, in the order of ids, not locked."""
        ...

    async def follow_student(self, student_id: AccountId) -> None:
        """Hide a student's unended tasks while his account is shut, and show them while it is open."""
        ...


class WriterRepository(Protocol):
    """Writers' counters. Promises: `get` locks, and makes the counters where there are none; a writer is locked after
    the task that is decided with him.
    """

    async def get(self, writer_id: AccountId) -> Writer: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewLoad:
    """Everything that a review decides on, read and locked at once."""

    task: Task
    submission: Submission | None
    writer_name: str | None
    work_files: tuple[ShownFile, ...]
    """The files of the current version."""


class SubmissionRepository(Protocol):
    """Submissions. Promises (tests/contract/assignments/repositories.py):

    - they change only while their task is locked, so locking the task locks them;
    - `get_for_review` shows what was committed while it waited for that lock, the files of a new version too.
    """

    def add(self, submission: Submission) -> None: ...

    async def of_claim(self, claim_id: ClaimId) -> Submission | None:
        """Return the submission under a claim, if work was delivered."""
        ...

    async def get_for_review(self, submission_or_task_id: UUID) -> ReviewLoad:
        """Return a submission by its own id, or the latest by its task's; task, writer and rating are locked.

        Raises SubmissionNotFound.
        """
        ...


class SubscriptionRepository(Protocol):
    """Bought plans. Promises: at most one is pending for a writer (PlanPaymentInFlight at commit); `get` locks."""

    def add(self, subscription: WriterSubscription) -> None: ...

    async def get(self, subscription_id: SubscriptionId) -> WriterSubscription: ...

    async def pending_of(self, writer_id: AccountId) -> WriterSubscription | None: ...


class ReleaseRepository(Protocol):
    """Releases. Promises: at most one per task (AlreadyReleased at commit)."""

    def add(self, release: Release) -> None: ...

    async def of_task(self, task_id: TaskId) -> Release | None: ...

    async def was_paid_lately(self, writer_id: AccountId, amount: Money, *, since: datetime) -> bool:
        """Tell whether a release without a task paid this writer the same amount since then."""
        ...


class AssignmentsUnitOfWork(
    PaymentsUnitOfWork, EarningsUnitOfWork, FilesUnitOfWork, NoticesUnitOfWork, ReputationUnitOfWork, Protocol
):
    """One transaction over the vertical and the core it moves with."""

    @property
    def tasks(self) -> TaskRepository: ...

    @property
    def writers(self) -> WriterRepository: ...

    @property
    def submissions(self) -> SubmissionRepository: ...

    @property
    def subscriptions(self) -> SubscriptionRepository: ...

    @property
    def releases(self) -> ReleaseRepository: ...
