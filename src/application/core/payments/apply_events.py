"""Apply stored callbacks that were not applied when they came: parked ones, and those whose request broke off.

One that cannot be applied is set aside with its error and tried again later; it does not stop the rest.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from application.core.kernel.ports import Clock
from application.core.payments.apply_event import ApplyEvent
from application.core.payments.gateway import CallbackMalformed
from application.core.payments.ports import CallbackReader, PaymentsUnitOfWork
from application.core.payments.queries import DueEvent, PaymentQueries
from domain.core.kernel.errors import DomainError

TRIED_AGAIN_AFTER: Final = timedelta(minutes=5)
_log = logging.getLogger("soko.payments")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyEvents:
    unit_of_work: Callable[[], PaymentsUnitOfWork]
    payment_queries: PaymentQueries
    senders: Mapping[str, CallbackReader]
    apply_event: ApplyEvent
    clock: Clock

    async def __call__(self, batch_max: int) -> int:
        """Apply a batch of what is due."""
        due = await self.payment_queries.due_events(self.clock.now(), batch_max)
        for event in due:
            try:
                notice = self.senders[event.gateway].parse(event.body, event.path)
                await self.apply_event(event.id, event.gateway, notice, received_at=event.received_at)
            except CallbackMalformed:
                await self._close_malformed(event.id)
            except (DomainError, KeyError) as error:
                _log.exception("event_set_aside", extra={"event_id": str(event.id)})
                await self._set_aside(event, type(error).__name__)
        return len(due)

    async def _close_malformed(self, event_id: UUID) -> None:
        async with self.unit_of_work() as uow:
            uow.gateway_events.close(event_id, "malformed", attempt_id=None)
            await uow.commit()

    async def _set_aside(self, event: DueEvent, error: str) -> None:
        async with self.unit_of_work() as uow:
            uow.gateway_events.park(event.id, until=self.clock.now() + TRIED_AGAIN_AFTER, error=error)
            await uow.commit()
