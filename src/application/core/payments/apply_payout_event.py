"""Apply what a provider tells of a payout, in one short transaction under the withdrawal's lock.

- A proven end moves the withdrawal once (withdrawals.pays_once); that there is no result yet, or a hint, moves nothing
  (withdrawals.unknown_keeps_reserve).
- An end that names another payout or amount, or denies what was recorded before, is a case and moves nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from application.core.kernel.ports import Clock, IdSource
from application.core.payments.withdrawal_ports import PayoutEventsUnitOfWork
from domain.core.kernel.ids import TransferId
from domain.core.payments.case import CaseKind, PaymentCase
from domain.core.payments.gateway import Answer, GatewayNotice, Outcome
from domain.core.payments.withdrawal import (
    RETURNED,
    Withdrawal,
    WithdrawalId,
    WithdrawalNotFound,
    WithdrawalStage,
)

ENDS: Final = frozenset({Outcome.SUCCEEDED, Outcome.FAILED, Outcome.CANCELLED})
STAGE_BY_SUCCESS: Final = {True: WithdrawalStage.COMPLETED, False: WithdrawalStage.FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyPayoutEvent:
    unit_of_work: Callable[[], PayoutEventsUnitOfWork]
    clock: Clock
    ids: IdSource

    async def __call__(self, event_id: UUID, sender: str, payout_id: UUID, notice: GatewayNotice) -> str:
        """Return `processed`, `already processed` or `accepted`."""
        async with self.unit_of_work() as uow:
            try:
                withdrawal = await uow.withdrawals.get(WithdrawalId(payout_id))
            except WithdrawalNotFound:
                reply = "accepted"
            else:
                reply = await self._hear(uow, sender, withdrawal, notice)
            uow.gateway_events.close(event_id, reply, attempt_id=None)
            await uow.commit()
        return reply

    async def _hear(
        self, uow: PayoutEventsUnitOfWork, sender: str, withdrawal: Withdrawal, notice: GatewayNotice
    ) -> str:
        if withdrawal.gateway != sender or notice.outcome not in ENDS or notice.is_hint or notice.is_contradictory:
            return "accepted"
        is_paid, is_return = notice.outcome is Outcome.SUCCEEDED, notice.code == RETURNED
        if is_paid and notice.amount is None:
            return "accepted"  # of how much is not said: it is asked about
        if withdrawal.references.contradicts(notice.references) or (is_paid and notice.amount != withdrawal.amount):
            kind = CaseKind.AMOUNT_DIFFERS if is_paid and notice.amount != withdrawal.amount else CaseKind.CONTRADICTION
            uow.cases.add(self._case(kind, withdrawal, notice))
            return "accepted"
        is_news = withdrawal.stage is WithdrawalStage.PROCESSING
        if not is_news and not (is_return and withdrawal.stage is WithdrawalStage.COMPLETED):
            if withdrawal.stage is STAGE_BY_SUCCESS[is_paid]:
                return "already processed"
            uow.cases.add(self._case(CaseKind.CONTRADICTION, withdrawal, notice))
            return "accepted"
        answer = Answer(
            outcome=notice.outcome,
            references=notice.references,
            amount=notice.amount,
            code=notice.code,
            message=notice.message,
            occurred_at=notice.occurred_at,
        )
        learnt = withdrawal.learn(answer, id=TransferId(self.ids.new()), now=self.clock.now())
        assert learnt is not None, "the end of what is being paid moves money"
        transfer, event = learnt
        await uow.ledger.post(transfer)
        uow.record(event)
        return "processed"

    def _case(self, kind: CaseKind, withdrawal: Withdrawal, notice: GatewayNotice) -> PaymentCase:
        facts = {
            "withdrawal_id": str(withdrawal.id),
            "stage": str(withdrawal.stage),
            "asked": str(withdrawal.amount),
            "outcome": str(notice.outcome),
            "code": notice.code,
            "amount": None if notice.amount is None else str(notice.amount),
            "receipt": notice.references.receipt,
        }
        return PaymentCase(
            id=self.ids.new(),
            key=f"{kind}:withdrawal:{withdrawal.id}",
            kind=kind,
            gateway=withdrawal.gateway or "",
            created_at=self.clock.now(),
            facts={name: value for name, value in facts.items() if value},
        )
