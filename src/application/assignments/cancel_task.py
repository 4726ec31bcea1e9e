"""Cancel a task.

- The student: freely before a claim, and within `free_return` of one while nothing was delivered; then in progress.
- An administrator: any visible or running task, with a reason, audited; work that waited for review is refused with it.
- The escrow goes back to the student; a writer's claim ends without cost, and his quota comes back
  (assignments.admin_end_gives_back).
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.assignments.ports import AssignmentsUnitOfWork
from application.assignments.queries import AssignmentsQueries, AssignmentView
from application.assignments.settle_escrow import settle_escrow
from application.assignments.terms import task_terms
from application.core.kernel.ports import AuditEntry, Clock, IdSource, Policies
from domain.assignments.task import Claim, Stage, TaskId, TaskNotFound
from domain.core.kernel.ids import AccountId


async def end_claim_without_cost(uow: AssignmentsUnitOfWork, claim: Claim | None) -> None:
    """Give a writer back the quota of a claim that others ended (rule assignments.admin_end_gives_back)."""
    if claim is not None:
        (await uow.writers.get(claim.writer_id)).end_without_cost(claim.day)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelTask:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    queries: AssignmentsQueries
    policies: Policies
    clock: Clock
    ids: IdSource

    async def __call__(self, task_id: TaskId, *, student_id: AccountId, reason: str | None) -> AssignmentView:
        """Return the task. Raises TaskNotFound, InProgress, WrongState."""
        async with self.unit_of_work() as uow:
            task = await uow.tasks.get(task_id)
            if task.student_id != student_id:
                raise TaskNotFound
            held_before, claim = task.held, task.claim
            cancelled = task.cancel(reason=reason, terms=task_terms(self.policies), now=self.clock.now())
            await end_claim_without_cost(uow, claim)
            await settle_escrow(uow, task, held_before, ids=self.ids, clock=self.clock)
            uow.record(cancelled)
            await uow.commit()
        return await self.queries.assignment(task_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelTaskAsAdmin:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    queries: AssignmentsQueries
    policies: Policies
    clock: Clock
    ids: IdSource

    async def __call__(self, task_id: TaskId, *, reason: str) -> AssignmentView:
        """Return the task. Raises TaskNotFound, WrongState."""
        async with self.unit_of_work() as uow:
            task = await uow.tasks.get(task_id)
            held_before, claim, status_before = task.held, task.claim, task.status
            now = self.clock.now()
            if claim is not None and task.stage is Stage.REVIEW:
                work = await uow.submissions.of_claim(claim.id)
                if work is not None:
                    work.reject(reason, now=now)
            cancelled = task.cancel_by_admin(reason=reason, terms=task_terms(self.policies), now=now)
            await end_claim_without_cost(uow, claim)
            await settle_escrow(uow, task, held_before, ids=self.ids, clock=self.clock)
            uow.record(cancelled)
            uow.audit(
                AuditEntry(
                    action="CANCEL_ASSIGNMENT",
                    target=f"task:{task_id}",
                    before={"status": status_before},
                    after={"status": task.status},
                    reason=reason,
                )
            )
            await uow.commit()
        return await self.queries.assignment(task_id)
