"""Raise an alarm for payments that were made and did not take effect (rule payments.processed_means_served)."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from application.core.kernel.ports import Clock
from application.core.payments.queries import PaymentQueries

SERVED_WITHIN: Final = timedelta(hours=1)
_log = logging.getLogger("soko.payments")


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchUnserved:
    payment_queries: PaymentQueries
    clock: Clock

    async def __call__(self, batch_max: int) -> int:
        """Log each such payment as an error, for the alarm; nothing is corrected by itself."""
        found = await self.payment_queries.unserved(self.clock.now() - SERVED_WITHIN, batch_max)
        for one in found:
            facts = {"reference": one.reference, "purpose": one.purpose, "subject": str(one.subject)}
            _log.error("payment_not_served", extra=facts)
        return 0  # they stay until somebody acts: a full batch is not asked for again at once
