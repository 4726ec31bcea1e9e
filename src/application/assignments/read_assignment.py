"""Show tasks to those who have to do with them.

- A task: its student, the holder of its claim, administrators, and any writer while it is open; for everybody else it
  does not exist.
- Its files: student, holder, administrators.
- The list: a student his own, an administrator all.
"""

from dataclasses import dataclass

from application.assignments.queries import AssignmentsQueries, AssignmentView
from application.core.identity.authenticate import Caller
from application.core.kernel.ports import Listing, Page
from domain.assignments.task import TaskId, TaskNotFound, TaskStatus
from domain.core.identity.roles import Role


@dataclass(frozen=True, slots=True)
class SeenAssignment:
    """A task, and whether the reader may open its files."""

    assignment: AssignmentView
    with_files: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAssignment:
    queries: AssignmentsQueries

    async def __call__(self, task_id: TaskId, caller: Caller) -> SeenAssignment:
        """Return the task. Raises TaskNotFound."""
        view = await self.queries.assignment(task_id)
        holder = None if view.claim is None or view.writer is None else view.writer.id
        if caller.is_admin or caller.account_id in (view.student.id, holder):
            return SeenAssignment(view, with_files=True)
        worked_on_it = view.writer is not None and view.writer.id == caller.account_id
        is_open = view.status == TaskStatus.APPROVED and Role.WRITER in caller.roles
        if worked_on_it or is_open:
            return SeenAssignment(view, with_files=False)
        raise TaskNotFound

    async def listed(self, caller: Caller, status: str | None, page: Page) -> Listing[AssignmentView]:
        """Return the tasks that the caller may list, newest first."""
        if caller.is_admin:
            return await self.queries.all(status, page)
        return await self.queries.of_student(caller.account_id, status, page)
