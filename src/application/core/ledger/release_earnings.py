"""Release the earnings whose waiting time is over.

- Each hold is released once, in a transaction of its own; two workers never take the same one.
- A hold that fails is logged and passed over; the others go on (jobs.bounded_and_resumable).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from application.core.kernel.ports import Clock, IdSource
from application.core.ledger.ports import EarningsUnitOfWork
from domain.core.kernel.ids import TransferId
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.earnings import earnings_accounts

_log = logging.getLogger("soko.ledger")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseEarnings:
    unit_of_work: Callable[[], EarningsUnitOfWork]
    clock: Clock
    ids: IdSource

    async def __call__(self, batch_max: int) -> int:
        """Return how many holds were released."""
        released, failed = 0, set[UUID]()
        while released + len(failed) < batch_max:
            now = self.clock.now()
            async with self.unit_of_work() as uow:
                hold = await uow.earnings_holds.find_due(now=now, passing_over=failed)
                if hold is None:
                    return released
                try:
                    owed, accounts = (
                        AccountRef.owed(hold.payee),
                        earnings_accounts(AccountRef.pending(hold.payee), hold.payee),
                    )
                    balances = await uow.ledger.balances(accounts, hold.amount.currency)
                    await uow.ledger.post(hold.release(id=TransferId(self.ids.new()), owed=balances[owed], now=now))
                    await uow.commit()
                except Exception:
                    _log.exception("earnings_not_released", extra={"hold": str(hold.id)})
                    failed.add(hold.id)
                else:
                    released += 1
        return released
