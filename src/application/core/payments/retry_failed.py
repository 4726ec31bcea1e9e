"""Try soft failures of the last day once more (rule payments.retry_soft_only), while their payment is open and in its
life and nothing else was tried since. It counts as an attempt, and the last one is left to the payer.

- A phone is prompted again once, between 08:00 and 21:00 business time.
- What needs nobody to do anything is charged again at any hour, at most three times, at most every half hour: a card by
  the token that the gateway gave, an account that is connected to it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from application.core.kernel.ports import Clock, IdSource, Policies
from application.core.payments.ports import Gateways, PaymentsUnitOfWork
from application.core.payments.queries import DueAttempt, PaymentQueries, RetryTerms
from application.core.payments.record_answer import RecordAnswer
from application.core.payments.start_payment import PUSH_WINDOW, collection_of
from domain.core.kernel.errors import DomainError
from domain.core.kernel.periods import BUSINESS_ZONE
from domain.core.payments.gateway import Collection
from domain.core.payments.intent import WAITING
from domain.core.payments.policies import PUSH_LIMIT

SOFT_CODES: Final = ("NETWORK_ERROR", "INSUFFICIENT_FUNDS", "BUSY")
LOOKS_BACK: Final = timedelta(hours=24)
PHONES_RING: Final = (time(8), time(21))
RETRIES_MAX: Final = 3
RETRY_PAUSE: Final = timedelta(minutes=29)
"""Between two retries of one payment: less than between two runs, or every second run would find it too young."""

_log = logging.getLogger("soko.payments")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryFailed:
    unit_of_work: Callable[[], PaymentsUnitOfWork]
    payment_queries: PaymentQueries
    gateways: Gateways
    clock: Clock
    ids: IdSource
    policies: Policies

    async def __call__(self, batch_max: int) -> int:
        """Retry a batch; return how many requests went out."""
        record = RecordAnswer(unit_of_work=self.unit_of_work, clock=self.clock, ids=self.ids)
        sent = 0
        for one in await self.payment_queries.soft_failures(self._terms(self.clock.now()), batch_max):
            try:
                collection = await self._start(one)
                if collection is not None:
                    answer = await self.gateways.by_name(one.gateway).collect(collection)
                    await record.of_collection(one.intent_id, collection.attempt_id, answer)
                    sent += 1
            except DomainError:  # the phone or the payment was taken meanwhile
                _log.info("payment_not_retried", extra={"attempt_id": str(one.attempt_id)})
        return sent

    def _terms(self, now: datetime) -> RetryTerms:
        earliest, latest = PHONES_RING
        return RetryTerms(
            now=now,
            failed_after=now - LOOKS_BACK,
            codes=SOFT_CODES,
            prompts=earliest <= now.astimezone(ZoneInfo(BUSINESS_ZONE)).time() < latest,
            gateways=[one.name for one in self.gateways.bound if one.capabilities.charges_again],
            retries_max=RETRIES_MAX,
            last_retry_before=now - RETRY_PAUSE,
        )

    async def _start(self, one: DueAttempt) -> Collection | None:
        """Return what is to be sent, committed; None where somebody was faster. Raises GatewayNotBound."""
        now, gateway = self.clock.now(), self.gateways.by_name(one.gateway)
        async with self.unit_of_work() as uow:
            if one.phone is not None and await self._phone_is_busy(uow, one.phone, now):
                return None
            intent = await uow.intents.get(one.intent_id)
            failed = intent.attempts[-1]
            is_idle = intent.expires_at > now and intent.in_flight is None  # one that was closed refuses by itself
            if not is_idle or failed.id != one.attempt_id or intent.attempts_left in {0, 1}:
                return None
            attempt = intent.start_attempt(
                id=self.ids.new(),
                method=failed.method,
                gateway=failed.gateway,
                phone=failed.phone,
                now=now,
                is_retry=True,
                checks_after=gateway.capabilities.checks_after,
            )
            attempt.card = failed.card
            await uow.commit()
        return replace(collection_of(intent, attempt), token=None if failed.card is None else failed.card.token)

    async def _phone_is_busy(self, uow: PaymentsUnitOfWork, phone: str, now: datetime) -> bool:
        """Tell whether a prompt waits on the phone, or it was prompted too often."""
        pushes = await uow.intents.pushes(phone, since=now - PUSH_WINDOW)
        recent = [push for push in pushes if push.sent_at > now - PUSH_WINDOW]
        return any(push.status in WAITING for push in pushes) or len(recent) >= self.policies.value(PUSH_LIMIT)
