"""Post a task.

- Only students post (the door asks for the role); a second role on the same account is allowed.
- A task with a budget is stored only together with its hold; without the money nothing of it is stored, files included.
- It waits for an administrator; nobody else sees it yet.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from application.assignments.ports import AssignmentsUnitOfWork
from application.assignments.queries import AssignmentsQueries, AssignmentView
from application.assignments.settle_escrow import settle_escrow
from application.assignments.terms import task_terms
from application.core.files.receive_files import IncomingFile, ReceiveFiles
from application.core.kernel.ports import Clock, IdSource, Policies
from domain.assignments.task import Task, TaskId
from domain.core.kernel.ids import AccountId, FileId
from domain.core.kernel.money import Money

STUDENT_FILES = "student"
"""Purpose of the files of a task; their subject is the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostTaskCommand:
    student_id: AccountId
    title: str
    description: str
    budget: Money | None = None
    due_at: datetime | None = None
    files: Sequence[IncomingFile] = ()
    uploads: Collection[FileId] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PostTask:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    queries: AssignmentsQueries
    receive_files: ReceiveFiles
    policies: Policies
    clock: Clock
    ids: IdSource

    async def __call__(self, command: PostTaskCommand) -> AssignmentView:
        """Return the task. Raises BudgetOutOfRange, DueTooSoon, InsufficientFunds, FileTooLarge, EmptyFile,
        QuotaExceeded, UploadUnknown.
        """
        task_id = TaskId(self.ids.new())
        task, posted = Task.post(
            id=task_id,
            student_id=command.student_id,
            title=command.title,
            description=command.description,
            budget=command.budget,
            due_at=command.due_at,
            terms=task_terms(self.policies),
            now=self.clock.now(),
        )
        async with (
            self.receive_files.claimed_inside(
                command.files, purpose=STUDENT_FILES, subject=task_id, owner=command.student_id
            ) as files,
            self.unit_of_work() as uow,
        ):
            uow.tasks.add(task)
            await self.receive_files.claim(
                uow,
                files,
                uploads=command.uploads,
                purpose=STUDENT_FILES,
                subject=task_id,
                owner=command.student_id,
            )
            await settle_escrow(uow, task, None, ids=self.ids, clock=self.clock)
            uow.record(posted)
            await uow.commit()
        return await self.queries.assignment(task_id)
