"""Remind people, each time once: a claim due in 24 h and in 1 h, a claim overdue, a plan that ends in 3 d and 1 d, and
administrators of work that waits 48 h and tasks that wait 24 h.
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.assignments.ports import AssignmentsUnitOfWork
from application.assignments.queries import AssignmentsQueries
from application.core.kernel.ports import Clock
from domain.assignments.events import ReminderDue


@dataclass(frozen=True, slots=True, kw_only=True)
class SendReminders:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    queries: AssignmentsQueries
    clock: Clock

    async def __call__(self, batch_max: int) -> int:
        """Return how many reminders were looked at, at most `batch_max`."""
        due = await self.queries.due_reminders(now=self.clock.now(), limit=batch_max)
        for reminder in due:
            async with self.unit_of_work() as uow:
                if await uow.reminders.is_new(reminder.key):
                    uow.record(
                        ReminderDue(
                            key=reminder.key,
                            kind=reminder.kind,
                            recipient=reminder.recipient,
                            subject_id=reminder.subject_id,
                            title=reminder.title,
                            due_at=reminder.due_at,
                        )
                    )
                    await uow.commit()
        return len(due)
