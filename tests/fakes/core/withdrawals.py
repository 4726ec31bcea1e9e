"""Withdrawals in memory."""

from collections.abc import Collection
from datetime import datetime

from domain.core.kernel.ids import AccountId
from domain.core.payments.withdrawal import (
    DestinationHistory,
    Withdrawal,
    WithdrawalId,
    WithdrawalNotFound,
    WithdrawalStage,
)
from tests.fakes.core.ledger import Tables

UNUSED = {WithdrawalStage.REJECTED, WithdrawalStage.CANCELLED}
PAID = {WithdrawalStage.APPROVED, WithdrawalStage.PROCESSING, WithdrawalStage.COMPLETED}


class InMemoryWithdrawals:
    """Withdrawals by id."""

    def __init__(self, unit_of_work: Tables) -> None:
        self._rows = unit_of_work.table("withdrawals")
        self._frozen = unit_of_work.table("frozen_payees")

    def add(self, withdrawal: Withdrawal) -> None:
        self._rows[withdrawal.id] = withdrawal

    async def get(self, withdrawal_id: WithdrawalId) -> Withdrawal:
        if withdrawal_id not in self._rows:
            raise WithdrawalNotFound
        found: Withdrawal = self._rows[withdrawal_id]
        return found

    async def history(self, owner: AccountId, destination: str) -> DestinationHistory:
        own = [one for one in self._rows.values() if one.owner == owner and one.stage not in UNUSED]
        uses = [one.requested_at for one in own if one.destination == destination]
        elsewhere = any(one.destination != destination and one.stage in PAID for one in own)
        return DestinationHistory(min(uses, default=None), elsewhere)

    async def is_frozen(self, owner: AccountId) -> bool:
        return owner in self._frozen

    async def find_due(self, *, now: datetime, passing_over: Collection[WithdrawalId] = ()) -> Withdrawal | None:
        due = [
            one
            for one in self._rows.values()
            if one.next_step_at is not None and one.next_step_at <= now and one.id not in passing_over
            if one.stage is not WithdrawalStage.APPROVED or one.owner not in self._frozen
        ]
        return min(due, key=lambda one: one.next_step_at, default=None)
