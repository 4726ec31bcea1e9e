"""Delete sign-ins, codes, tickets, counters and revocations whose life is over, and claims that cannot be proved."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from application.core.kernel.ports import Clock

CLAIM_LIFE = timedelta(days=30)
"""An unverified claim on an address that another account has verified is dropped after this."""
KEPT_FOR = timedelta(days=1)
"""What has ended is kept this long, for whoever looks into a complaint of today."""


class IdentityHousekeeping(Protocol):
    """Deletes what is over. Promises: at most `rows_max` rows of each kind a call; rows in use are left for later."""

    async def clean(self, *, now: datetime, ended_before: datetime, claims_before: datetime, rows_max: int) -> int:
        """Return how many rows the largest batch had."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanTokens:
    housekeeping: IdentityHousekeeping
    clock: Clock

    async def __call__(self, rows_max: int) -> int:
        """Return how many rows the largest batch had; a full one is worth another call."""
        now = self.clock.now()
        return await self.housekeeping.clean(
            now=now, ended_before=now - KEPT_FOR, claims_before=now - CLAIM_LIFE, rows_max=rows_max
        )
