"""Top-ups, what became of a payment, and the callbacks of providers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath, JSONBody, PathParameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from msgspec import Meta, Struct

from application.core.identity.authenticate import Caller
from application.core.payments.payment_status import PaymentStatus
from application.core.payments.queries import PaymentView
from application.core.payments.receive_callback import ReceiveCallbacks
from application.core.payments.start_payment import PaymentState
from application.core.payments.top_up import TopUp, TopUpCommand
from domain.core.kernel.money import Money
from domain.core.payments.intent import status_word
from interface.http.aliases import operation_ids
from interface.http.caller import signed_in
from interface.http.wire import AmountInput, CurrencyCode
from interface.http.wired import Wired

CALLBACK_BYTES_MAX = 64 * 1024

PhoneInput = Annotated[str, Meta(min_length=1, max_length=20)]
DETAIL_BY_ACTION = {
    "wait_for_phone": "Confirm the payment on your phone.",
    "redirect": "Pay on the page of the payment provider.",
}
MethodWord = Annotated[str, Meta(min_length=1, max_length=20, pattern="^[a-z_]+$")]


class TopUpBody(Struct, frozen=True):
    """How much to add to one's own wallet, and from where."""

    amount: AmountInput
    currency: CurrencyCode = "KES"
    phone: PhoneInput | None = None
    method: MethodWord = "mpesa"


class StartedBody(Struct, frozen=True):
    """A payment that was started."""

    detail: str
    reference: str
    status: str
    stage: str
    amount: str
    currency: str
    purpose: str
    code: str | None
    message: str | None
    next_action: str | None
    next_url: str | None

    @classmethod
    def of(cls, state: PaymentState) -> "StartedBody":
        """Write a payment's state."""
        return cls(
            detail=DETAIL_BY_ACTION.get(state.next_action or "", "The payment was started."),
            reference=state.reference,
            status=state.status,
            stage=state.stage,
            amount=state.amount.text,
            currency=state.amount.currency,
            purpose=state.purpose,
            code=state.code,
            message=state.message,
            next_action=state.next_action,
            next_url=state.next_url,
        )


class StatusBody(Struct, frozen=True):
    """What became of a payment."""

    reference: str
    amount: str
    currency: str
    purpose: str
    status: str
    stage: str
    processed: bool
    code: str | None
    message: str | None
    created_at: datetime

    @classmethod
    def of(cls, view: PaymentView) -> "StatusBody":
        """Write a payment."""
        return cls(
            reference=view.reference,
            amount=view.amount.text,
            currency=view.amount.currency,
            purpose=view.purpose,
            status=status_word(view.stage),
            stage=view.stage,
            processed=view.processed,
            code=view.code,
            message=view.message,
            created_at=view.created_at,
        )


class TransactionController(Controller):
    path = "/api"
    tags = ("payments",)
    guards = (signed_in,)

    @post(
        ["/wallet/topup", "/transactions/push-stk"],
        operation_id=operation_ids("topUpWallet", "/api/wallet/topup"),
        refuses=(
            "kernel.invalid_amount",
            "payments.amount_above_maximum",
            "payments.amount_below_minimum",
            "payments.currency_not_supported",
            "payments.declined",
            "payments.gateway_unavailable",
            "payments.method_unavailable",
            "payments.payment_closed",
            "payments.phone_invalid",
            "payments.phone_required",
            "payments.push_in_flight",
            "payments.too_many_pushes",
            "payments.whole_units_required",
        ),
        also={200: "The same payment was open already."},
        status_code=HTTP_201_CREATED,
    )
    async def top_up(
        self, data: JSONBody[TopUpBody], caller: Wired[Caller], top_up: Wired[TopUp]
    ) -> Response[StartedBody]:
        """Top up one's own wallet."""
        amount = Money.parse(data.amount, data.currency.upper())
        command = TopUpCommand(payer=caller.account_id, amount=amount, method=data.method, phone=data.phone)
        state, was_open = await top_up(command)
        return Response(StartedBody.of(state), status_code=HTTP_200_OK if was_open else HTTP_201_CREATED)

    @get("/transactions/status/{reference:str}", operation_id="getTransactionStatus", status_code=HTTP_200_OK)
    async def status(
        self,
        reference: FromPath[Annotated[str, PathParameter(max_length=100)]],
        caller: Wired[Caller],
        payment_status: Wired[PaymentStatus],
    ) -> StatusBody:
        """Tell what became of a payment."""
        return StatusBody.of(await payment_status(reference, caller))


class LipanaCallbackInput(Struct, frozen=True):
    """A payment as Lipana reports it. Fields that are not named here are kept with it, and decide nothing."""

    reference: str
    status: str
    amount: AmountInput
    currency: str | None = None
    phone: str | None = None
    message: str | None = None


class SokoCallbackInput(Struct, frozen=True):
    """A payment in the house's own dialect; without an amount, the one that was asked for is meant."""

    transaction_reference: str
    status: str
    amount: AmountInput | None = None
    payment_provider_reference: str | None = None


class StripeCallbackInput(Struct, frozen=True):
    """An event of Stripe's. Fields that are not named here are kept with it, and decide nothing."""

    id: str
    type: str
    created: int
    livemode: bool
    data: dict[str, Any]


class PayPalCallbackInput(Struct, frozen=True):
    """An event as PayPal reports it. What the resource holds depends on the event."""

    id: str
    event_type: str
    resource_type: str
    resource: dict[str, Any]


PAYPAL_HEADERS: Mapping[str, str] = {
    "PAYPAL-TRANSMISSION-ID": "PayPal's id of this delivery.",
    "PAYPAL-TRANSMISSION-TIME": "When it was sent, with its zone; a day old at most.",
    "PAYPAL-TRANSMISSION-SIG": "Base64 of the signature over `id|time|webhook id|crc32 of the body's bytes`.",
    "PAYPAL-CERT-URL": "Where PayPal serves the certificate that it signed under.",
    "PAYPAL-AUTH-ALGO": "`SHA256withRSA`.",
}


class DarajaCallbackInput(Struct, frozen=True):
    """What Daraja tells: `Body` of a prompt, `Result` of a payout or of a question."""

    Body: dict[str, Any] | None = None
    Result: dict[str, Any] | None = None


class DarajaCallbackBody(Struct, frozen=True):
    """What Daraja is told, whatever it said."""

    ResultCode: int = 0
    ResultDesc: str = "Accepted"


class CallbackBody(Struct, frozen=True):
    """What a provider is told."""

    detail: str


class SokoCallbackBody(Struct, frozen=True):
    """What a sender of the house's own dialect is told."""

    message: str
    detail: str


class CallbackController(Controller):
    """Anybody may send; only what is signed is heard. The body is read raw, whatever its content type says."""

    path = "/api/payments"
    tags = ("payments",)

    @post(
        "/lipana/callback",
        operation_id="receiveLipanaCallback",
        refuses=("payments.signature_invalid",),
        raw_body=LipanaCallbackInput,
        signature_header="X-Lipana-Signature",
        status_code=HTTP_200_OK,
        request_max_body_size=CALLBACK_BYTES_MAX,
    )
    async def lipana(
        self,
        request: Request[Any, Any, Any],
        receive_callbacks: Wired[ReceiveCallbacks],
    ) -> CallbackBody:
        """Receive a callback of Lipana's, signed in X-Lipana-Signature."""
        return CallbackBody(await receive_callbacks("lipana", await request.body(), request.headers))

    @post(
        "/paypal/callback",
        operation_id="receivePayPalCallback",
        refuses=("payments.signature_invalid",),
        raw_body=PayPalCallbackInput,
        signed_headers=PAYPAL_HEADERS,
        status_code=HTTP_200_OK,
        request_max_body_size=CALLBACK_BYTES_MAX,
    )
    async def paypal(
        self,
        request: Request[Any, Any, Any],
        receive_callbacks: Wired[ReceiveCallbacks],
    ) -> CallbackBody:
        """Receive an event of PayPal's, signed under its certificate."""
        return CallbackBody(await receive_callbacks("paypal", await request.body(), request.headers))

    @post(
        "/daraja/{topic:str}/{token:str}",
        operation_id="receiveDarajaCallback",
        refuses=("payments.signature_invalid",),
        raw_body=DarajaCallbackInput,
        status_code=HTTP_200_OK,
        request_max_body_size=CALLBACK_BYTES_MAX,
    )
    async def daraja(
        self,
        request: Request[Any, Any, Any],
        topic: FromPath[Annotated[str, PathParameter(max_length=100)]],
        token: FromPath[Annotated[str, PathParameter(max_length=100)]],
        receive_callbacks: Wired[ReceiveCallbacks],
    ) -> DarajaCallbackBody:
        """Receive what Daraja tells at an address of ours: `stk`, `result` or `timeout`, and the token made for it."""
        await receive_callbacks("daraja", await request.body(), request.headers, f"{topic}/{token}")
        return DarajaCallbackBody()

    @post(
        "/stripe/callback",
        operation_id="receiveStripeCallback",
        refuses=("payments.signature_invalid",),
        raw_body=StripeCallbackInput,
        signature_header="Stripe-Signature",
        status_code=HTTP_200_OK,
        request_max_body_size=CALLBACK_BYTES_MAX,
    )
    async def stripe(
        self,
        request: Request[Any, Any, Any],
        receive_callbacks: Wired[ReceiveCallbacks],
    ) -> CallbackBody:
        """Receive an event of Stripe's, signed in Stripe-Signature."""
        return CallbackBody(await receive_callbacks("stripe", await request.body(), request.headers))

    @post(
        "/callback",
        operation_id="receivePaymentCallback",
        refuses=("payments.signature_invalid",),
        raw_body=SokoCallbackInput,
        signature_header="X-Soko-Signature",
        status_code=HTTP_200_OK,
        request_max_body_size=CALLBACK_BYTES_MAX,
    )
    async def soko(
        self,
        request: Request[Any, Any, Any],
        receive_callbacks: Wired[ReceiveCallbacks],
    ) -> SokoCallbackBody:
        """Receive a callback in the house's own dialect, signed in X-Soko-Signature."""
        reply = await receive_callbacks("soko", await request.body(), request.headers)
        return SokoCallbackBody(message=f"Callback {reply}.", detail=reply)
