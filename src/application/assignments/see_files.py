"""Who may open the files of tasks and submissions.

- A task's files: its student, the holder of its claim, administrators.
- A submission's files: its writer and administrators; the student once the task is complete.
"""

from dataclasses import dataclass
from typing import Protocol

from application.core.identity.authenticate import Caller
from domain.assignments.task import TaskId, TaskStatus
from domain.core.files.file import StoredFile
from domain.core.kernel.ids import AccountId


@dataclass(frozen=True, slots=True)
class TaskParties:
    """Who has to do with a task now."""

    student_id: AccountId
    holder_id: AccountId | None
    status: TaskStatus


class TaskAudience(Protocol):
    """Knows a task's people; one round trip."""

    async def parties(self, task_id: TaskId) -> TaskParties | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SeeTaskFiles:
    tasks: TaskAudience

    async def may_see(self, file: StoredFile, caller: Caller) -> bool:
        """Tell whether the caller may open a file of the task."""
        if caller.is_admin or file.owner == caller.account_id:
            return True
        parties = await self.tasks.parties(TaskId(file.subject))
        return parties is not None and caller.account_id in (parties.student_id, parties.holder_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeeSubmittedFiles:
    tasks: TaskAudience

    async def may_see(self, file: StoredFile, caller: Caller) -> bool:
        """Tell whether the caller may open a file of the work."""
        if caller.is_admin or file.owner == caller.account_id:
            return True
        parties = await self.tasks.parties(TaskId(file.subject))
        return (
            parties is not None and parties.student_id == caller.account_id and parties.status is TaskStatus.COMPLETED
        )
