"""Let waiting end: what was cut off while being sent is unknown after a minute, what nobody answered shows as expired
after `payments.attempt_expiry`, and a payment whose life is over is closed.

Sweeping goes on after expiry, and a late success is still credited.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from application.core.kernel.batches import handle_each
from application.core.kernel.ports import Clock, Policies
from application.core.payments.ports import PaymentsUnitOfWork
from application.core.payments.queries import DueAttempt, PaymentQueries
from domain.core.kernel.ids import IntentId
from domain.core.payments.intent import SENDING_MAX, AttemptStatus
from domain.core.payments.policies import ATTEMPT_EXPIRY

EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireAttempts:
    unit_of_work: Callable[[], PaymentsUnitOfWork]
    payment_queries: PaymentQueries
    clock: Clock
    policies: Policies

    async def __call__(self, batch_max: int) -> int:
        """Return how many were handled of the kind that had most; one that fails does not stop the rest."""
        now = self.clock.now()
        expiry = timedelta(minutes=self.policies.value(ATTEMPT_EXPIRY))
        cut_off = await handle_each(
            await self.payment_queries.cut_off(now - SENDING_MAX, batch_max),
            self._lose_sight,
            failure="attempt_not_cut_off",
            named=_attempt_id,
        )
        expired = await handle_each(
            await self.payment_queries.waiting_since(now - expiry, batch_max),
            lambda one: self._expire(one, expiry),
            failure="attempt_not_expired",
            named=_attempt_id,
        )
        closed = await handle_each(
            await self.payment_queries.overdue_intents(now, batch_max),
            self._close,
            failure="payment_not_expired",
            named=str,
        )
        return max(cut_off, expired, closed)

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
            if attempt.has_waited(expiry, now):
                uow.record(intent.end_attempt(attempt, AttemptStatus.EXPIRED, EXPIRED, None, now))
            intent.expire_if_over(now)
            await uow.commit()

    async def _close(self, intent_id: IntentId) -> None:
        async with self.unit_of_work() as uow:
            (await uow.intents.get(intent_id)).expire_if_over(self.clock.now())
            await uow.commit()


def _attempt_id(one: DueAttempt) -> UUID:
    return one.attempt_id
