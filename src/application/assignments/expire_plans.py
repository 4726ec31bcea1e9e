"""End plans whose 30 days are over; running claims are left alone (assignments.plan_end_keeps_claims)."""

from collections.abc import Callable
from dataclasses import dataclass

from application.assignments.ports import AssignmentsUnitOfWork
from application.assignments.queries import AssignmentsQueries
from application.core.kernel.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpirePlans:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    queries: AssignmentsQueries
    clock: Clock

    async def __call__(self, batch_max: int) -> int:
        """Return how many plans were looked at, at most `batch_max`."""
        now = self.clock.now()
        due = await self.queries.expired_plans(now=now, limit=batch_max)
        for subscription_id in due:
            async with self.unit_of_work() as uow:
                subscription = await uow.subscriptions.get(subscription_id)
                expired = subscription.expire(now=now)
                if expired is not None:
                    uow.record(expired)
                    await uow.commit()
        return len(due)
