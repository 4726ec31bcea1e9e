"""What is sent to pay for something, and what is answered; shared by everything that can be paid for."""

from typing import Annotated

from litestar import Response
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from msgspec import Meta, Struct

from application.core.payments.start_payment import WALLET_METHOD, PaymentState
from domain.core.kernel.money import Money
from domain.core.payments.gateway import Card
from domain.core.payments.intent import payment_word
from interface.http.core.payments import MethodWord, PhoneInput
from interface.http.core.payments_list import ORDER_PURPOSE, AttemptBody, PaymentBody

PAY_REFUSALS = (
    "ledger.insufficient_funds",
    "payments.amount_above_maximum",
    "payments.amount_below_minimum",
    "payments.card_expired",
    "payments.card_incomplete",
    "payments.currency_not_supported",
    "payments.declined",
    "payments.gateway_unavailable",
    "payments.method_unavailable",
    "payments.payment_closed",
    "payments.phone_invalid",
    "payments.phone_required",
    "payments.push_in_flight",
    "payments.raw_card_refused",
    "payments.too_many_pushes",
    "payments.whole_units_required",
)
"""What paying can be refused with, beside what the thing that is paid for says itself."""

CardNumberInput = Annotated[str, Meta(max_length=40)]
CardExpiryInput = Annotated[str, Meta(max_length=10)]
CardCvvInput = Annotated[str, Meta(max_length=10)]
CardHolderInput = Annotated[str, Meta(max_length=100)]


class CardInput(Struct, frozen=True):
    """A card, as one object."""

    number: CardNumberInput = ""
    expiry: CardExpiryInput = ""
    cvv: CardCvvInput = ""
    holder: CardHolderInput = ""

    def __repr__(self) -> str:
        """Show nothing of it, wherever it is shown (rule payments.no_card_data_kept)."""
        return "CardInput(...)"


class PayInput(Struct, frozen=True):
    """How somebody pays: `wallet`, `mpesa`, `card`, `payme`, `click`, `stripe` or `paypal`, where this server has it.

    `card` needs the four card fields, flat or as one object; `mpesa` a phone, or the one of the account. `stripe` and
    `paypal` answer with a `next_url` to which the payer's browser is sent.
    """

    payment_method: MethodWord
    card_number: CardNumberInput | None = None
    card_expiry: CardExpiryInput | None = None
    """MM/YY."""
    card_cvv: CardCvvInput | None = None
    card_holder: CardHolderInput | None = None
    card: CardInput | None = None
    phone: PhoneInput | None = None

    def __repr__(self) -> str:
        """Show the method only, wherever it is shown (rule payments.no_card_data_kept)."""
        return f"PayInput(payment_method={self.payment_method!r}, ...)"

    def read_card(self) -> Card | None:
        """Return the card that was typed, complete or not; None where no card field was sent. Flat fields win."""
        flat = (self.card_number, self.card_expiry, self.card_cvv, self.card_holder)
        if self.card is None and flat == (None, None, None, None):
            return None
        nested = self.card or CardInput()
        return Card(
            number=nested.number if self.card_number is None else self.card_number,
            expiry=nested.expiry if self.card_expiry is None else self.card_expiry,
            cvv=nested.cvv if self.card_cvv is None else self.card_cvv,
            holder=nested.holder if self.card_holder is None else self.card_holder,
        )


def payment_of(state: PaymentState) -> PaymentBody:
    """Write a payment that was just started, or is still under way: nothing was given back of it."""
    return PaymentBody(
        id=state.payment_id,
        order=state.subject if state.purpose == ORDER_PURPOSE else None,
        user=state.payer,
        amount=state.amount.text,
        currency=state.amount.currency,
        method=state.method,
        payment_method=state.method,
        status=payment_word(state.stage),
        stage=state.stage,
        transaction_id=state.transaction_id,
        refunded_amount=Money.zero(state.amount.currency).text,
        attempts=[
            AttemptBody(
                id=one.id, method=one.method, status=payment_word(one.stage), code=one.code, created_at=one.created_at
            )
            for one in state.attempts
        ],
        attempts_left=state.attempts_left,
        created_at=state.created_at,
        completed_at=state.completed_at,
    )


class GatewayResponseBody(Struct, frozen=True):
    """What the provider said of the latest attempt."""

    success: bool
    code: str | None
    message: str | None
    fee: str | None
    """What the provider keeps, in the payment's currency, where it says so."""

    @classmethod
    def of(cls, state: PaymentState) -> "GatewayResponseBody":
        """Write what the provider said."""
        return cls(state.stage == "succeeded", state.code, state.message, None if state.fee is None else state.fee.text)


class PaidBody(PaymentBody, frozen=True, kw_only=True):
    """A payment as `pay` answers it; what the payer has to do now is in `next_action` and `next_url`."""

    reference: str
    next_action: str | None
    next_url: str | None
    payment: PaymentBody
    """The same payment once more."""
    gateway_response: GatewayResponseBody | None
    """None where no provider was asked."""

    @classmethod
    def paid(cls, state: PaymentState) -> "PaidBody":
        """Write the answer to a payment."""
        payment = payment_of(state)
        return cls(
            **{name: getattr(payment, name) for name in PaymentBody.__struct_fields__},
            reference=state.reference,
            next_action=state.next_action,
            next_url=state.next_url,
            payment=payment,
            gateway_response=None if state.method == WALLET_METHOD else GatewayResponseBody.of(state),
        )


def paid_response(state: PaymentState, *, was_open: bool) -> Response[PaidBody]:
    """Return the answer to a payment: 201, or 200 for an attempt that was in flight already."""
    return Response(PaidBody.paid(state), status_code=HTTP_200_OK if was_open else HTTP_201_CREATED)
