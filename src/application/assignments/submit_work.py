"""Deliver work for a claimed task.

- Only the holder of the claim, until it expires; after `due_at` the work is marked late.
- A new upload becomes the current version and waits for review again; earlier versions stay readable to
  administrators (assignments.resubmission_replaces).
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from application.assignments.ports import AssignmentsUnitOfWork
from application.assignments.queries import AssignmentsQueries, SubmissionView
from application.core.files.receive_files import IncomingFile, ReceiveFiles
from application.core.kernel.ports import Clock, IdSource
from domain.assignments.submission import Submission, SubmissionId, SubmissionVersion
from domain.assignments.task import TaskId
from domain.core.files.file import FileRequired
from domain.core.kernel.ids import AccountId, FileId

WRITER_FILES = "writer"
"""Purpose of the files of a submission; their subject is the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitWorkCommand:
    writer_id: AccountId
    task_id: TaskId
    files: Sequence[IncomingFile]
    uploads: Collection[FileId] = ()
    notes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitWork:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    queries: AssignmentsQueries
    receive_files: ReceiveFiles
    clock: Clock
    ids: IdSource

    async def __call__(self, command: SubmitWorkCommand) -> SubmissionView:
        """Return the submission. Raises FileRequired, TaskNotFound, NotClaimHolder, ClaimExpired, AlreadyCompleted,
        QuotaExceeded, UploadUnknown.
        """
        if not command.files and not command.uploads:
            raise FileRequired
        async with self.receive_files.claimed_inside(
            command.files, purpose=WRITER_FILES, subject=command.task_id, owner=command.writer_id
        ) as files:
            now = self.clock.now()
            async with self.unit_of_work() as uow:
                task = await uow.tasks.get(command.task_id)
                submitted = task.submit(command.writer_id, now=now)
                claimed = await self.receive_files.claim(
                    uow,
                    files,
                    uploads=command.uploads,
                    purpose=WRITER_FILES,
                    subject=command.task_id,
                    owner=command.writer_id,
                )
                assert task.claim is not None, "only the holder of a claim submits"
                submission = await uow.submissions.of_claim(task.claim.id)
                if submission is None:
                    submission = Submission.begin(
                        id=SubmissionId(self.ids.new()), task_id=task.id, claim=task.claim, now=now
                    )
                    uow.submissions.add(submission)
                    task.submission_id = submission.id
                submission.deliver(
                    SubmissionVersion(
                        number=task.version,
                        notes=command.notes,
                        is_late=submitted.is_late,
                        file_ids=tuple(file.id for file in claimed),
                        submitted_at=now,
                    )
                )
                uow.record(submitted)
                await uow.commit()
                submission_id: UUID = submission.id
        return await self.queries.submission(submission_id)
