"""The writer's work under one claim: one submission, whose versions are kept."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType, Self
from uuid import UUID

from domain.assignments.task import Claim, ClaimId, NothingToReview, Task, TaskId
from domain.core.kernel.errors import NotFound
from domain.core.kernel.ids import AccountId, FileId

SubmissionId = NewType("SubmissionId", UUID)


class SubmissionNotFound(NotFound):
    """There is no such submission."""

    code = "assignments.submission_not_found"


class SubmissionStatus(StrEnum):
    """The words of the wire."""

    PENDING_REVIEW = "PENDING_REVIEW"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionVersion:
    """What was delivered at one moment."""

    number: int
    notes: str
    is_late: bool
    file_ids: tuple[FileId, ...]
    submitted_at: datetime


@dataclass(slots=True, kw_only=True)
class Submission:
    """The work of one claim. Its current version waits for review, or was decided."""

    id: SubmissionId
    task_id: TaskId
    claim_id: ClaimId
    writer_id: AccountId
    status: SubmissionStatus
    version: int
    notes: str
    is_late: bool
    rejection_reason: str | None
    created_at: datetime
    updated_at: datetime
    reviewed_at: datetime | None
    new_versions: list[SubmissionVersion] = field(default_factory=list)
    """Versions that arrived in this unit of work, to be stored."""

    @classmethod
    def begin(cls, *, id: SubmissionId, task_id: TaskId, claim: Claim, now: datetime) -> Self:
        """Return the work of a claim before its first version."""
        return cls(
            id=id,
            task_id=task_id,
            claim_id=claim.id,
            writer_id=claim.writer_id,
            status=SubmissionStatus.PENDING_REVIEW,
            version=0,
            notes="",
            is_late=False,
            rejection_reason=None,
            created_at=now,
            updated_at=now,
            reviewed_at=None,
        )

    def deliver(self, version: SubmissionVersion) -> None:
        """Take a version as the current one (rule assignments.resubmission_replaces)."""
        assert version.number == self.version + 1
        self.new_versions.append(version)
        self.version, self.notes, self.is_late = version.number, version.notes, version.is_late
        self.status, self.rejection_reason, self.reviewed_at = SubmissionStatus.PENDING_REVIEW, None, None
        self.updated_at = version.submitted_at

    def approve(self, *, now: datetime) -> None:
        """Record that the work was accepted."""
        self.status, self.reviewed_at, self.updated_at = SubmissionStatus.APPROVED, now, now

    def reject(self, reason: str, *, now: datetime) -> None:
        """Record that the work was refused, and why."""
        self.status, self.rejection_reason = SubmissionStatus.REJECTED, reason
        self.reviewed_at, self.updated_at = now, now


def current_work(task: Task, submission: Submission | None) -> Submission:
    """Return the work that the task waits with, or was completed by.

    Raises NothingToReview for a task without work, and for work under a claim that has ended.
    """
    if submission is None or submission.id != task.submission_id:
        raise NothingToReview
    return submission
