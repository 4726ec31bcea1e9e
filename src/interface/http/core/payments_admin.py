"""Payments for administrators: cases, the daily report, and the hand of the simulator."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK
from msgspec import Meta, Struct

from application.core.identity.authenticate import Caller
from application.core.kernel.ports import Page
from application.core.payments.queries import CaseView, DailyFigures, PaymentQueries
from application.core.payments.resolve_case import ResolveCase, ResolveCaseCommand
from application.core.payments.simulation import PaymentSimulator, Script, ScriptMatch, SimulatedOutcome
from domain.core.payments.case import CaseKind, Resolution
from interface.http.caller import is_admin, recently_proved
from interface.http.wire import ListBody, MoneyBody, list_body
from interface.http.wired import Wired

NoteInput = Annotated[str, Meta(min_length=1, max_length=1_000)]
WordInput = Annotated[str, Meta(min_length=1, max_length=40)]
CaseStatus = Annotated[str | None, QueryParameter(pattern="^(open|closed)$")]


class CaseBody(Struct, frozen=True):
    """A case of the mismatch queue."""

    id: UUID
    kind: str
    status: str
    gateway: str
    reference: str | None
    attempt: UUID | None
    booked: MoneyBody | None
    facts: Mapping[str, str]
    resolution: str | None
    note: str | None
    resolved_by: UUID | None
    resolved_at: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, view: CaseView) -> "CaseBody":
        """Write a case."""
        return cls(
            id=view.id,
            kind=view.kind,
            status=view.status,
            gateway=view.gateway,
            reference=view.reference,
            attempt=view.attempt_id,
            booked=None if view.booked is None else MoneyBody.of(view.booked),
            facts=view.facts,
            resolution=view.resolution,
            note=view.note,
            resolved_by=view.resolved_by,
            resolved_at=view.resolved_at,
            created_at=view.created_at,
        )


class ResolveBody(Struct, frozen=True):
    """What staff decide about a case; `attempt` names the payment that money of an unknown reference was for."""

    resolution: Resolution
    note: NoteInput
    attempt: UUID | None = None


class CaseController(Controller):
    path = "/api/admin/payments/cases"
    tags = ("administration",)
    guards = (is_admin,)

    @get("/", operation_id="listPaymentCases", status_code=HTTP_200_OK)
    async def list_cases(
        self,
        request: Request[Any, Any, Any],
        page: Wired[Page],
        payment_queries: Wired[PaymentQueries],
        kind: FromQuery[CaseKind | None] = None,
        status: FromQuery[CaseStatus] = None,
    ) -> ListBody[CaseBody]:
        """List cases, the newest first."""
        is_open = None if status is None else status == "open"
        return list_body(request, await payment_queries.cases(page, kind=kind, is_open=is_open), CaseBody.of)

    @post(
        "/{case_id:uuid}/resolve",
        operation_id="resolvePaymentCase",
        refuses=(
            "ledger.insufficient_funds",
            "payments.case_closed",
            "payments.own_payment",
            "payments.resolution_not_possible",
        ),
        status_code=HTTP_200_OK,
        guards=[recently_proved],
    )
    async def resolve(
        self,
        case_id: FromPath[UUID],
        data: JSONBody[ResolveBody],
        caller: Wired[Caller],
        resolve_case: Wired[ResolveCase],
    ) -> CaseBody:
        """Resolve a case."""
        command = ResolveCaseCommand(
            case_id=case_id,
            resolution=data.resolution,
            note=data.note,
            by=caller.account_id,
            attempt_id=data.attempt,
        )
        return CaseBody.of(await resolve_case(command))


class FiguresBody(Struct, frozen=True):
    """What was paid for one purpose in one currency."""

    purpose: str
    currency: str
    count: int
    completed: int
    failed: int
    pending: int
    refunded: int
    sum: str
    """What was paid: `amount_completed` without its currency."""
    amount_started: MoneyBody
    amount_completed: MoneyBody
    amount_refunded: MoneyBody

    @classmethod
    def of(cls, figures: DailyFigures) -> "FiguresBody":
        """Write figures."""
        return cls(
            purpose=figures.purpose,
            currency=figures.currency,
            count=figures.started,
            completed=figures.completed,
            failed=figures.failed,
            pending=figures.pending,
            refunded=figures.refunded,
            sum=figures.amount_completed.text,
            amount_started=MoneyBody.of(figures.amount_started),
            amount_completed=MoneyBody.of(figures.amount_completed),
            amount_refunded=MoneyBody.of(figures.amount_refunded),
        )


class DailyReportBody(Struct, frozen=True):
    """The figures of one business day; none before the day has ended."""

    date: date
    results: list[FiguresBody]


class ReportController(Controller):
    path = "/api/admin/reports"
    tags = ("administration",)
    guards = (is_admin,)

    @get("/daily", operation_id="getDailyReport", status_code=HTTP_200_OK)
    async def daily(
        self,
        payment_queries: Wired[PaymentQueries],
        day: Annotated[date, QueryParameter(name="date")],
    ) -> DailyReportBody:
        """Return what was paid on a business day."""
        return DailyReportBody(day, [FiguresBody.of(one) for one in await payment_queries.daily_figures(day)])


class MatchBody(Struct, frozen=True):
    """Which payments a script is for; what is missing matches all."""

    phone: Annotated[str, Meta(min_length=1, max_length=20)] | None = None
    method: WordInput | None = None
    purpose: WordInput | None = None


class ScriptBody(Struct, frozen=True):
    """How the next payments that match will end."""

    outcome: SimulatedOutcome
    match: MatchBody = MatchBody()
    code: WordInput | None = None
    delay_s: Annotated[int, Meta(ge=0, le=604_800)] | None = None
    times: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


class DeliverBody(Struct, frozen=True):
    """Which payment's callbacks are to be sent."""

    reference: Annotated[str, Meta(min_length=1, max_length=128)]


class ScriptedBody(Struct, frozen=True):
    """A script was taken."""

    detail: str


class DeliveredBody(Struct, frozen=True):
    """How many callbacks were sent."""

    delivered: int


class SimulatorController(Controller):
    """Not served in production: the simulator is not bound there."""

    path = "/api/payments/simulator"
    tags = ("administration",)
    guards = (is_admin,)

    @post(
        "/script", operation_id="scriptSimulator", refuses=("payments.outcome_not_simulated",), status_code=HTTP_200_OK
    )
    async def script(self, data: JSONBody[ScriptBody], payment_simulator: Wired[PaymentSimulator]) -> ScriptedBody:
        """Say how the next simulated payments end."""
        match = ScriptMatch(phone=data.match.phone, method=data.match.method, purpose=data.match.purpose)
        await payment_simulator.script(
            Script(match=match, outcome=data.outcome, code=data.code, delay_s=data.delay_s, times=data.times)
        )
        return ScriptedBody("The next payments that match end so.")

    @post(
        "/deliver",
        operation_id="deliverSimulated",
        refuses=("payments.simulated_payment_not_found",),
        status_code=HTTP_200_OK,
    )
    async def deliver(self, data: JSONBody[DeliverBody], payment_simulator: Wired[PaymentSimulator]) -> DeliveredBody:
        """Send the callbacks of a simulated payment that are due now."""
        return DeliveredBody(await payment_simulator.deliver(data.reference))
