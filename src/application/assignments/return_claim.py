"""Return a claimed task, so that others can take it.

- Not while its work waits for review.
- Within `free_return` of the claim the day's quota comes back, once a day; later it stays used
  (assignments.return_is_free_early). No points are lost.
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.assignments.claim_task import ClaimedTask
from application.assignments.ports import AssignmentsUnitOfWork
from application.assignments.queries import assignment_view
from application.assignments.terms import claim_terms, task_terms
from application.core.kernel.ports import Clock, Policies
from domain.assignments.task import TaskId
from domain.core.kernel.ids import AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnClaim:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    policies: Policies
    clock: Clock

    async def __call__(self, task_id: TaskId, *, writer_id: AccountId, reason: str | None) -> ClaimedTask:
        """Return the open task and the quota. Raises TaskNotFound, NotClaimHolder, WorkInReview."""
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            load = await uow.tasks.get_for_claim(task_id, writer_id)
            task, writer = load.task, load.writer
            claim, was_early, returned = task.return_claim(
                writer_id, reason=reason, terms=task_terms(self.policies), now=now
            )
            writer.close_claim()
            if was_early:
                writer.return_early(claim.day)
            uow.record(returned)
            await uow.commit()
            view = assignment_view(task, uow.tasks.labels_of(task), writer=None)
        return ClaimedTask(view, writer.quota(claim_terms(self.policies), now))
