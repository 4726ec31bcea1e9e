"""Show work to its writer, to administrators, and to the student of its task.

- The student sees that work exists and what became of it; its files open to him once the task is complete.
- The list: an administrator all; everybody else what he wrote and what was written for him.
"""

import uuid
from dataclasses import dataclass

from application.assignments.queries import AssignmentsQueries, SubmissionView
from application.core.identity.authenticate import Caller
from application.core.kernel.ports import Listing, Page
from domain.assignments.submission import SubmissionNotFound


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
        if caller.is_admin or caller.account_id in (view.writer.id, view.student_id):
            return _seen_by(caller, view)
        raise SubmissionNotFound

    async def listed(self, caller: Caller, page: Page) -> Listing[SeenSubmission]:
        """Return the work that the caller may list."""
        if caller.is_admin:
            found = await self.queries.submissions(None, page)
        else:
            found = await self.queries.submissions_of(caller.account_id, page)
        return Listing([_seen_by(caller, view) for view in found.results], next=found.next, previous=found.previous)


def _seen_by(caller: Caller, view: SubmissionView) -> SeenSubmission:
    may_open = caller.is_admin or caller.account_id == view.writer.id or view.task_is_completed
    return SeenSubmission(view, with_files=may_open)
