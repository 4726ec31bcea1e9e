"""Start a payment, inside the caller's own transaction, then ask the gateway outside of it.

- The row is committed before the provider is called, and no provider is called inside a transaction
  (payments.row_before_call).
- What the gateway cannot express exactly, or not at all, is refused before any row exists (payments.exact_units).
- While an attempt may still end, a second pay answers it (payments.one_attempt_in_flight); one push waits per phone
  and purpose, and a phone gets at most `payments.push_limit` in ten minutes (wallet.push_limits).
- No answer means unknown, and a prompt is never sent again for the same attempt (payments.timeout_is_unknown).
- From a wallet a payment is a transfer and ends at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from application.core.kernel.ports import Clock, IdSource, Policies, Randomness
from application.core.payments.gateway import PaymentGateway
from application.core.payments.ports import Gateways, MethodUnavailable, PaymentsUnitOfWork, Push
from application.core.payments.record_answer import RecordAnswer
from domain.core.kernel.errors import FieldError, Invalid, TooOften, Unavailable
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.kernel.money import Money, UnknownCurrency
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.transfer import Posting, TransferKind
from domain.core.payments.card import check_typed
from domain.core.payments.fx import FxQuote
from domain.core.payments.gateway import Capabilities, Card, Collection, key_of_attempt
from domain.core.payments.intent import (
    WAITING,
    WALLET_PURPOSE,
    IntentStatus,
    PaymentAttempt,
    PaymentIntent,
    PushInFlight,
    new_reference,
    stage_of,
    status_word,
)
from domain.core.payments.phone import prompted_phone
from domain.core.payments.policies import PUSH_LIMIT
from domain.core.payments.settlement import Settle

WALLET_METHOD: Final = "wallet"
CARD_METHOD: Final = "card"
PUSH_WINDOW: Final = timedelta(minutes=10)


class PhoneRequired(Invalid):
    """A phone is needed for this way to pay."""

    code = "payments.phone_required"


class WholeUnitsRequired(Invalid):
    """This way to pay takes whole units only."""

    code = "payments.whole_units_required"


class AmountBelowMinimum(Invalid):
    """The amount is below the minimum."""

    code = "payments.amount_below_minimum"


class AmountAboveMaximum(Invalid):
    """The amount is above the maximum."""

    code = "payments.amount_above_maximum"


class TooManyPushes(TooOften):
    """This phone was prompted too often; wait and try again."""

    code = "payments.too_many_pushes"


class GatewayUnavailable(Unavailable):
    """The payment provider cannot be reached at the moment; nothing was charged."""

    code = "payments.gateway_unavailable"


class RawCardRefused(Invalid):
    """This way to pay does not take card fields; pay on the provider's own page."""

    code = "payments.raw_card_refused"


class PaymentDeclined(Invalid):
    """The payment was declined."""

    code = "payments.declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRequest:
    """Who owes what for which purpose, and how it is to be collected."""

    payer: AccountId
    purpose: str
    subject: UUID
    amount: Money
    destination: AccountRef
    method: str
    phone: str | None
    life: timedelta
    """How long the purpose can be paid for."""
    quote: FxQuote | None = None
    kind: TransferKind = TransferKind.HOLD
    """How the arrival of the money is booked."""
    attempts_max: int | None = None
    """How many attempts the purpose allows; kept with the payment, told with a decline."""
    wallet_reference: str | None = None
    """The purpose's own reference of the transfer from a wallet; None: one made from the attempt."""
    is_first: bool = False
    """Whether the purpose knows, under its own lock, that no payment of the subject was begun: none is looked for."""
    card: Card | None = None
    return_url: str | None = None
    """Where the payer's browser goes when he has paid at the provider's."""
    cancel_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptState:
    """One try, as the payer sees it."""

    id: UUID
    method: str
    stage: str
    code: str | None
    created_at: datetime

    @classmethod
    def of(cls, attempt: PaymentAttempt) -> "AttemptState":
        """Return the state of an attempt."""
        stage = stage_of(IntentStatus.OPEN, attempt.status)  # its own, whatever became of the payment
        return cls(id=attempt.id, method=attempt.method, stage=stage, code=attempt.code, created_at=attempt.created_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentState:
    """A payment as its payer sees it."""

    payer: AccountId
    subject: UUID
    reference: str
    status: str
    """PENDING, SUCCESS or FAILED."""
    stage: str
    amount: Money
    purpose: str
    code: str | None
    message: str | None
    next_action: str | None
    next_url: str | None
    """Where the payer goes to pay, where the provider has a page of its own."""
    payment_id: IntentId
    attempt_id: UUID
    method: str
    transaction_id: str | None
    fee: Money | None
    """What the provider keeps, where it says so."""
    attempts: tuple[AttemptState, ...]
    """All of them, oldest first."""
    attempts_left: int | None
    """None where the purpose sets no limit."""
    created_at: datetime
    completed_at: datetime | None

    @classmethod
    def of(cls, intent: PaymentIntent) -> "PaymentState":
        """Return the state of a payment."""
        attempt = intent.latest
        return cls(
            payer=intent.payer,
            subject=intent.subject,
            reference=intent.reference,
            status=status_word(intent.stage),
            stage=intent.stage,
            amount=intent.amount,
            purpose=intent.purpose,
            code=attempt.code,
            message=attempt.message,
            next_action=attempt.next_action,
            next_url=attempt.next_url,
            payment_id=intent.id,
            attempt_id=attempt.id,
            method=attempt.method,
            transaction_id=attempt.transaction_id,
            fee=attempt.fee,
            attempts=tuple(AttemptState.of(one) for one in intent.attempts),
            attempts_left=intent.attempts_left,
            created_at=intent.created_at,
            completed_at=intent.closed_at if intent.status is IntentStatus.SUCCEEDED else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedPayment:
    """A payment whose rows are in the caller's unit of work."""

    intent_id: IntentId
    state: PaymentState
    is_repeat: bool
    """Whether it is an attempt that was already open: the reply is 200, not 201."""
    gateway: str | None = None
    collection: Collection | None = None
    """What is to be sent after the commit; None where nothing is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPayment:
    unit_of_work: Callable[[], PaymentsUnitOfWork]
    gateways: Gateways
    clock: Clock
    ids: IdSource
    randomness: Randomness
    policies: Policies

    async def prepare(self, uow: PaymentsUnitOfWork, request: PaymentRequest) -> PreparedPayment:
        """Put the payment and its attempt into the caller's unit of work; call `send` after its commit.

        Raises MethodUnavailable, UnknownCurrency, AmountBelowMinimum, WholeUnitsRequired, AmountAboveMaximum,
        PhoneRequired, PhoneInvalid, RawCardRefused, CardIncomplete, CardExpired, AttemptsExhausted, PushInFlight,
        TooManyPushes; from a wallet InsufficientFunds.
        """
        now = self.clock.now()
        if request.method == WALLET_METHOD:
            return await self._from_wallet(uow, request, now)
        gateway = self.gateways.gateway_for(request.method)
        check_amount(request.amount, gateway.capabilities)
        check_card(request, gateway.capabilities, now)
        phone = self._phone(request.phone, gateway.capabilities)
        if phone is not None:
            same = self._same_push(await uow.intents.pushes(phone, since=now - PUSH_WINDOW), request, now)
            if same is not None:
                return self._repeat(await uow.intents.get(same.intent_id))
        intent = await self._intent(uow, request, now)
        if intent.in_flight is not None:
            return self._repeat(intent)
        attempt = intent.start_attempt(
            id=self.ids.new(),
            method=request.method,
            gateway=gateway.name,
            phone=phone,
            now=now,
            checks_after=gateway.capabilities.checks_after,
        )
        return PreparedPayment(
            intent_id=intent.id,
            state=PaymentState.of(intent),
            is_repeat=False,
            gateway=gateway.name,
            collection=replace(
                collection_of(intent, attempt),
                card=request.card,
                return_url=request.return_url,
                cancel_url=request.cancel_url,
            ),
        )

    async def send(self, prepared: PreparedPayment) -> PaymentState:
        """Ask the gateway, outside any transaction, and record what it answers in one of its own.

        Raises GatewayUnavailable where the request provably did not leave, and PaymentDeclined.
        """
        if prepared.collection is None or prepared.gateway is None:
            return prepared.state
        gateway = self.gateways.by_name(prepared.gateway)
        return await self._send(gateway, prepared, prepared.collection)

    async def _send(self, gateway: PaymentGateway, prepared: PreparedPayment, collection: Collection) -> PaymentState:
        answer = await gateway.collect(collection)
        record = RecordAnswer(unit_of_work=self.unit_of_work, clock=self.clock, ids=self.ids)
        try:
            intent = await record.of_collection(prepared.intent_id, collection.attempt_id, answer)
        except Unavailable:
            return prepared.state  # the prompt may be out: the attempt stands as being sent, and the ladder finishes it
        if answer.did_not_leave:
            raise GatewayUnavailable(retry_after_s=answer.retry_after_s or 30)
        state = PaymentState.of(intent)
        if state.stage == "failed":
            raise PaymentDeclined(
                payment_id=str(intent.id),
                gateway_code=state.code,
                attempts_left=state.attempts_left,
                reference=intent.reference,
            )
        return state

    async def _from_wallet(self, uow: PaymentsUnitOfWork, request: PaymentRequest, now: datetime) -> PreparedPayment:
        if request.purpose == WALLET_PURPOSE:
            raise MethodUnavailable("A wallet is not filled from itself.")
        if request.card is not None:
            raise RawCardRefused
        intent = await self._intent(uow, request, now)
        if intent.in_flight is not None:
            return self._repeat(intent)
        attempt = intent.start_attempt(
            id=self.ids.new(), method=request.method, gateway=WALLET_METHOD, phone=None, now=now
        )
        settle = Settle(intent=intent, attempt=attempt, new_id=self.ids.new, now=now)
        destination, paid = settle.pay(request.amount)
        leg = Posting(AccountRef.wallet(request.payer), destination, request.amount)
        await uow.ledger.post(settle.transfer(request.wallet_reference or f"payment:{attempt.id}", leg))
        uow.record(paid)
        return PreparedPayment(intent_id=intent.id, state=PaymentState.of(intent), is_repeat=False)

    async def _intent(self, uow: PaymentsUnitOfWork, request: PaymentRequest, now: datetime) -> PaymentIntent:
        """Return the open payment for this purpose, or a new one where there is none that still fits."""
        found = None
        if not request.is_first:
            found = await uow.intents.find_open(request.payer, request.purpose, request.subject)
        if found is not None:
            if found.in_flight is not None and found.amount != request.amount:
                raise PushInFlight
            if found.in_flight is not None or (found.amount == request.amount and found.expires_at > now):
                return found
            found.expire(now)
            await uow.intents.save_now(found)
        intent = PaymentIntent(
            id=IntentId(self.ids.new()),
            reference=new_reference(self.randomness.letters),
            payer=request.payer,
            purpose=request.purpose,
            subject=request.subject,
            amount=request.amount,
            destination=request.destination,
            kind=request.kind,
            expires_at=now + request.life,
            created_at=now,
            quote=request.quote,
            attempts_max=request.attempts_max,
        )
        uow.intents.add(intent)
        return intent

    def _phone(self, phone: str | None, capabilities: Capabilities) -> str | None:
        if not capabilities.needs_phone:
            return None
        if phone is None:
            raise PhoneRequired(errors=(FieldError("phone", "is needed for this way to pay"),))
        return prompted_phone(phone)

    def _same_push(self, pushes: Sequence[Push], request: PaymentRequest, now: datetime) -> Push | None:
        """Return the waiting push that this request repeats. Raises PushInFlight, TooManyPushes."""
        for push in pushes:
            if push.status not in WAITING or push.purpose != request.purpose:
                continue
            same_subject = request.purpose == WALLET_PURPOSE or push.subject == request.subject
            if push.payer == request.payer and push.amount == request.amount and same_subject:
                return push
            raise PushInFlight
        recent = [push for push in pushes if push.sent_at > now - PUSH_WINDOW]
        limit = self.policies.value(PUSH_LIMIT)
        if len(recent) >= limit:
            opens_at = recent[-limit].sent_at + PUSH_WINDOW
            raise TooManyPushes(retry_after_s=max(1, int((opens_at - now).total_seconds())), limit=limit)
        return None

    def _repeat(self, intent: PaymentIntent) -> PreparedPayment:
        return PreparedPayment(intent_id=intent.id, state=PaymentState.of(intent), is_repeat=True)


def check_amount(amount: Money, capabilities: Capabilities) -> None:
    """Let pass what a gateway can collect exactly.

    Raises UnknownCurrency, AmountBelowMinimum, WholeUnitsRequired, AmountAboveMaximum.
    """
    if amount.currency not in capabilities.currencies:
        taken = ", ".join(sorted(capabilities.currencies))
        raise UnknownCurrency(
            f"This way to pay does not take {amount.currency}.",
            errors=(FieldError("currency", f"must be one of {taken}"),),
        )
    if amount.minor < capabilities.amount_min_minor:
        raise below_minimum(Money(capabilities.amount_min_minor, amount.currency))
    if amount.minor % capabilities.unit_minor:
        raise WholeUnitsRequired(errors=(FieldError("amount", "must be whole units"),))
    if amount.minor > capabilities.amount_max_minor:
        raise above_maximum(Money(capabilities.amount_max_minor, amount.currency))


def check_card(request: PaymentRequest, capabilities: Capabilities, now: datetime) -> None:
    """Let card fields pass only to a gateway that takes them (rule payments.no_card_data_kept).

    Raises RawCardRefused, CardIncomplete, CardExpired.
    """
    takes_cards = capabilities.takes_cards and request.method == CARD_METHOD
    if request.card is not None and not takes_cards:
        raise RawCardRefused
    if takes_cards:
        check_typed(request.card, now)


def below_minimum(minimum: Money) -> AmountBelowMinimum:
    """Return the refusal with the minimum in it."""
    return AmountBelowMinimum(errors=(FieldError("amount", f"must be {minimum} or more"),), minimum=minimum.text)


def above_maximum(maximum: Money) -> AmountAboveMaximum:
    """Return the refusal with the maximum in it."""
    return AmountAboveMaximum(errors=(FieldError("amount", f"must be {maximum} or less"),), maximum=maximum.text)


def collection_of(intent: PaymentIntent, attempt: PaymentAttempt) -> Collection:
    """Return what is sent to the gateway for an attempt."""
    return Collection(
        attempt_id=attempt.id,
        reference=intent.reference,
        amount=intent.amount,
        description=intent.purpose.replace("_", " ").capitalize(),
        method=attempt.method,
        phone=attempt.phone,
        started_at=attempt.created_at,
        pay_until=intent.expires_at,
        idempotency_key=key_of_attempt(attempt.id),
    )
