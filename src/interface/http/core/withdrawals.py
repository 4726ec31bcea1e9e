"""Withdrawals over HTTP: ask, look, cancel; for administrators: review and decide."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from msgspec import Meta, Struct

from application.core.identity.authenticate import Caller
from application.core.kernel.ports import Page
from application.core.payments.decide_withdrawal import (
    CancelWithdrawal,
    DecideWithdrawal,
    DecideWithdrawalCommand,
    WithdrawalAction,
)
from application.core.payments.request_withdrawal import RequestWithdrawal, RequestWithdrawalCommand
from application.core.payments.withdrawal_ports import ReviewView, WithdrawalQueries
from domain.core.kernel.money import Money
from domain.core.payments.withdrawal import STATUS_BY_STAGE, Withdrawal, WithdrawalId, WithdrawalStage
from interface.http.caller import is_admin, recently_proved, signed_in
from interface.http.wire import AmountInput, CurrencyCode, ListBody, list_body
from interface.http.wired import Wired

WithdrawalStatus = Literal["PENDING", "APPROVED", "REJECTED", "CANCELLED"]


class DestinationInput(Struct, frozen=True):
    """Where the money is to go."""

    phone: Annotated[str, Meta(min_length=1, max_length=20)] | None = None


class WithdrawalInput(Struct, frozen=True):
    """How much is to be paid out, and where to; without a destination to the phone of the profile."""

    amount: AmountInput
    currency: CurrencyCode = "KES"
    method: Annotated[str, Meta(min_length=1, max_length=20, pattern="^[a-z_]+$")] = "mpesa"
    destination: DestinationInput | None = None


class DecisionInput(Struct, frozen=True):
    """What an administrator decides; `complete` needs the reference that proves the payment."""

    action: WithdrawalAction
    note: Annotated[str, Meta(max_length=500)] | None = None
    reference: Annotated[str, Meta(min_length=1, max_length=80)] | None = None


class DestinationBody(Struct, frozen=True):
    """Where the money goes."""

    phone: str


class WithdrawalBody(Struct, frozen=True):
    """A withdrawal. `status` is the documented word, `stage` says it exactly."""

    id: UUID
    amount: str
    currency: str
    method: str
    destination: DestinationBody
    status: str
    stage: WithdrawalStage
    reference: str | None
    note: str | None
    payable_at: datetime | None
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, one: Withdrawal) -> "WithdrawalBody":
        """Write a withdrawal."""
        return cls(
            id=one.id,
            amount=one.amount.text,
            currency=one.amount.currency,
            method=one.method,
            destination=DestinationBody(one.destination),
            status=STATUS_BY_STAGE[one.stage],
            stage=one.stage,
            reference=one.reference,
            note=one.note,
            payable_at=one.payable_at,
            created_at=one.requested_at,
            ended_at=one.ended_at,
        )


class OwnerBody(Struct, frozen=True):
    """Who asked."""

    id: UUID
    username: str
    email_verified: bool
    phone_verified: bool


class RiskBody(Struct, frozen=True):
    """What a reviewer looks at before money leaves."""

    destination_verified: bool
    destination_first_used_at: datetime
    destinations_used: int
    owed: str


class ReviewBody(Struct, frozen=True):
    """A withdrawal as an administrator sees it."""

    id: UUID
    amount: str
    currency: str
    method: str
    destination: DestinationBody
    status: str
    stage: WithdrawalStage
    reference: str | None
    note: str | None
    payable_at: datetime | None
    created_at: datetime
    ended_at: datetime | None
    owner: OwnerBody
    risk: RiskBody
    gateway: str | None
    code: str | None
    decided_by: UUID | None

    @classmethod
    def of(cls, view: ReviewView) -> "ReviewBody":
        """Write a withdrawal with what speaks against it."""
        one, seen = view.withdrawal, WithdrawalBody.of(view.withdrawal)
        return cls(
            id=seen.id,
            amount=seen.amount,
            currency=seen.currency,
            method=seen.method,
            destination=seen.destination,
            status=seen.status,
            stage=seen.stage,
            reference=seen.reference,
            note=seen.note,
            payable_at=seen.payable_at,
            created_at=seen.created_at,
            ended_at=seen.ended_at,
            owner=OwnerBody(
                id=one.owner,
                username=view.username,
                email_verified=view.is_email_verified,
                phone_verified=view.is_phone_verified,
            ),
            risk=RiskBody(
                destination_verified=view.is_destination_verified,
                destination_first_used_at=view.destination_first_used_at,
                destinations_used=view.destinations_used,
                owed=(-view.owed).text,
            ),
            gateway=one.gateway,
            code=one.code,
            decided_by=one.decided_by,
        )


class WithdrawalController(Controller):
    path = "/api/withdrawals"
    tags = ("withdrawals",)
    guards = (signed_in,)

    @get("/", operation_id="listWithdrawals", status_code=HTTP_200_OK)
    async def own(
        self,
        request: Request[Any, Any, Any],
        caller: Wired[Caller],
        page: Wired[Page],
        withdrawal_queries: Wired[WithdrawalQueries],
    ) -> ListBody[WithdrawalBody]:
        """List your withdrawals, newest first."""
        return list_body(request, await withdrawal_queries.own(caller.account_id, page), WithdrawalBody.of)

    @post(
        "/request",
        operation_id="requestWithdrawal",
        refuses=(
            "kernel.invalid_amount",
            "ledger.insufficient_funds",
            "payments.amount_below_minimum",
            "payments.balance_owed",
            "payments.currency_not_supported",
            "payments.destination_invalid",
            "payments.method_unavailable",
            "payments.phone_invalid",
            "payments.whole_units_required",
        ),
        status_code=HTTP_201_CREATED,
        guards=[recently_proved],
    )
    async def ask(
        self,
        data: JSONBody[WithdrawalInput],
        caller: Wired[Caller],
        request_withdrawal: Wired[RequestWithdrawal],
    ) -> WithdrawalBody:
        """Ask to be paid out; the amount leaves your wallet at once."""
        command = RequestWithdrawalCommand(
            owner=caller.account_id,
            amount=Money.parse(data.amount, data.currency.upper()),
            method=data.method,
            phone=data.destination.phone if data.destination else None,
        )
        return WithdrawalBody.of(await request_withdrawal(command))

    @post(
        "/{withdrawal_id:uuid}/cancel",
        operation_id="cancelWithdrawal",
        refuses=("payments.withdrawal_not_pending",),
        status_code=HTTP_200_OK,
    )
    async def cancel(
        self,
        withdrawal_id: FromPath[UUID],
        caller: Wired[Caller],
        cancel_withdrawal: Wired[CancelWithdrawal],
    ) -> WithdrawalBody:
        """Take back a withdrawal that nobody has decided about; the money returns to your wallet."""
        return WithdrawalBody.of(await cancel_withdrawal(WithdrawalId(withdrawal_id), caller.account_id))


class WithdrawalAdminController(Controller):
    path = "/api/admin/withdrawals"
    tags = ("administration",)
    guards = (is_admin,)

    @get("/", operation_id="listWithdrawalsForReview", status_code=HTTP_200_OK)
    async def for_review(
        self,
        request: Request[Any, Any, Any],
        page: Wired[Page],
        withdrawal_queries: Wired[WithdrawalQueries],
        status: FromQuery[WithdrawalStatus | None] = None,
    ) -> ListBody[ReviewBody]:
        """List everybody's withdrawals with what speaks against them, newest first."""
        return list_body(request, await withdrawal_queries.for_review(status, page), ReviewBody.of)

    @post(
        "/{withdrawal_id:uuid}/action",
        operation_id="decideWithdrawal",
        refuses=("payments.own_withdrawal", "payments.payouts_frozen", "payments.withdrawal_wrong_state"),
        status_code=HTTP_200_OK,
        guards=[recently_proved],
    )
    async def decide(
        self,
        withdrawal_id: FromPath[UUID],
        data: JSONBody[DecisionInput],
        caller: Wired[Caller],
        decide_withdrawal: Wired[DecideWithdrawal],
    ) -> WithdrawalBody:
        """Approve, reject, complete or fail a withdrawal of somebody else."""
        command = DecideWithdrawalCommand(
            withdrawal_id=WithdrawalId(withdrawal_id),
            administrator=caller.account_id,
            action=data.action,
            note=data.note,
            reference=data.reference,
        )
        return WithdrawalBody.of(await decide_withdrawal(command))
