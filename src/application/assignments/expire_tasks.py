"""End open tasks that nobody claimed until their due time, or within `open_life`; the student's money goes back."""

from collections.abc import Callable
from dataclasses import dataclass

from application.assignments.ports import AssignmentsUnitOfWork
from application.assignments.queries import AssignmentsQueries
from application.assignments.settle_escrow import settle_escrow
from application.assignments.terms import task_terms
from application.core.kernel.batches import handle_each
from application.core.kernel.ports import Clock, IdSource, Policies
from domain.assignments.task import TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireTasks:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    queries: AssignmentsQueries
    policies: Policies
    clock: Clock
    ids: IdSource

    async def __call__(self, batch_max: int) -> int:
        """Return how many tasks were handled, at most `batch_max`; one that fails does not stop the rest."""
        now = self.clock.now()
        open_since = now - task_terms(self.policies).open_life
        due = await self.queries.expired_tasks(now=now, open_since=open_since, limit=batch_max)
        return await handle_each(due, self._expire, failure="task_not_expired", named=str)

    async def _expire(self, task_id: TaskId) -> None:
        async with self.unit_of_work() as uow:
            task = await uow.tasks.get(task_id)
            held_before = task.held
            expired = task.expire(terms=task_terms(self.policies), now=self.clock.now())
            if expired is None:  # claimed, edited or ended since we looked
                return
            await settle_escrow(uow, task, held_before, ids=self.ids, clock=self.clock)
            uow.record(expired)
            await uow.commit()
