"""Try soft failures of the last day once more (rule payments.retry_soft_only): a phone is prompted again once, between
08:00 and 21:00 business time, while its payment is open and nothing else was tried since.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from application.core.kernel.ports import Clock, IdSource, Policies
from application.core.payments.ports import Gateways, PaymentsUnitOfWork
from application.core.payments.queries import DueAttempt, PaymentQueries
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
        """Retry a batch; return how many prompts went out."""
        now = self.clock.now()
        earliest, latest = PHONES_RING
        if not earliest <= now.astimezone(ZoneInfo(BUSINESS_ZONE)).time() < latest:
            return 0
        failed = await self.payment_queries.soft_failures(now - LOOKS_BACK, SOFT_CODES, batch_max, now=now)
        record = RecordAnswer(unit_of_work=self.unit_of_work, clock=self.clock, ids=self.ids)
        sent = 0
        for one in failed:
            try:
                collection = await self._start(one)
                if collection is not None:
                    answer = await self.gateways.by_name(one.gateway).collect(collection)
                    await record.of_collection(one.intent_id, collection.attempt_id, answer)
                    sent += 1
            except DomainError:  # the phone or the payment was taken meanwhile
                _log.info("payment_not_retried", extra={"attempt_id": str(one.attempt_id)})
        return sent

    async def _start(self, one: DueAttempt) -> Collection | None:
        now = self.clock.now()
        assert one.phone is not None, "only prompts are asked for"
        async with self.unit_of_work() as uow:
            pushes = await uow.intents.pushes(one.phone, since=now - PUSH_WINDOW)
            recent = [push for push in pushes if push.sent_at > now - PUSH_WINDOW]
            if any(push.status in WAITING for push in pushes) or len(recent) >= self.policies.value(PUSH_LIMIT):
                return None
            intent = await uow.intents.get(one.intent_id)
            if not intent.is_open or intent.attempts[-1].id != one.attempt_id:
                return None
            failed = intent.attempts[-1]
            attempt = intent.start_attempt(
                id=self.ids.new(),
                method=failed.method,
                gateway=failed.gateway,
                phone=failed.phone,
                now=now,
                is_retry=True,
            )
            await uow.commit()
        return collection_of(intent, attempt)
