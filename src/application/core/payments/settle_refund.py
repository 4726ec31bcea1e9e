"""Settle a refund by what its gateway says, in one short transaction under the locks of its subject and its payment.

- A refusal of the request itself puts the money back where it came from, and what was paid for never heard of it
  (refunds.parked_while_pending). That is why the vertical changes its entity only here, when the refund stands: an
  order that is not canceled yet need not come back. Meanwhile its money is parked, so nobody can move it.
- A later failure pays the payer's wallet; a success leaves for `clearing:<g>`.
- What contradicts itself, or names another amount, moves nothing and is a case for staff.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from application.core.kernel.ports import Clock, IdSource
from application.core.payments.ports import GatewayNotBound
from application.core.payments.queries import DueRefund
from application.core.payments.refund_ports import RefundPurposes, RefundsUnitOfWork
from domain.core.kernel.ids import TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.refunds import payee_of, refund_accounts, taken_from_pending, undo_refund
from domain.core.payments.case import CaseKind, PaymentCase
from domain.core.payments.gateway import Outcome
from domain.core.payments.intent import PaymentIntent, ProviderReferenceReused
from domain.core.payments.refund import Refund, RefundEvidence, RefundTurn


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledRefund:
    """What became of it."""

    turn: RefundTurn
    refund: Refund
    intent: PaymentIntent


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleRefund:
    purposes: RefundPurposes
    clock: Clock
    ids: IdSource

    async def __call__(
        self,
        due: DueRefund,
        evidence: RefundEvidence,
        *,
        checks_after: Sequence[timedelta] | None = None,
        cases: Sequence[CaseKind] = (),
        event: UUID | None = None,
    ) -> SettledRefund:
        """Record the evidence. `checks_after` goes on on the ladder; `event` is the stored callback that said so.

        Raises GatewayNotBound where the purpose of the payment is not served here any more.
        """
        try:
            return await self._settle(due, evidence, checks_after, cases, event)
        except ProviderReferenceReused:  # another refund has this name: believe the outcome of neither
            nothing = RefundEvidence(outcome=Outcome.UNKNOWN)
            return await self._settle(due, nothing, checks_after, (*cases, CaseKind.RECEIPT_REUSED), event)

    async def _settle(
        self,
        due: DueRefund,
        evidence: RefundEvidence,
        checks_after: Sequence[timedelta] | None,
        cases: Sequence[CaseKind],
        event: UUID | None,
    ) -> SettledRefund:
        purpose, now = self.purposes.named(due.purpose), self.clock.now()
        if purpose is None:
            raise GatewayNotBound
        async with purpose.units() as uow:
            await purpose.subject.lock(uow, due.subject)
            intent = await uow.intents.get(due.intent_id)
            refund = await uow.refunds.get(due.refund_id)
            if checks_after is not None:
                refund.climb(now, checks_after)
            turn, transfer = refund.learn(evidence, id=TransferId(self.ids.new()), now=now)
            if transfer is not None:
                await uow.ledger.post(transfer)
            if turn is RefundTurn.REFUSED:
                await self._undo(uow, intent, refund)
            if turn is RefundTurn.CONTRADICTED:
                uow.cases.add(self._case(CaseKind.CONTRADICTION, refund, evidence))
            if turn in {RefundTurn.PAID, RefundTurn.FELL_BACK}:
                uow.record(intent.refunded_fact(refund))
            if turn in {RefundTurn.WAITS, RefundTurn.PAID, RefundTurn.FELL_BACK} and refund.take_effect(now):
                await purpose.subject.refunded(uow, due.subject, refund, is_whole=intent.left_to_refund.minor == 0)
            for kind in cases:
                uow.cases.add(self._case(kind, refund, evidence))
            if event is not None:
                if not evidence.is_proof:
                    refund.ask_now(now)
                uow.gateway_events.close(event, f"refund {turn}", attempt_id=refund.attempt_id)
            await uow.commit()
        return SettledRefund(turn=turn, refund=refund, intent=intent)

    async def _undo(self, uow: RefundsUnitOfWork, intent: PaymentIntent, refund: Refund) -> None:
        intent.forget_refund(refund)
        collected = await uow.ledger.find(f"refund:{refund.id}")
        assert collected is not None, "a refund is stored with its transfer"
        payee, owed, waits_still = payee_of(collected), Money.zero(collected.currency), False
        if payee is not None:
            taken = taken_from_pending(collected.legs)
            hold = None if taken is None else await uow.earnings_holds.find(collected.subject, payee)
            waits_still = taken is not None and hold is not None and hold.give_back(taken)
            accounts = (*refund_accounts(payee), refund.escrow)
            owed = (await uow.ledger.balances(accounts, collected.currency))[AccountRef.owed(payee)]
        await uow.ledger.post(
            undo_refund(
                collected,
                waits_still=waits_still,
                owed=owed,
                holder=intent.payer,
                id=TransferId(self.ids.new()),
                now=self.clock.now(),
            )
        )

    def _case(self, kind: CaseKind, refund: Refund, evidence: RefundEvidence) -> PaymentCase:
        assert refund.gateway is not None, "only a gateway contradicts"
        facts = {
            "refund": str(refund.id),
            "asked": str(refund.amount),
            "outcome": str(evidence.outcome),
            "refund_reference": evidence.reference or refund.reference,
            "code": evidence.code,
        }
        return PaymentCase(
            id=self.ids.new(),
            key=f"{kind}:refund:{refund.id}",
            kind=kind,
            gateway=refund.gateway,
            created_at=self.clock.now(),
            intent_id=refund.intent_id,
            attempt_id=refund.attempt_id,
            facts={name: value for name, value in facts.items() if value},
        )
