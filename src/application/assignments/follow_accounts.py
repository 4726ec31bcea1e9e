"""Follow what becomes of accounts.

- A suspended writer's claims go back without penalty; work in review stays (assignments.suspended_writer_returns).
- A suspended student's open tasks leave the list until he is back (assignments.suspended_student_hides).
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.assignments.cancel_task import end_claim_without_cost
from application.assignments.ports import AssignmentsUnitOfWork
from application.core.kernel.ports import Clock, Delivery
from domain.core.identity.events import AccountReinstated, AccountSuspended
from domain.core.kernel.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowSuspension:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    clock: Clock

    async def __call__(self, event: Event, delivery: Delivery) -> None:
        """React to AccountSuspended."""
        assert isinstance(event, AccountSuspended)
        async with self.unit_of_work() as uow:
            # all tasks before the writer, as everywhere: who holds a task may wait for its writer
            held = [await uow.tasks.get(task_id) for task_id in await uow.tasks.held_by(event.account_id)]
            for task in held:
                released = task.release_of_suspended(event.account_id, now=self.clock.now())
                if released is not None:
                    claim, returned = released
                    await end_claim_without_cost(uow, claim)
                    uow.record(returned)
            await uow.tasks.follow_student(event.account_id)
            uow.done(delivery)
            await uow.commit()


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowReinstatement:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]

    async def __call__(self, event: Event, delivery: Delivery) -> None:
        """React to AccountReinstated."""
        assert isinstance(event, AccountReinstated)
        async with self.unit_of_work() as uow:
            await uow.tasks.follow_student(event.account_id)
            uow.done(delivery)
            await uow.commit()
