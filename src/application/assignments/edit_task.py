"""Edit a task that nobody has claimed.

- Only its student; any edit needs a new approval (assignments.edit_requeues).
- The hold follows the budget; from REJECTED the whole budget is held again.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from application.assignments.ports import AssignmentsUnitOfWork
from application.assignments.post_task import STUDENT_FILES
from application.assignments.queries import AssignmentsQueries, AssignmentView
from application.assignments.settle_escrow import settle_escrow
from application.assignments.terms import task_terms
from application.core.files.receive_files import IncomingFile, ReceiveFiles
from application.core.kernel.ports import Clock, IdSource, Policies
from domain.assignments.task import TaskId, TaskNotFound
from domain.core.files.file import FileTooLarge
from domain.core.files.policies import FILE_COUNT_MAX
from domain.core.kernel.ids import AccountId, FileId
from domain.core.kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class EditTaskCommand:
    """None keeps a value."""

    student_id: AccountId
    task_id: TaskId
    title: str | None = None
    description: str | None = None
    budget: Money | None = None
    due_at: datetime | None = None
    files: Sequence[IncomingFile] = ()
    uploads: Collection[FileId] = ()
    remove_files: Collection[FileId] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EditTask:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    queries: AssignmentsQueries
    receive_files: ReceiveFiles
    policies: Policies
    clock: Clock
    ids: IdSource

    async def __call__(self, command: EditTaskCommand) -> AssignmentView:
        """Return the task. Raises TaskNotFound, WrongState, BudgetOutOfRange, DueTooSoon, InsufficientFunds,
        FileTooLarge, QuotaExceeded, UploadUnknown.
        """
        async with (
            self.receive_files.claimed_inside(
                command.files, purpose=STUDENT_FILES, subject=command.task_id, owner=command.student_id
            ) as files,
            self.unit_of_work() as uow,
        ):
            task = await uow.tasks.get(command.task_id)
            if task.student_id != command.student_id:
                raise TaskNotFound
            held_before = task.held
            edited = task.edit(
                title=command.title,
                description=command.description,
                budget=command.budget,
                due_at=command.due_at,
                terms=task_terms(self.policies),
                now=self.clock.now(),
            )
            kept = 0
            for file in await uow.files.of_subject(STUDENT_FILES, task.id):
                if file.id in command.remove_files:
                    uow.files.remove(file)
                else:
                    kept += 1
            limit = self.policies.value(FILE_COUNT_MAX)
            if kept + len(files) + len(command.uploads) > limit:
                raise FileTooLarge(f"A task has at most {limit} files.", limit=limit)
            await self.receive_files.claim(
                uow,
                files,
                uploads=command.uploads,
                purpose=STUDENT_FILES,
                subject=task.id,
                owner=command.student_id,
            )
            await settle_escrow(uow, task, held_before, ids=self.ids, clock=self.clock)
            uow.record(edited)
            await uow.commit()
        return await self.queries.assignment(command.task_id)
