"""Remind people, each time once: of a visit in 24 h and in 1 h, of silence that will accept, of a payment window that
ends (gigs.send_reminders).
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.kernel.batches import handle_each
from application.core.kernel.ports import Clock
from application.gigs.order_ports import OrdersUnitOfWork
from application.gigs.order_queries import DueOrderReminder, OrderQueries
from domain.gigs.events import OrderReminderDue


@dataclass(frozen=True, slots=True, kw_only=True)
class RemindPeople:
    unit_of_work: Callable[[], OrdersUnitOfWork]
    queries: OrderQueries
    clock: Clock

    async def __call__(self, batch_max: int) -> int:
        """Return how many reminders were looked at, at most `batch_max`; one that fails does not stop the rest."""
        due = await self.queries.due_reminders(now=self.clock.now(), limit=batch_max)
        return await handle_each(due, self._remind, failure="reminder_not_sent", named=lambda one: one.key)

    async def _remind(self, reminder: DueOrderReminder) -> None:
        async with self.unit_of_work() as uow:
            if await uow.reminders.is_new(reminder.key):
                uow.record(
                    OrderReminderDue(
                        kind=str(reminder.kind),
                        recipient=reminder.recipient,
                        order_id=reminder.order_id,
                        service=reminder.service,
                        due_at=reminder.due_at,
                    )
                )
                await uow.commit()
