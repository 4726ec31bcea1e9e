"""Resolve a case of the mismatch queue.

- `credit_wallet`: all that came goes to the payer's wallet. `accept`: at least what was asked came; the asked amount
  serves the purpose, the rest goes to the wallet. `match`: names the attempt that money of an unknown reference was
  for.
  `return`: the money leaves our books, it is paid back outside. `dismiss`: only where nothing was booked.
- Of a refund that no gateway ends: `accept` says that it was paid, `credit_wallet` pays the wallet instead; until then
  its money is parked, and the case cannot be dismissed.
- Nobody decides that money of a case is his own (payments.own_payment); another administrator does.
- The decision, the postings and the audit entry commit together; a closed case is closed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from application.core.kernel.ports import AuditEntry, Clock, IdSource
from application.core.payments.ports import PaymentsUnitOfWork
from application.core.payments.queries import CaseView, PaymentQueries
from application.core.payments.refund_ports import RefundsUnitOfWork
from domain.core.kernel.errors import NotFound
from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.transfer import Posting, Transfer, TransferKind
from domain.core.payments.case import CaseClosed, CaseKind, OwnPayment, PaymentCase, Resolution, ResolutionNotPossible
from domain.core.payments.gateway import Outcome, ProviderReferences
from domain.core.payments.intent import AttemptStatus, PaymentAttempt, PaymentIntent
from domain.core.payments.refund import RefundEvidence, RefundStatus
from domain.core.payments.settlement import Settle

OUTCOME_OF_REFUND: Final = {Resolution.ACCEPT: Outcome.SUCCEEDED, Resolution.CREDIT_WALLET: Outcome.FAILED}
"""What a decision of staff says in the gateway's place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveCaseCommand:
    case_id: UUID
    resolution: Resolution
    note: str
    by: AccountId
    attempt_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveCase:
    unit_of_work: Callable[[], RefundsUnitOfWork]
    payment_queries: PaymentQueries
    clock: Clock
    ids: IdSource

    async def __call__(self, command: ResolveCaseCommand) -> CaseView:
        """Return the case. Raises NotFound, CaseClosed, OwnPayment, ResolutionNotPossible."""
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            case = await uow.cases.get(command.case_id)
            if case.resolved_at is not None:
                raise CaseClosed
            await self._carry_out(uow, case, command)
            case.close(command.resolution, note=command.note, by=command.by, now=now)
            uow.audit(
                AuditEntry(
                    action="RESOLVE_CASE",
                    target=f"payment_case:{case.id}",
                    after={"resolution": str(command.resolution), "booked": str(case.booked) if case.booked else None},
                    reason=command.note,
                )
            )
            await uow.commit()
        found = await self.payment_queries.case(command.case_id)
        assert found is not None, "it was just committed"
        return found

    async def _carry_out(self, uow: RefundsUnitOfWork, case: PaymentCase, command: ResolveCaseCommand) -> None:
        booked, resolution = case.booked, command.resolution
        if "refund" in case.facts:
            await self._decide_refund(uow, case, command)
            return
        if resolution is Resolution.DISMISS:
            if booked is not None:
                raise ResolutionNotPossible("Money lies in suspense for this case: credit, accept, match or return it.")
            await self._dismiss(uow, case)
            return
        if booked is None:
            raise ResolutionNotPossible("Nothing was booked for this case: it can only be dismissed.")
        if resolution is Resolution.RETURN:
            await self._return(uow, case, booked, command.by)
            return
        is_match = resolution is Resolution.MATCH
        if is_match is not (case.kind is CaseKind.UNKNOWN_REFERENCE):
            raise ResolutionNotPossible("Only money of an unknown reference is matched, and it has to be.")
        intent, attempt = await self._payment(uow, command.attempt_id if is_match else case.attempt_id)
        if intent.payer == command.by:
            raise OwnPayment
        if is_match:
            if attempt.status in {AttemptStatus.SUCCEEDED, AttemptStatus.REVIEW} or attempt.gateway != case.gateway:
                raise ResolutionNotPossible("That attempt has its own money.")
            attempt.learn(ProviderReferences(case.facts.get("transaction_id"), None, case.facts.get("receipt")))
        case.intent_id, case.attempt_id = intent.id, attempt.id
        wants_purpose = resolution is Resolution.ACCEPT or (is_match and booked == intent.amount)
        if resolution is Resolution.ACCEPT and not (intent.is_open and _covers(booked, intent.amount)):
            raise ResolutionNotPossible("Less came than was asked, in another currency, or the purpose is closed.")
        await self._pay(uow, case, intent, attempt, booked, to_wallet=not wants_purpose, by=command.by)

    async def _decide_refund(self, uow: RefundsUnitOfWork, case: PaymentCase, command: ResolveCaseCommand) -> None:
        """End a refund that its gateway does not: `accept` that it was paid, or `credit_wallet`."""
        assert case.intent_id is not None, "a refund is of a payment"
        intent = await uow.intents.get(case.intent_id)
        refund = await uow.refunds.get(UUID(case.facts["refund"]))
        if command.resolution is Resolution.DISMISS and refund.status is not RefundStatus.PENDING:
            return
        if refund.status is not RefundStatus.PENDING:
            raise ResolutionNotPossible("The refund has ended: the case can only be dismissed.")
        says = OUTCOME_OF_REFUND.get(command.resolution)
        if says is None:
            raise ResolutionNotPossible(
                "Money is parked for this refund: credit the wallet, or accept that it was paid."
            )
        if intent.payer == command.by:
            raise OwnPayment
        _, transfer = refund.learn(RefundEvidence(outcome=says), id=TransferId(self.ids.new()), now=self.clock.now())
        assert transfer is not None, "proof ends a refund that is pending"
        await uow.ledger.post(replace(transfer, actor=command.by))
        uow.record(intent.refunded_fact(refund))

    async def _pay(
        self,
        uow: PaymentsUnitOfWork,
        case: PaymentCase,
        intent: PaymentIntent,
        attempt: PaymentAttempt,
        booked: Money,
        *,
        to_wallet: bool,
        by: AccountId,
    ) -> None:
        now = self.clock.now()
        is_own_wallet = intent.destination == AccountRef.wallet(intent.payer)
        settle = Settle(intent=intent, attempt=attempt, new_id=self.ids.new, now=now)
        destination, paid = settle.pay(booked, to_wallet=to_wallet and not is_own_wallet)
        suspense, wallet = AccountRef.suspense(case.gateway), AccountRef.wallet(intent.payer)
        if destination == wallet:
            legs = [Posting(suspense, wallet, booked)]
        else:
            legs = [Posting(suspense, destination, intent.amount)]
            if booked != intent.amount:
                legs.append(Posting(suspense, wallet, booked - intent.amount))
        await uow.ledger.post(self._transfer(case, tuple(legs), TransferKind.TOPUP if to_wallet else intent.kind, by))
        uow.record(paid)

    async def _return(self, uow: PaymentsUnitOfWork, case: PaymentCase, booked: Money, by: AccountId) -> None:
        leg = Posting(AccountRef.suspense(case.gateway), AccountRef.clearing(case.gateway), booked)
        await uow.ledger.post(self._transfer(case, (leg,), TransferKind.ADJUSTMENT, by))
        if case.attempt_id is not None:
            intent, attempt = await self._payment(uow, case.attempt_id)
            now = self.clock.now()
            uow.record(intent.end_attempt(attempt, AttemptStatus.FAILED, "RETURNED_TO_PAYER", None, now))

    async def _dismiss(self, uow: PaymentsUnitOfWork, case: PaymentCase) -> None:
        if case.attempt_id is None:
            return
        intent, attempt = await self._payment(uow, case.attempt_id)
        if attempt.status is AttemptStatus.REVIEW:
            uow.record(intent.end_attempt(attempt, AttemptStatus.FAILED, "DISMISSED", None, self.clock.now()))

    async def _payment(self, uow: PaymentsUnitOfWork, attempt_id: UUID | None) -> tuple[PaymentIntent, PaymentAttempt]:
        intent = None if attempt_id is None else await uow.intents.find_of_attempt(attempt_id)
        if intent is None or attempt_id is None:
            raise ResolutionNotPossible("Name an attempt that exists.")
        try:
            return intent, intent.attempt(attempt_id)
        except NotFound as error:
            raise ResolutionNotPossible("Name an attempt that exists.") from error

    def _transfer(self, case: PaymentCase, legs: tuple[Posting, ...], kind: TransferKind, by: AccountId) -> Transfer:
        return Transfer(
            id=TransferId(self.ids.new()),
            reference=f"case:{case.id}",
            kind=kind,
            area="payments",
            subject=f"case:{case.id}",
            legs=legs,
            posted_at=self.clock.now(),
            actor=by,
        )


def _covers(came: Money, asked: Money) -> bool:
    return came.currency == asked.currency and came.minor >= asked.minor
