"""Apply a stored event of a gateway, in one short transaction under the payment's lock.

- A success moves money once, whatever the shape, order or number of deliveries (callback.effect_once).
- What names no payment of ours is parked and matched again for `payments.parked_event_life`, then it is a case,
  and money that surely arrived is booked to suspense (callback.unknown_is_parked).
- News of a payout moves its withdrawal once (withdrawals.pays_once).
- News of a refund settles it once, as an answer does (refunds.parked_while_pending).
- What is news of none of them, or not understood, is stored and otherwise left alone (callback.status_words).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from application.core.kernel.ports import Clock, IdSource, Policies
from application.core.payments.apply_payout_event import ApplyPayoutEvent
from application.core.payments.ports import PaymentsUnitOfWork
from application.core.payments.queries import PaymentQueries
from application.core.payments.record_answer import record
from application.core.payments.settle_refund import SettleRefund
from application.core.payments.withdrawal_ports import PayoutEventsUnitOfWork
from domain.core.kernel.ids import TransferId
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.transfer import Posting, Transfer, TransferKind
from domain.core.payments.case import CaseKind, PaymentCase
from domain.core.payments.gateway import Authority, EventKind, GatewayNotice, Outcome
from domain.core.payments.intent import PaymentAttempt, PaymentIntent, ProviderReferenceReused, is_reference
from domain.core.payments.policies import PARKED_EVENT_LIFE
from domain.core.payments.refund import RefundEvidence, RefundTurn
from domain.core.payments.settlement import Evidence, Settle, Trust, Verdict

REMATCH_EVERY: Final = timedelta(minutes=1)
FRESH_FOR: Final = timedelta(hours=1)
"""What was sent before our row knew the transaction is matched within minutes; later ones are looked at less often."""
REMATCH_LATER_EVERY: Final = timedelta(minutes=15)
NAMES_NO_AMOUNT: Final = frozenset({"soko"})
"""Senders whose documented body has no amount: it means the amount asked."""

PROCESSED, REPEATED, ACCEPTED = "processed", "already processed", "accepted"
REPLY_BY_VERDICT: Final = {Verdict.APPLIED: PROCESSED, Verdict.REPEATED: REPEATED, Verdict.HELD: ACCEPTED}
REPLY_BY_TURN: Final = {
    RefundTurn.NOTHING: REPEATED,
    RefundTurn.WAITS: ACCEPTED,
    RefundTurn.REFUSED: PROCESSED,
    RefundTurn.PAID: PROCESSED,
    RefundTurn.FELL_BACK: PROCESSED,
    RefundTurn.CONTRADICTED: ACCEPTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyEvent:
    unit_of_work: Callable[[], PayoutEventsUnitOfWork]
    clock: Clock
    ids: IdSource
    policies: Policies
    payment_queries: PaymentQueries
    settle_refund: SettleRefund

    async def __call__(self, event_id: UUID, sender: str, notice: GatewayNotice, *, received_at: datetime) -> str:
        """Return `processed`, `already processed` or `accepted`."""
        try:
            return await self._apply(event_id, sender, notice, received_at)
        except ProviderReferenceReused:  # the commit found the transaction id or receipt at another attempt
            async with self.unit_of_work() as uow:
                self._open_case(uow, CaseKind.RECEIPT_REUSED, event_id, sender, notice)
                await uow.commit()
            return ACCEPTED

    async def _apply(self, event_id: UUID, sender: str, notice: GatewayNotice, received_at: datetime) -> str:
        now = self.clock.now()
        if notice.kind is EventKind.REFUND and notice.is_understood:
            return await self._apply_refund(event_id, sender, notice, received_at)
        if notice.kind is EventKind.PAYOUT and notice.payout_id is not None and notice.is_understood:
            apply = ApplyPayoutEvent(unit_of_work=self.unit_of_work, clock=self.clock, ids=self.ids)
            return await apply(event_id, sender, notice.payout_id, notice)
        async with self.unit_of_work() as uow:
            if notice.kind is not EventKind.PAYMENT or not (notice.is_understood or notice.is_contradictory):
                uow.gateway_events.close(event_id, "stored", attempt_id=None)
                await uow.commit()
                return ACCEPTED
            gateway = None if sender in NAMES_NO_AMOUNT else sender
            attempt: PaymentAttempt | None
            if notice.attempt_id is not None:
                intent = await uow.intents.find_of_attempt(notice.attempt_id)
                attempt = intent.attempt(notice.attempt_id) if intent is not None else None
                if attempt is not None and gateway not in {None, attempt.gateway}:
                    attempt = None  # one provider knows nothing of what another was asked for
            else:
                intent = await uow.intents.find_named(sender, notice.references, notice.our_reference)
                attempt = intent.attempt_meant(gateway, notice.references) if intent is not None else None
            if intent is None or attempt is None:
                await self._park(uow, event_id, sender, notice, received_at)
                await uow.commit()
                return ACCEPTED
            if _names_another(notice, intent):
                self._open_case(uow, CaseKind.RECEIPT_REUSED, event_id, sender, notice)
                await uow.commit()
                return ACCEPTED
            settle = Settle(intent=intent, attempt=attempt, new_id=self.ids.new, now=now)
            settlement = settle.by(evidence_of(notice, _trust(sender, notice)))
            await record(uow, settlement)
            reply = REPLY_BY_VERDICT[settlement.verdict]
            uow.gateway_events.close(event_id, reply, attempt_id=attempt.id)
            await uow.commit()
        return reply

    async def _apply_refund(self, event_id: UUID, sender: str, notice: GatewayNotice, received_at: datetime) -> str:
        due = await self.payment_queries.refund_named(sender, notice.refund_id, notice.refund_reference)
        if due is None:  # not ours, or its name is not known here yet
            async with self.unit_of_work() as uow:
                await self._park(uow, event_id, sender, notice, received_at)
                await uow.commit()
            return ACCEPTED
        is_hint = notice.is_hint or notice.is_contradictory or not notice.is_signed
        evidence = RefundEvidence(
            outcome=notice.outcome,
            authority=Authority.HINT if is_hint else Authority.DEFINITIVE,
            reference=None if is_hint else notice.refund_reference,
            code=notice.code,
            message=notice.message,
        )
        cases: tuple[CaseKind, ...] = ()
        if notice.currency_code is not None or notice.amount not in {None, due.amount}:
            evidence, cases = RefundEvidence(outcome=Outcome.UNKNOWN), (CaseKind.AMOUNT_DIFFERS,)
        settled = await self.settle_refund(due, evidence, cases=cases, event=event_id)
        return REPLY_BY_TURN[settled.turn]

    async def _park(
        self, uow: PaymentsUnitOfWork, event_id: UUID, sender: str, notice: GatewayNotice, received_at: datetime
    ) -> None:
        now = self.clock.now()
        if now < received_at + timedelta(hours=self.policies.value(PARKED_EVENT_LIFE)):
            is_fresh = now < received_at + FRESH_FOR
            uow.gateway_events.park(event_id, until=now + (REMATCH_EVERY if is_fresh else REMATCH_LATER_EVERY))
            return
        case = self._open_case(uow, CaseKind.UNKNOWN_REFERENCE, event_id, sender, notice)
        if case.booked is not None:
            await uow.ledger.post(
                Transfer(
                    id=TransferId(self.ids.new()),
                    reference=f"suspense:event:{event_id}",
                    kind=TransferKind.ADJUSTMENT,
                    area="payments",
                    subject=f"case:{case.id}",
                    legs=(Posting(AccountRef.clearing(sender), AccountRef.suspense(sender), case.booked),),
                    posted_at=now,
                )
            )

    def _open_case(
        self, uow: PaymentsUnitOfWork, kind: CaseKind, event_id: UUID, sender: str, notice: GatewayNotice
    ) -> PaymentCase:
        has_arrived = (
            kind is CaseKind.UNKNOWN_REFERENCE
            and notice.kind is EventKind.PAYMENT
            and notice.outcome is Outcome.SUCCEEDED
            and notice.is_signed
            and sender not in NAMES_NO_AMOUNT  # such a sender tells of money, and holds none
        )
        facts = {
            "outcome": str(notice.outcome),
            "reference": notice.our_reference,
            "transaction_id": notice.references.transaction_id,
            "receipt": notice.references.receipt,
            "amount": None if notice.amount is None else str(notice.amount),
            "event_id": str(event_id),
        }
        case = PaymentCase(
            id=self.ids.new(),
            key=f"{kind}:event:{event_id}",
            kind=kind,
            gateway=sender,
            created_at=self.clock.now(),
            booked=notice.amount if has_arrived else None,
            facts={name: value for name, value in facts.items() if value},
        )
        uow.cases.add(case)
        uow.gateway_events.close(event_id, str(kind), attempt_id=None)
        return case


def evidence_of(notice: GatewayNotice, trust: Trust) -> Evidence:
    """Return what a notice says of an attempt."""
    return Evidence(
        outcome=notice.outcome,
        trust=trust,
        references=notice.references,
        amount=notice.amount,
        currency_code=notice.currency_code,
        is_hint=notice.is_hint,
        phone=notice.phone,
        code=notice.code,
        message=notice.message,
        is_contradictory=notice.is_contradictory,
    )


def _trust(sender: str, notice: GatewayNotice) -> Trust:
    if not notice.is_signed:
        return Trust.UNSIGNED
    return Trust.SIGNED_AS_ASKED if sender in NAMES_NO_AMOUNT else Trust.SIGNED


def _names_another(notice: GatewayNotice, intent: PaymentIntent) -> bool:
    """Tell whether a transaction that belongs to one payment is said to be for another (payments.receipt_unique)."""
    ours = notice.our_reference
    return ours is not None and is_reference(ours) and ours != intent.reference
