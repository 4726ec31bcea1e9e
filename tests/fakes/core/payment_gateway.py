"""A payment provider in memory: its phones end payments as the simulator's table says, or as a test scripts them."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from application.core.kernel.ports import Clock
from application.core.payments.gateway import CallbackMalformed, SignatureInvalid
from application.core.payments.simulation import SimulatedOutcome
from domain.core.kernel.errors import Unavailable
from domain.core.kernel.money import Money
from domain.core.payments.gateway import (
    Answer,
    Authority,
    Capabilities,
    Collection,
    EventKind,
    GatewayNotice,
    Outcome,
    Payout,
    ProviderReferences,
    Repayment,
    Search,
    StatementLine,
)

SIGNATURE_HEADER = "x-fake-signature"
LATE = timedelta(minutes=20)
SHILLING = Money(100)

OUTCOME_BY_PHONE = {
    "+254700000001": SimulatedOutcome.SUCCESS,
    "+254700000002": SimulatedOutcome.INSUFFICIENT_FUNDS,
    "+254700000003": SimulatedOutcome.CANCELLED,
    "+254700000004": SimulatedOutcome.NO_ANSWER,
    "+254700000005": SimulatedOutcome.ANSWER_LOST,
    "+254700000006": SimulatedOutcome.AMOUNT_SHORT,
    "+254700000007": SimulatedOutcome.THREE_DELIVERIES,
    "+254700000008": SimulatedOutcome.CALLBACK_FIRST,
    "+254700000009": SimulatedOutcome.LATE_SUCCESS,
    "+254700000010": SimulatedOutcome.NO_CALLBACK,
}

FAILURES = {
    SimulatedOutcome.INSUFFICIENT_FUNDS: (Outcome.FAILED, "INSUFFICIENT_FUNDS"),
    SimulatedOutcome.FAILED: (Outcome.FAILED, "REJECTED"),
    SimulatedOutcome.CANCELLED: (Outcome.CANCELLED, "CANCELLED_BY_PAYER"),
    SimulatedOutcome.PAYOUT_FAILS: (Outcome.FAILED, "RECEIVER_UNREACHABLE"),
}


@dataclass(slots=True)
class BookedMovement:
    """One prompt or payout in the provider's books."""

    id: str
    phone: str
    amount: Money
    """What moves if it succeeds."""
    reference: str | None
    outcome: SimulatedOutcome
    created_at: datetime
    ends_at: datetime
    unsent: int = 0
    """Notices still owed."""


class RefundEnding(StrEnum):
    """How a refund ends."""

    PAID = "paid"
    REFUSED = "refused"
    PENDING = "pending"
    FAILED = "failed"
    """What was pending is not paid after all."""
    ANSWER_LOST = "answer_lost"
    """It is paid, and nobody hears of it."""
    CUT_OFF = "cut_off"
    """It never arrives, and nobody hears of that either."""


@dataclass(slots=True)
class BookedRefund:
    """One refund in the provider's books."""

    id: str
    refund_id: UUID
    amount: Money
    payment_id: str
    ending: RefundEnding = RefundEnding.PAID

    @property
    def answer(self) -> Answer:
        """What the provider says of it now."""
        outcome = {
            RefundEnding.PENDING: Outcome.PENDING,
            RefundEnding.FAILED: Outcome.FAILED,
        }.get(self.ending, Outcome.SUCCEEDED)
        code = "BANK_SENT_IT_BACK" if outcome is Outcome.FAILED else None
        return Answer(outcome=outcome, references=ProviderReferences(self.id), amount=self.amount, code=code)


@dataclass(slots=True)
class InMemoryPaymentGateway:
    """A provider that keeps books, ends payments by phone or script, and signs its notices."""

    clock: Clock
    name: str = "lipana"
    secret: str = "fake secret"
    can_pay_out: bool = True
    is_reachable: bool = True
    """False: nothing leaves, as with a refused connection."""
    collections: list[BookedMovement] = field(default_factory=list)
    payouts: list[BookedMovement] = field(default_factory=list)
    scripts: dict[str, SimulatedOutcome] = field(default_factory=dict)
    can_refund: bool = False
    honours_keys: bool = False
    refund_ending: RefundEnding = RefundEnding.PAID
    """How the next refunds end."""
    refunds: dict[str, BookedRefund] = field(default_factory=dict)
    """By our key: whoever sends one twice gets the same refund."""
    refund_calls: int = 0

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            currencies=frozenset({"KES"}),
            unit_minor=100,
            amount_min_minor=10_00,
            amount_max_minor=150_000_00,
            needs_phone=True,
            can_refund=self.can_refund,
            can_pay_out=self.can_pay_out,
            has_native_idempotency=self.honours_keys,
            can_search=True,
            amount_in_callback_required=True,
        )

    def script(self, phone: str, outcome: SimulatedOutcome) -> None:
        """Say how payments of this phone end from now on."""
        self.scripts[phone] = outcome

    async def collect(self, collection: Collection) -> Answer:
        assert collection.phone is not None, "see capabilities"
        self._check(collection.amount)
        outcome = self.scripts.get(collection.phone) or OUTCOME_BY_PHONE.get(collection.phone, SimulatedOutcome.SUCCESS)
        if not self.is_reachable:
            return Answer(outcome=Outcome.FAILED, did_not_leave=True, code="GATEWAY_UNAVAILABLE")
        if outcome is SimulatedOutcome.SERVER_ERROR:
            return Answer(outcome=Outcome.UNKNOWN, authority=Authority.HINT, code="SERVER_ERROR")
        amount = collection.amount - SHILLING if outcome is SimulatedOutcome.AMOUNT_SHORT else collection.amount
        movement = self._book(self.collections, "TXN", collection.phone, amount, collection.reference, outcome)
        silent = {SimulatedOutcome.NO_ANSWER, SimulatedOutcome.NO_CALLBACK}
        movement.unsent = 0 if outcome in silent else 3 if outcome is SimulatedOutcome.THREE_DELIVERIES else 1
        if outcome is SimulatedOutcome.ANSWER_LOST:
            return Answer(outcome=Outcome.UNKNOWN, authority=Authority.HINT, code="NO_ANSWER_FROM_GATEWAY")
        references = ProviderReferences(movement.id, f"ws_CO_{movement.id}")
        return Answer(outcome=Outcome.PENDING, references=references, next_action="wait_for_phone")

    async def query(self, references: ProviderReferences) -> Answer:
        return self._query(self.collections, references)

    async def search(self, search: Search) -> tuple[Answer, ...]:
        if not self.is_reachable:
            raise Unavailable
        return tuple(
            self._answer(movement)
            for movement in self.collections
            if search.phone in {None, movement.phone}
            and movement.amount == search.amount
            and search.sent_after <= movement.created_at <= search.sent_before
        )

    async def refund(self, repayment: Repayment) -> Answer:
        if not self.can_refund:
            return Answer(outcome=Outcome.FAILED, references=repayment.payment, code="REFUND_UNSUPPORTED")
        paid = next(one for one in self.collections if one.id == repayment.payment.transaction_id)
        self.refund_calls += 1
        if not self.is_reachable:
            return Answer(outcome=Outcome.FAILED, did_not_leave=True, code="GATEWAY_UNAVAILABLE")
        known = self.refunds.get(repayment.idempotency_key) if self.honours_keys else None
        if known is None:
            known = BookedRefund(f"RF{len(self.refunds) + 1:06}", repayment.refund_id, repayment.amount, paid.id)
            before = sum(one.amount.minor for one in self.refunds.values() if one.payment_id == paid.id)
            if before + repayment.amount.minor > paid.amount.minor:
                return Answer(outcome=Outcome.FAILED, code="MORE_THAN_WAS_PAID")
            known.ending = self.refund_ending
            if known.ending is RefundEnding.REFUSED:
                return Answer(outcome=Outcome.FAILED, code="REFUND_REFUSED")
            if known.ending is not RefundEnding.CUT_OFF:
                self.refunds[repayment.idempotency_key] = known
            if known.ending in {RefundEnding.ANSWER_LOST, RefundEnding.CUT_OFF}:
                return Answer(outcome=Outcome.UNKNOWN, authority=Authority.HINT, code="NO_ANSWER_FROM_GATEWAY")
        return known.answer

    async def query_refund(self, references: ProviderReferences) -> Answer:
        for one in self.refunds.values():
            if references.transaction_id == one.id:
                return one.answer
        return Answer(outcome=Outcome.UNKNOWN, references=references, authority=Authority.HINT, code="NOT_FOUND")

    def refund_notice(self, booked: BookedRefund, **changed: object) -> tuple[bytes, dict[str, str]]:
        """Return a signed notice of how a refund stands, as it is or with changed fields."""
        fields = {
            "kind": EventKind.REFUND.value,
            "refund": booked.id,
            "outcome": booked.answer.outcome.value,
            "minor": booked.amount.minor,
            **changed,
        }
        return self.signed(json.dumps(fields).encode())

    async def pay_out(self, payout: Payout) -> Answer:
        assert self.can_pay_out, "see capabilities"
        self._check(payout.amount)
        if not self.is_reachable:
            return Answer(outcome=Outcome.FAILED, did_not_leave=True, code="GATEWAY_UNAVAILABLE")
        outcome = self.scripts.get(payout.phone, SimulatedOutcome.SUCCESS)
        movement = self._book(self.payouts, "PO", payout.phone, payout.amount, None, outcome)
        if outcome is SimulatedOutcome.ANSWER_LOST:
            return Answer(outcome=Outcome.UNKNOWN, authority=Authority.HINT, code="NO_ANSWER_FROM_GATEWAY")
        return Answer(outcome=Outcome.PENDING, references=ProviderReferences(movement.id))

    async def query_payout(self, references: ProviderReferences) -> Answer:
        answer = self._query(self.payouts, references)
        return replace(answer, references=replace(answer.references, receipt=None, checkout_id=None))

    async def statement(self, *, since: datetime, until: datetime) -> AsyncIterator[StatementLine]:
        if not self.is_reachable:
            raise Unavailable
        for movement in sorted(self.collections, key=lambda movement: movement.created_at):
            if since <= movement.created_at < until:
                answer = self._answer(movement)
                yield StatementLine(
                    references=answer.references,
                    our_reference=movement.reference,
                    amount=movement.amount,
                    outcome=answer.outcome,
                    occurred_at=movement.created_at,
                )

    def notices(self, reference: str) -> list[tuple[bytes, dict[str, str]]]:
        """Return the signed notices of this payment that are due now, each once: (body, headers)."""
        due: list[tuple[bytes, dict[str, str]]] = []
        for movement in self.collections:
            if reference not in {movement.id, movement.reference} or movement.ends_at > self.clock.now():
                continue
            due += [self.signed(self._body(movement))] * movement.unsent
            movement.unsent = 0
        return due

    def signed(self, body: bytes) -> tuple[bytes, dict[str, str]]:
        """Return a body with the header that proves it."""
        return body, {SIGNATURE_HEADER: hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()}

    async def verify(self, body: bytes, headers: Mapping[str, str], *, now: datetime, path: str = "") -> None:
        _, expected = self.signed(body)
        received = headers.get(SIGNATURE_HEADER, "")
        if not hmac.compare_digest(received.encode(), expected[SIGNATURE_HEADER].encode()):
            raise SignatureInvalid

    def parse(self, body: bytes, path: str = "") -> GatewayNotice:
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise CallbackMalformed from error
        if not isinstance(fields, dict):
            raise CallbackMalformed
        words = [outcome.value for outcome in Outcome]
        is_understood = fields.get("outcome") in words
        minor = fields.get("minor")
        return GatewayNotice(
            kind=EventKind(fields.get("kind", "payment")),
            outcome=Outcome(fields["outcome"]) if is_understood else Outcome.UNKNOWN,
            references=ProviderReferences(fields.get("id"), None, fields.get("receipt")),
            our_reference=fields.get("reference"),
            refund_reference=fields.get("refund"),
            amount=Money(minor) if type(minor) is int and minor > 0 else None,
            phone=fields.get("phone"),
            code=fields.get("code"),
            is_understood=is_understood,
            is_hint=fields.get("is_hint") is True,
        )

    def _check(self, amount: Money) -> None:
        assert amount.currency == "KES", "see capabilities"
        assert amount.minor % 100 == 0, "see capabilities"
        assert 10_00 <= amount.minor <= 150_000_00, "see capabilities"

    def _book(
        self,
        book: list[BookedMovement],
        prefix: str,
        phone: str,
        amount: Money,
        reference: str | None,
        outcome: SimulatedOutcome,
    ) -> BookedMovement:
        now = self.clock.now()
        ends_at = now + LATE if outcome is SimulatedOutcome.LATE_SUCCESS else now
        if outcome is SimulatedOutcome.NO_ANSWER:
            ends_at = datetime.max.replace(tzinfo=now.tzinfo)
        movement = BookedMovement(f"{prefix}{len(book) + 1:06}", phone, amount, reference, outcome, now, ends_at)
        book.append(movement)
        return movement

    def _query(self, book: list[BookedMovement], references: ProviderReferences) -> Answer:
        if not self.is_reachable:
            return Answer(outcome=Outcome.UNKNOWN, references=references, authority=Authority.HINT, did_not_leave=True)
        for movement in book:
            if movement.id == references.transaction_id:
                return self._answer(movement)
        return Answer(outcome=Outcome.UNKNOWN, references=references, authority=Authority.HINT, code="NOT_FOUND")

    def _answer(self, movement: BookedMovement) -> Answer:
        references = ProviderReferences(movement.id, f"ws_CO_{movement.id}")
        now = self.clock.now()
        if movement.ends_at > now:
            return Answer(outcome=Outcome.PENDING, references=references, amount=movement.amount)
        failure = FAILURES.get(movement.outcome)
        if failure is not None:
            outcome, code = failure
            return Answer(outcome=outcome, references=references, amount=movement.amount, code=code)
        if movement.outcome is SimulatedOutcome.PAYOUT_RETURNS and now >= movement.ends_at + timedelta(hours=1):
            return Answer(outcome=Outcome.FAILED, references=references, amount=movement.amount, code="RETURNED")
        return Answer(
            outcome=Outcome.SUCCEEDED,
            references=replace(references, receipt=f"S{movement.id}"),
            amount=movement.amount,
            occurred_at=movement.ends_at,
        )

    def _body(self, movement: BookedMovement) -> bytes:
        answer = self._answer(movement)
        assert answer.amount is not None
        fields = {
            "id": movement.id,
            "reference": movement.reference,
            "outcome": answer.outcome.value,
            "minor": answer.amount.minor,
            "phone": movement.phone,
            "code": answer.code,
        }
        return json.dumps(fields).encode()
