"""Delete what is kept for a while only.

- Receipts of idempotent requests live 24 h, delivered outbox messages 7 days, ended job runs 30 days.
- A bounded batch of each; running it twice, or late, is harmless.
"""

from dataclasses import dataclass
from datetime import timedelta

from application.core.kernel.ports import Clock
from application.core.kernel.receipts import KEY_LIFE
from application.core.operations.ports import Housekeeping

MESSAGE_LIFE = timedelta(days=7)
RUN_LIFE = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanUp:
    housekeeping: Housekeeping
    clock: Clock

    async def __call__(self, rows_max: int) -> int:
        """Return how many rows the largest of the three batches had; a full one is worth another call."""
        now = self.clock.now()
        receipts = await self.housekeeping.delete_receipts(before=now - KEY_LIFE, rows_max=rows_max)
        messages = await self.housekeeping.delete_messages(before=now - MESSAGE_LIFE, rows_max=rows_max)
        runs = await self.housekeeping.delete_runs(before=now - RUN_LIFE, rows_max=rows_max)
        return max(receipts, messages, runs)
