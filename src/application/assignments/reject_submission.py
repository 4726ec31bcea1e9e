"""Refuse delivered work.

- `changes` asks for a new version: the claim goes on with a new window if less is left, at most `revision_rounds` times
  (assignments.two_revision_rounds).
- `reopen` ends the claim without cost for the writer and opens the task to others; `cancel` also ends the task and
  gives the student his money back (assignments.admin_end_gives_back).
- Administrators only, with a reason, audited.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from application.assignments.cancel_task import end_claim_without_cost
from application.assignments.ports import AssignmentsUnitOfWork
from application.assignments.queries import Person, SubmissionView, submission_view
from application.assignments.settle_escrow import settle_escrow
from application.assignments.terms import task_terms
from application.core.kernel.ports import AuditEntry, Clock, IdSource, Policies
from domain.assignments.submission import current_work
from domain.assignments.task import RejectionOutcome
from domain.core.kernel.ids import AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectSubmissionCommand:
    admin_id: AccountId
    submission_or_task_id: UUID
    reason: str
    outcome: RejectionOutcome = RejectionOutcome.CHANGES


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectSubmission:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    policies: Policies
    clock: Clock
    ids: IdSource

    async def __call__(self, command: RejectSubmissionCommand) -> SubmissionView:
        """Return the submission. Raises SubmissionNotFound, NothingToReview, RevisionLimitReached, OwnWork."""
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            review = await uow.submissions.get_for_review(command.submission_or_task_id)
            task, submission, held_before = review.task, current_work(review.task, review.submission), review.task.held
            claim, rejected = task.refuse_work(
                admin_id=command.admin_id,
                outcome=command.outcome,
                reason=command.reason,
                terms=task_terms(self.policies),
                now=now,
            )
            submission.reject(command.reason, now=now)
            if command.outcome is not RejectionOutcome.CHANGES:
                await end_claim_without_cost(uow, claim)
            await settle_escrow(uow, task, held_before, ids=self.ids, clock=self.clock)
            uow.record(rejected)
            uow.audit(
                AuditEntry(
                    action="REJECT_SUBMISSION",
                    target=f"submission:{submission.id}",
                    after={"task": str(task.id), "outcome": command.outcome, "version": submission.version},
                    reason=command.reason,
                )
            )
            await uow.commit()
            writer = Person(id=submission.writer_id, username=review.writer_name or "")
        return submission_view(submission, task, writer=writer, files=review.work_files)
