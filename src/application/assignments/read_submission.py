"""Show work to its writer, to administrators, and to the student of its task.

- The student sees that work exists; its files and the list show it to him once the task is complete.
"""

import uuid
from dataclasses import dataclass

from application.assignments.queries import AssignmentsQueries, SubmissionView
from application.core.identity.authenticate import Caller
from application.core.kernel.ports import Listing, Page
from domain.assignments.submission import SubmissionNotFound
from domain.core.identity.roles import Role


@dataclass(frozen=True, slots=True)
class SeenSubmission:
    """Work, and whether the reader may open its files."""

    submission: SubmissionView
    with_files: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSubmission:
    queries: AssignmentsQueries

    async def __call__(self, submission_id: uuid.UUID, caller: Caller) -> SeenSubmission:
        """Return the work. Raises SubmissionNotFound."""
        view = await self.queries.submission(submission_id)
        if caller.is_admin or caller.account_id == view.writer.id:
            return SeenSubmission(view, with_files=True)
        if caller.account_id == view.student_id:
            return SeenSubmission(view, with_files=view.task_is_completed)
        raise SubmissionNotFound

    async def listed(self, caller: Caller, page: Page) -> Listing[SubmissionView]:
        """Return the work that the caller may list."""
        if caller.is_admin:
            return await self.queries.submissions(None, page)
        if Role.WRITER in caller.roles:
            return await self.queries.submissions_of_writer(caller.account_id, page)
        return await self.queries.submissions_for_student(caller.account_id, page)
