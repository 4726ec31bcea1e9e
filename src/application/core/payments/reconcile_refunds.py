"""Ask gateways about refunds that nobody told us about, on the ladder of the gateway.

- A refund whose name at the provider we know is asked about. One whose answer was lost, or that was cut off before it
  was sent, is sent again under its own key where the provider honours keys: that never pays twice.
- Where it does not, it is asked about by our id, which not every provider knows. What nobody decides within a day is a
  case, and the money stays parked.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from application.core.kernel.ports import Clock
from application.core.payments.gateway import PaymentGateway
from application.core.payments.ports import Gateways
from application.core.payments.queries import DueRefund, PaymentQueries
from application.core.payments.refund_payment import judge, repayment_of
from application.core.payments.settle_refund import SettleRefund
from domain.core.kernel.errors import DomainError
from domain.core.payments.case import CaseKind
from domain.core.payments.gateway import Answer, Outcome, ProviderReferences

UNDECIDED_AFTER: Final = timedelta(hours=24)
_log = logging.getLogger("soko.payments")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileRefunds:
    payment_queries: PaymentQueries
    gateways: Gateways
    settle: SettleRefund
    clock: Clock

    async def __call__(self, batch_max: int) -> int:
        """Ask about what is due; one that cannot be recorded now stays due and does not stop the rest."""
        handled = 0
        for due in await self.payment_queries.due_refunds(self.clock.now(), batch_max):
            try:
                await self._ask(due)
                handled += 1
            except DomainError:
                _log.exception("refund_not_reconciled", extra={"refund_id": str(due.refund_id)})
        return handled

    async def _ask(self, due: DueRefund) -> None:
        gateway = self.gateways.by_name(due.gateway)
        answer = await self._answer(gateway, due)
        evidence, cases = judge(answer, due)
        is_decided = evidence.is_proof and evidence.outcome is not Outcome.UNKNOWN
        if self.clock.now() - due.requested_at >= UNDECIDED_AFTER and not is_decided:
            cases = (*cases, CaseKind.UNKNOWN_OUTCOME)
        await self.settle(due, evidence, checks_after=gateway.capabilities.checks_after, cases=cases)

    async def _answer(self, gateway: PaymentGateway, due: DueRefund) -> Answer:
        if due.reference is not None:
            return await gateway.query_refund(ProviderReferences(due.reference))
        if gateway.capabilities.has_native_idempotency:
            return await gateway.refund(repayment_of(due))
        return await gateway.query_refund(ProviderReferences(own_id=due.refund_id))
