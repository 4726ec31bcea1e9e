"""Refund a payment, in full or in part: administrators only, and never a payment of one's own.

- What was paid for decides where the money is and whether it may go back now (`RefundSubject`); the arithmetic is ours:
  escrow, then our fee and the payee's waiting earnings, wallet and debt (refunds.source_order).
- The sum of all refunds stays within the payment (refunds.never_more_than_paid), which is locked.
- A gateway that can gives it back on the original rail, asked outside any transaction while the money is parked; else
  the payer's wallet is paid at once (refunds.original_rail_if_able).
- Refused at once: everything is as it was, and 422 payments.refund_refused.
- The provider's own fee is not returned (refunds.gateway_fee_stays).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from application.core.kernel.ports import AuditEntry, Clock, IdSource
from application.core.payments.gateway import PaymentGateway
from application.core.payments.ports import GatewayNotBound, Gateways
from application.core.payments.queries import DueRefund, PaymentDetail, PaymentQueries
from application.core.payments.refund_ports import RefundPurpose, RefundPurposes, RefundsUnitOfWork
from application.core.payments.settle_refund import SettleRefund
from application.core.payments.start_payment import GatewayUnavailable
from domain.core.kernel.errors import NotFound, Unavailable
from domain.core.kernel.ids import AccountId, IntentId, TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.refunds import HeldInEscrow, PaidOut, RefundTerms, collect_refund, refund_accounts
from domain.core.ledger.transfer import Posting
from domain.core.payments.case import CaseKind
from domain.core.payments.gateway import Answer, Outcome, Repayment
from domain.core.payments.intent import PaymentAttempt, PaymentIntent
from domain.core.payments.refund import (
    NotRefundable,
    OwnRefund,
    Refund,
    RefundEvidence,
    RefundRefused,
    RefundTurn,
    RefundWindowClosed,
)

RETRY_AFTER_S: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundPaymentCommand:
    intent_id: IntentId
    administrator: AccountId
    amount: Money | None = None
    """None: all that is left."""
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundPayment:
    payment_queries: PaymentQueries
    purposes: RefundPurposes
    gateways: Gateways
    settle: SettleRefund
    clock: Clock
    ids: IdSource

    async def __call__(self, command: RefundPaymentCommand) -> PaymentDetail:
        """Return the payment as it stands then.

        Raises NotFound, OwnRefund, NotRefundable, RefundExceedsPayment, RefundWindowClosed, RefundRefused and, where
        the request provably did not leave, GatewayUnavailable.
        """
        found = await self.payment_queries.payment(command.intent_id)
        if found is None:
            raise NotFound
        if found.payer == command.administrator:
            raise OwnRefund
        purpose = self.purposes.named(found.purpose)
        if purpose is None:
            raise NotRefundable
        intent, refund = await self._collect(purpose, found, command)
        if refund.gateway is None:
            return PaymentDetail.of(intent)
        return await self._send(intent, refund)

    async def _collect(
        self, purpose: RefundPurpose[RefundsUnitOfWork], found: PaymentDetail, command: RefundPaymentCommand
    ) -> tuple[PaymentIntent, Refund]:
        now = self.clock.now()
        async with purpose.units() as uow:
            await purpose.subject.lock(uow, found.subject)
            intent = await uow.intents.get(found.id)
            left = intent.left_to_refund
            rail = self._rail(intent.paid_attempt, command.amount or left)
            refund = intent.start_refund(
                command.amount,
                id=self.ids.new(),
                gateway=None if rail is None else rail.name,
                by=command.administrator,
                reason=command.reason,
                now=now,
            )
            terms = await purpose.subject.terms(uow, found.subject)
            check_terms(terms, refund.amount, left=left, now=now)
            legs = await self._sources(uow, terms, refund, left=left, now=now)
            subject = terms.subject if isinstance(terms, PaidOut) else f"payment:{intent.reference}"
            parked = refund.park(legs, id=TransferId(self.ids.new()), subject=subject)
            if rail is not None:
                await uow.ledger.post(parked)
            else:
                await uow.ledger.post(parked, refund.pay_wallet(id=TransferId(self.ids.new()), now=now))
                refund.take_effect(now)
                uow.record(intent.refunded_fact(refund))
                is_whole = intent.left_to_refund.minor == 0
                await purpose.subject.refunded(uow, found.subject, refund, is_whole=is_whole)
            uow.refunds.add(refund)
            uow.audit(self._audit(intent, refund))
            await uow.commit()
        return intent, refund

    async def _sources(
        self, uow: RefundsUnitOfWork, terms: RefundTerms, refund: Refund, *, left: Money, now: datetime
    ) -> tuple[Posting, ...]:
        if isinstance(terms, HeldInEscrow):
            return (Posting(terms.escrow, refund.escrow, refund.amount),)
        hold = await uow.earnings_holds.find(terms.subject, terms.payee)
        accounts = (refund.escrow, *refund_accounts(terms.payee))
        if (
            refund.gateway is None
        ):  # the payer's wallet is paid in the same transaction, so it is locked at the same time
            accounts = (*accounts, AccountRef.wallet(refund.payer))
        references = (f"refund:{refund.id}", f"refund:{refund.id}:paid")
        balances = await uow.ledger.balances(accounts, left.currency, references=references)
        waiting = Money.zero(left.currency) if hold is None else hold.waiting
        legs = collect_refund(
            destination=refund.escrow,
            payee=terms.payee,
            amount=refund.amount,
            left=left,
            fee_basis_points=terms.fee_basis_points,
            waiting=waiting,
            wallet=balances[AccountRef.wallet(terms.payee)],
        )
        taken = next((leg.amount for leg in legs if leg.source.word == "pending"), None)
        if hold is not None and taken is not None:
            hold.take_back(taken, now)
        return legs

    def _rail(self, attempt: PaymentAttempt, amount: Money) -> PaymentGateway | None:
        """Return the gateway that gives the money back on the original rail, if it can."""
        try:
            gateway = self.gateways.by_name(attempt.gateway)
        except GatewayNotBound:
            return None
        able = gateway.capabilities
        fits = amount.currency in able.currencies and amount.minor % able.unit_minor == 0
        return gateway if able.can_refund and fits and attempt.transaction_id is not None else None

    async def _send(self, intent: PaymentIntent, refund: Refund) -> PaymentDetail:
        assert refund.gateway is not None
        attempt = intent.attempt(refund.attempt_id)
        due = DueRefund(
            refund_id=refund.id,
            intent_id=intent.id,
            purpose=intent.purpose,
            subject=intent.subject,
            gateway=refund.gateway,
            reference=None,
            amount=refund.amount,
            reason=refund.reason,
            requested_at=refund.requested_at,
            payment=attempt.references,
        )
        gateway = self.gateways.by_name(refund.gateway)
        answer = await gateway.refund(repayment_of(due))
        evidence, cases = judge(answer, due, is_at_once=True)
        ladder = gateway.capabilities.checks_after
        try:
            settled = await self.settle(due, evidence, checks_after=ladder, cases=cases)
        except Unavailable:
            return PaymentDetail.of(intent)  # the request may be out: the refund stays parked, the ladder finishes it
        if settled.turn is RefundTurn.REFUSED and answer.did_not_leave:
            raise GatewayUnavailable(retry_after_s=answer.retry_after_s or RETRY_AFTER_S)
        if settled.turn is RefundTurn.REFUSED:
            raise RefundRefused(gateway_code=answer.code)
        return PaymentDetail.of(settled.intent)

    def _audit(self, intent: PaymentIntent, refund: Refund) -> AuditEntry:
        return AuditEntry(
            action="REFUND",
            target=f"payment:{intent.id}",
            after={
                "refund": str(refund.id),
                "amount": refund.amount.text,
                "currency": refund.amount.currency,
                "destination": str(refund.destination),
            },
            reason=refund.reason,
        )


def check_terms(terms: RefundTerms, amount: Money, *, left: Money, now: datetime) -> None:
    """Let pass what the state of the deal allows. Raises NotRefundable, RefundWindowClosed."""
    if isinstance(terms, HeldInEscrow) and terms.is_whole_only and amount != left:
        raise NotRefundable("Until the deal is completed, only all that is left of the payment is refunded.")
    if isinstance(terms, PaidOut) and terms.closes_at is not None and now > terms.closes_at:
        raise RefundWindowClosed


def repayment_of(due: DueRefund) -> Repayment:
    """Return what is sent to the gateway for a refund; the same however often."""
    return Repayment(
        refund_id=due.refund_id,
        payment=due.payment,
        amount=due.amount,
        reason=due.reason or "",
        idempotency_key=f"refund:{due.refund_id}",
    )


def judge(answer: Answer, due: DueRefund, *, is_at_once: bool = False) -> tuple[RefundEvidence, tuple[CaseKind, ...]]:
    """Return what an answer says of a refund; one about another amount says nothing, and is for staff."""
    if answer.amount is not None and answer.amount != due.amount:
        return RefundEvidence(outcome=Outcome.UNKNOWN), (CaseKind.AMOUNT_DIFFERS,)
    evidence = RefundEvidence(
        outcome=answer.outcome,
        authority=answer.authority,
        reference=answer.references.transaction_id,
        code=answer.code,
        message=answer.message,
        did_not_leave=answer.did_not_leave,
        is_at_once=is_at_once,
    )
    return evidence, ()
