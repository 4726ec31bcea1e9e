"""Payments with their attempts, for payers and administrators, and refunds."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK
from msgspec import Meta, Struct

from application.core.identity.authenticate import Caller
from application.core.kernel.ports import Page
from application.core.payments.queries import AttemptView, PaymentDetail
from application.core.payments.refund_payment import RefundPayment, RefundPaymentCommand
from application.core.payments.see_payment import SeePayment
from domain.core.kernel.ids import IntentId
from domain.core.kernel.money import Money
from domain.core.payments.intent import PAYMENT_WORDS, IntentStatus, payment_word, stage_of
from interface.http.caller import is_admin, recently_proved, signed_in
from interface.http.wire import AmountInput, ListBody, list_body
from interface.http.wired import Wired

ORDER_PURPOSE = "order"

PaymentWord = Literal["pending", "processing", "completed", "failed", "canceled", "partially_refunded", "refunded"]
"""The words of the list of payments; `stage` says it exactly."""


class AttemptBody(Struct, frozen=True):
    """One try to pay."""

    id: UUID
    method: str
    status: str
    code: str | None
    created_at: datetime

    @classmethod
    def of(cls, view: AttemptView) -> "AttemptBody":
        """Write an attempt."""
        word = payment_word(stage_of(IntentStatus.OPEN, view.status))  # its own, whatever became of the payment
        return cls(id=view.id, method=view.method, status=word, code=view.code, created_at=view.created_at)


class PaymentBody(Struct, frozen=True):
    """A payment. `order` is what was paid for, where that is an order; `refunded_amount` counts what is on its way."""

    id: UUID
    order: UUID | None
    user: UUID
    amount: str
    currency: str
    method: str
    payment_method: str
    status: str
    stage: str
    transaction_id: str | None
    refunded_amount: str
    attempts: list[AttemptBody]
    attempts_left: int | None
    created_at: datetime
    completed_at: datetime | None

    @classmethod
    def of(cls, view: PaymentDetail) -> "PaymentBody":
        """Write a payment."""
        telling = view.telling
        return cls(
            id=view.id,
            order=view.subject if view.purpose == ORDER_PURPOSE else None,
            user=view.payer,
            amount=view.amount.text,
            currency=view.amount.currency,
            method=telling.method,
            payment_method=telling.method,
            status=payment_word(view.stage),
            stage=view.stage,
            transaction_id=telling.transaction_id,
            refunded_amount=view.refunded.text,
            attempts=[AttemptBody.of(one) for one in view.attempts],
            attempts_left=view.attempts_left,
            created_at=view.created_at,
            completed_at=view.completed_at,
        )


class RefundInput(Struct, frozen=True):
    """How much goes back, in the currency of the payment; without an amount all that is left."""

    amount: AmountInput | None = None
    reason: Annotated[str, Meta(max_length=500)] | None = None


PurposeFilter = Annotated[str | None, QueryParameter(max_length=40, pattern="^[A-Za-z_]+$")]


class PaymentController(Controller):
    path = "/api/payments"
    tags = ("payments",)
    guards = (signed_in,)

    @get("/", operation_id="listPayments", status_code=HTTP_200_OK)
    async def payments(
        self,
        request: Request[Any, Any, Any],
        caller: Wired[Caller],
        page: Wired[Page],
        see_payment: Wired[SeePayment],
        purpose: FromQuery[PurposeFilter] = None,
        status: FromQuery[PaymentWord | None] = None,
        order: FromQuery[UUID | None] = None,
    ) -> ListBody[PaymentBody]:
        """List payments, the newest first: one's own, and for administrators everybody's."""
        listing = await see_payment.list(
            page,
            caller,
            purpose=ORDER_PURPOSE if purpose is None and order is not None else purpose,
            subject=order,
            stages=None if status is None else PAYMENT_WORDS[status],
        )
        return list_body(request, listing, PaymentBody.of)

    @get("/{payment_id:uuid}", operation_id="getPayment", status_code=HTTP_200_OK)
    async def payment(
        self, payment_id: FromPath[UUID], caller: Wired[Caller], see_payment: Wired[SeePayment]
    ) -> PaymentBody:
        """Return a payment of one's own."""
        return PaymentBody.of(await see_payment(IntentId(payment_id), caller))


class RefundController(Controller):
    path = "/api/payments"
    tags = ("administration",)
    guards = (is_admin,)

    @post(
        "/{payment_id:uuid}/refund",
        operation_id="refundPayment",
        refuses=(
            "kernel.invalid_amount",
            "payments.gateway_unavailable",
            "payments.not_refundable",
            "payments.own_refund",
            "payments.refund_exceeds_payment",
            "payments.refund_refused",
            "payments.refund_window_closed",
        ),
        status_code=HTTP_200_OK,
        guards=[recently_proved],
    )
    async def refund(
        self,
        payment_id: FromPath[UUID],
        data: JSONBody[RefundInput],
        caller: Wired[Caller],
        see_payment: Wired[SeePayment],
        refund_payment: Wired[RefundPayment],
    ) -> PaymentBody:
        """Refund a payment, in full or in part."""
        found = await see_payment(IntentId(payment_id), caller)
        amount = None if data.amount is None else Money.parse(data.amount, found.amount.currency)
        command = RefundPaymentCommand(
            intent_id=IntentId(payment_id), administrator=caller.account_id, amount=amount, reason=data.reason
        )
        return PaymentBody.of(await refund_payment(command))
