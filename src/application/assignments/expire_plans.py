"""End plans whose 30 days are over.

- Running claims are left alone (assignments.plan_end_keeps_claims).
- A writer is told only where nothing followed: a plan that was prolonged or upgraded ends without a word.
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.assignments.ports import AssignmentsUnitOfWork
from application.assignments.queries import AssignmentsQueries, DuePlan
from application.core.kernel.batches import handle_each
from application.core.kernel.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpirePlans:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    queries: AssignmentsQueries
    clock: Clock

    async def __call__(self, batch_max: int) -> int:
        """Return how many plans were handled, at most `batch_max`; one that fails does not stop the rest."""
        due = await self.queries.expired_plans(now=self.clock.now(), limit=batch_max)
        return await handle_each(due, self._expire, failure="plan_not_expired", named=lambda plan: plan.subscription_id)

    async def _expire(self, due: DuePlan) -> None:
        async with self.unit_of_work() as uow:
            writer = await uow.writers.get(due.writer_id)
            subscription = await uow.subscriptions.get(due.subscription_id)
            expired = subscription.expire(now=self.clock.now())
            if expired is None:
                return
            if writer.plan is None or writer.plan.subscription_id == subscription.id:
                uow.record(expired)
            await uow.commit()
