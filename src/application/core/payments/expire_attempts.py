"""Let waiting end: what was cut off while being sent is unknown after a minute, what nobody answered shows as expired
after `payments.attempt_expiry`, and a payment whose life is over is closed.

Sweeping goes on after expiry, and a late success is still credited.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from application.core.kernel.ports import Clock, Policies
from application.core.payments.ports import PaymentsUnitOfWork
from application.core.payments.queries import DueAttempt, PaymentQueries
from domain.core.kernel.ids import IntentId
from domain.core.payments.intent import SENDING_MAX, WAITING, AttemptStatus
from domain.core.payments.policies import ATTEMPT_EXPIRY

EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireAttempts:
    unit_of_work: Callable[[], PaymentsUnitOfWork]
    payment_queries: PaymentQueries
    clock: Clock
    policies: Policies

    async def __call__(self, batch_max: int) -> int:
        """Handle a batch of attempts and of payments."""
        now = self.clock.now()
        expiry = timedelta(minutes=self.policies.value(ATTEMPT_EXPIRY))
        cut_off = await self.payment_queries.cut_off(now - SENDING_MAX, batch_max)
        for one in cut_off:
            await self._lose_sight(one)
        expired = await self.payment_queries.waiting_since(now - expiry, batch_max)
        for one in expired:
            await self._expire(one, expiry)
        overdue = await self.payment_queries.overdue_intents(now, batch_max)
        for intent_id in overdue:
            await self._close(intent_id)
        return max(len(cut_off), len(expired), len(overdue))

    async def _lose_sight(self, one: DueAttempt) -> None:
        async with self.unit_of_work() as uow:
            intent = await uow.intents.get(one.intent_id)
            intent.attempt(one.attempt_id).lose_sight()
            await uow.commit()

    async def _expire(self, one: DueAttempt, expiry: timedelta) -> None:
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            intent = await uow.intents.get(one.intent_id)
            attempt = intent.attempt(one.attempt_id)
            if attempt.status in WAITING and attempt.sent_at is not None and attempt.sent_at + expiry <= now:
                uow.record(intent.end_attempt(attempt, AttemptStatus.EXPIRED, EXPIRED, None, now))
            if intent.expires_at <= now and intent.in_flight is None:
                intent.expire(now)
            await uow.commit()

    async def _close(self, intent_id: IntentId) -> None:
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            intent = await uow.intents.get(intent_id)
            if intent.expires_at <= now and intent.in_flight is None:
                intent.expire(now)
            await uow.commit()
