"""Claim a task.

- A writer with a plan may claim, never his own task; so many a Nairobi day as the plan says, so many open at once as
  his badge says. CLAIM_RULES is the list, in the order in which refusals are seen.
- One active claim per task; repeating one's own answers it again and uses no quota.
- Money does not move here: escrow was funded when the task was posted.
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.assignments.ports import AssignmentsUnitOfWork
from application.assignments.queries import AssignmentView, Person, assignment_view
from application.assignments.terms import claim_terms, task_terms
from application.core.kernel.ports import Clock, IdSource, Policies
from domain.assignments.claim_rules import ClaimCase, may_claim, the_two_are_not_blocked
from domain.assignments.task import ClaimId, TaskId
from domain.assignments.writer import Quota
from domain.core.kernel.ids import AccountId


@dataclass(frozen=True, slots=True)
class ClaimedTask:
    """The task as its holder sees it, and what he may still claim."""

    assignment: AssignmentView
    quota: Quota


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimTask:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    policies: Policies
    clock: Clock
    ids: IdSource

    async def __call__(self, task_id: TaskId, *, writer_id: AccountId) -> ClaimedTask:
        """Return the claim. Raises TaskNotFound and whatever CLAIM_RULES raise."""
        now, terms = self.clock.now(), claim_terms(self.policies)
        async with self.unit_of_work() as uow:
            load = await uow.tasks.get_for_claim(task_id, writer_id)
            task, writer = load.task, load.writer
            case = ClaimCase(task=task, writer=writer, is_blocked=load.is_blocked, terms=terms, now=now)
            work = None
            if task.claim is not None and task.is_held_by(writer_id):
                the_two_are_not_blocked(case)
                if task.version:
                    work = await uow.submissions.of_claim(task.claim.id)
            else:
                may_claim(case)
                uow.record(
                    task.claim_for(writer_id, id=ClaimId(self.ids.new()), terms=task_terms(self.policies), now=now)
                )
                writer.count_claim(now)
                await uow.commit()
            view = assignment_view(
                task,
                uow.tasks.labels_of(task),
                writer=Person(id=writer_id, username=load.writer_name),
                submission=work,
            )
        return ClaimedTask(view, writer.quota(terms, now))
