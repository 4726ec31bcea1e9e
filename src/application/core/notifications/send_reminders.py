"""Remind people, each time once: a vertical says what is due and what fact that is, its notices say it in words."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from application.core.kernel.batches import handle_each
from application.core.kernel.ports import Clock
from application.core.notifications.ports import NoticesUnitOfWork
from domain.core.kernel.events import Event


class Reminder(Protocol):
    """Something that somebody is to be reminded of."""

    @property
    def key(self) -> str:
        """Unique to the reminder and the person."""
        ...


Due = TypeVar("Due", bound=Reminder)
Due_co = TypeVar("Due_co", bound=Reminder, covariant=True)


class DueReminders(Protocol[Due_co]):
    """Reads the reminders that are due and were not sent, the most urgent first."""

    def __call__(self, *, now: datetime, limit: int) -> Awaitable[Sequence[Due_co]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SendReminders(Generic[Due]):
    unit_of_work: Callable[[], NoticesUnitOfWork]
    due: DueReminders[Due]
    fact: Callable[[Due], Event]
    clock: Clock

    async def __call__(self, batch_max: int) -> int:
        """Return how many reminders were sent, at most `batch_max`; one that fails does not stop the rest."""
        due = await self.due(now=self.clock.now(), limit=batch_max)
        return await handle_each(due, self._remind, failure="reminder_not_sent", named=lambda one: one.key)

    async def _remind(self, reminder: Due) -> None:
        async with self.unit_of_work() as uow:
            if await uow.reminders.is_new(reminder.key):
                uow.record(self.fact(reminder))
                await uow.commit()
