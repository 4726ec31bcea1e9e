"""Approve or reject a posted task.

- Administrators only; each decision is audited in its transaction (assignments.every_decision_audited).
- At approval a given budget may be lowered, or one set where none was given and the student can pay it.
- Approving what is approved, or rejecting what is rejected, changes nothing and answers the task.
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.assignments.ports import AssignmentsUnitOfWork
from application.assignments.queries import AssignmentsQueries, AssignmentView
from application.assignments.settle_escrow import settle_escrow
from application.assignments.terms import task_terms
from application.core.kernel.ports import AuditEntry, Clock, IdSource, Policies
from domain.assignments.task import TaskId, TaskStatus
from domain.core.kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveTaskCommand:
    task_id: TaskId
    budget: Money | None = None
    note: str | None = None
    revision: int | None = None
    """The revision the administrator looked at; None: the one that stood when he asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveTask:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    queries: AssignmentsQueries
    policies: Policies
    clock: Clock
    ids: IdSource

    async def __call__(self, command: ApproveTaskCommand) -> AssignmentView:
        """Return the task. Raises TaskNotFound, WrongState, BudgetCannotRise, BudgetOutOfRange, InsufficientFunds."""
        seen = command.revision
        if seen is None:  # read before the lock is waited for: an edit that commits meanwhile was not looked at
            seen = (await self.queries.assignment(command.task_id)).revision
        async with self.unit_of_work() as uow:
            task = await uow.tasks.get(command.task_id)
            if not task.is_approved_already(command.budget):
                held_before, budget_before = task.held, task.budget
                approved = task.approve(
                    budget=command.budget,
                    seen_revision=seen,
                    terms=task_terms(self.policies),
                    now=self.clock.now(),
                )
                await settle_escrow(uow, task, held_before, ids=self.ids, clock=self.clock)
                uow.record(approved)
                uow.audit(
                    AuditEntry(
                        action="APPROVE_ASSIGNMENT",
                        target=f"task:{task.id}",
                        before={"budget": None if budget_before is None else str(budget_before)},
                        after={"budget": None if task.budget is None else str(task.budget)},
                        reason=command.note,
                    )
                )
                await uow.commit()
        return await self.queries.assignment(command.task_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectTask:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    queries: AssignmentsQueries
    policies: Policies
    clock: Clock
    ids: IdSource

    async def __call__(self, task_id: TaskId, *, reason: str | None) -> AssignmentView:
        """Return the task. Raises TaskNotFound, WrongState."""
        async with self.unit_of_work() as uow:
            task = await uow.tasks.get(task_id)
            if task.status is not TaskStatus.REJECTED:
                held_before = task.held
                rejected = task.reject(reason=reason, terms=task_terms(self.policies), now=self.clock.now())
                await settle_escrow(uow, task, held_before, ids=self.ids, clock=self.clock)
                uow.record(rejected)
                uow.audit(AuditEntry(action="REJECT_ASSIGNMENT", target=f"task:{task.id}", reason=reason))
                await uow.commit()
        return await self.queries.assignment(task_id)
