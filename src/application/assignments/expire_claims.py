"""Take tasks back from writers who are too late.

- The task opens again, the writer loses up to five points and keeps the quota used (assignments.timeout_costs_five).
- Work that waits for review stops the clock (assignments.clock_stops_in_review).
- Each claim is its own transaction; running twice or late changes nothing more.
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.assignments.ports import AssignmentsUnitOfWork
from application.assignments.queries import AssignmentsQueries
from application.core.kernel.batches import handle_each
from application.core.kernel.ports import Clock, Policies
from domain.assignments.points import charge_timed_out_claim
from domain.assignments.policies import POINTS_TIMEOUT
from domain.assignments.task import TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireClaims:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    queries: AssignmentsQueries
    policies: Policies
    clock: Clock

    async def __call__(self, batch_max: int) -> int:
        """Return how many overdue claims were handled, at most `batch_max`; one that fails does not stop the rest."""
        due = await self.queries.expired_claims(now=self.clock.now(), limit=batch_max)
        return await handle_each(due, self._expire, failure="claim_not_expired", named=str)

    async def _expire(self, task_id: TaskId) -> None:
        async with self.unit_of_work() as uow:
            task = await uow.tasks.get(task_id)
            timed_out = task.time_out(now=self.clock.now())
            if timed_out is None:  # work arrived, or somebody ended it, since we looked
                return
            claim, event = timed_out
            (await uow.writers.get(claim.writer_id)).close_claim()
            rating = await uow.ratings.get(claim.writer_id)
            uow.ratings.add(charge_timed_out_claim(rating, claim.id, self.policies.value(POINTS_TIMEOUT)))
            uow.record(event)
            await uow.commit()
