"""`soko payments`: payments nobody knows the end of, and cases that wait for a person."""

from collections.abc import Callable, Sequence
from typing import Annotated, Protocol
from uuid import UUID

import typer

from application.core.payments.queries import AttemptView, CaseView, DueAttempt, PaymentDetail
from domain.core.payments.case import Resolution
from interface.cli.core.progress import bars
from interface.cli.core.tables import AsJson, Row, show, show_one

ROWS_MAX = 500

NOT_FOUND = 1
"""Exit status when there is nothing of that name, or some provider could not be asked."""


class PaymentsDesk(Protocol):
    """What the commands ask of the server; what they change is done by its use cases, and audited."""

    def undecided(self, rows_max: int) -> Sequence[DueAttempt]:
        """Return the payments nobody knows the end of, the oldest first."""
        ...

    def open_cases(self) -> Sequence[CaseView]:
        """Return the newest cases that wait for a person."""
        ...

    def case(self, case_id: UUID) -> CaseView | None: ...

    def payment(self, payment_id: UUID) -> PaymentDetail | None: ...

    def check(self, attempts: Sequence[DueAttempt], asked: Callable[[int], None]) -> int:
        """Ask the providers about attempts now, tell how many were asked about, and return how many answers were
        recorded.
        """
        ...

    def resolve(
        self, case_id: UUID, resolution: Resolution, *, note: str, login: str, attempt_id: UUID | None
    ) -> CaseView:
        """Decide a case in the name of an administrator. Raises what the use case refuses, and UserNotFound."""
        ...


def payments_commands(operator: Callable[[], PaymentsDesk]) -> typer.Typer:
    """Return the commands; `operator` loads the server, when a command needs it."""
    commands = typer.Typer(help="Look after undecided payments.", no_args_is_help=True, rich_markup_mode=None)

    @commands.command("list")
    def list_undecided(as_json: AsJson = False) -> None:
        """List the payments nobody knows the end of, the oldest first, at most 500."""
        rows = [_undecided(one) for one in operator().undecided(ROWS_MAX)]
        show(rows, as_json=as_json, empty="Every payment is decided.")

    @commands.command("cases")
    def list_cases(as_json: AsJson = False) -> None:
        """List the cases that wait for a person, the newest first, at most 100."""
        show([_case(one) for one in operator().open_cases()], as_json=as_json, empty="No case is open.")

    @commands.command("show")
    def show_payment(
        id: Annotated[UUID, typer.Argument(help="Of a payment or of a case")],
        as_json: AsJson = False,
    ) -> None:
        """Show a payment with its tries, or a case with what is known of it; exits 1 when there is neither."""
        case = operator().case(id)
        if case is not None:
            decided = {"resolution": case.resolution, "note": case.note, "resolved_at": case.resolved_at}
            show_one({**_case(case), **decided}, as_json=as_json)
            return
        payment = operator().payment(id)
        if payment is None:
            typer.echo("There is no payment and no case of that id.", err=True)
            raise typer.Exit(NOT_FOUND)
        if as_json:
            show_one({**_payment(payment), "attempts": [_attempt(one) for one in payment.attempts]}, as_json=True)
            return
        show_one(_payment(payment), as_json=False)
        show([_attempt(one) for one in payment.attempts], as_json=False, empty="")

    @commands.command("check")
    def check(
        id: Annotated[UUID | None, typer.Argument(help="Of a payment or of one of its tries; without it: all")] = None,
    ) -> None:
        """Ask the provider now what became of undecided payments; exits 1 when some answer could not be recorded."""
        found = [one for one in operator().undecided(ROWS_MAX) if id is None or id in {one.intent_id, one.attempt_id}]
        if not found:
            typer.echo("No such payment is undecided.", err=True)
            raise typer.Exit(NOT_FOUND)
        with bars() as progress:
            checked = operator().check(found, lambda done: progress("asked", done, len(found)))
        left = {one.attempt_id for one in operator().undecided(ROWS_MAX)}
        undecided = sum(one.attempt_id in left for one in found)
        typer.echo(f"Asked about {len(found)}: {len(found) - undecided} decided, {undecided} not yet.")
        if checked < len(found):
            raise typer.Exit(NOT_FOUND)

    @commands.command("resolve")
    def resolve(
        case_id: Annotated[UUID, typer.Argument(help="As `soko payments cases` shows it")],
        resolution: Annotated[Resolution, typer.Option(help="What is decided")],
        note: Annotated[str, typer.Option(help="Why, for the audit trail")],
        administrator: Annotated[str, typer.Option("--as", help="User name of the administrator who decides")],
        attempt: Annotated[UUID | None, typer.Option(help="With match: the try that the money was for")] = None,
        as_json: AsJson = False,
    ) -> None:
        """Decide a case, as the server does it for an administrator; exits 2 with the reason where it is refused."""
        note = " ".join(note.split())
        if not note:
            raise typer.BadParameter("must say why", param_hint="--note")
        case = operator().resolve(case_id, resolution, note=note, login=administrator, attempt_id=attempt)
        show_one({**_case(case), "resolution": case.resolution, "note": case.note}, as_json=as_json)

    return commands


def _undecided(one: DueAttempt) -> Row:
    return {
        "payment": one.intent_id,
        "attempt": one.attempt_id,
        "provider": one.gateway,
        "status": str(one.status),
        "amount": one.amount.text,
        "currency": one.amount.currency,
        "sent_at": one.sent_at,
        "reference": one.references.transaction_id or one.references.checkout_id,
    }


def _case(case: CaseView) -> Row:
    return {
        "id": case.id,
        "kind": case.kind,
        "status": case.status,
        "provider": case.gateway,
        "reference": case.reference,
        "attempt": case.attempt_id,
        "booked": None if case.booked is None else f"{case.booked.text} {case.booked.currency}",
        "opened_at": case.created_at,
        "facts": case.facts,
    }


def _payment(payment: PaymentDetail) -> Row:
    return {
        "id": payment.id,
        "status": str(payment.status),
        "stage": payment.stage,
        "purpose": payment.purpose,
        "payer": payment.payer,
        "amount": payment.amount.text,
        "currency": payment.amount.currency,
        "refunded": payment.refunded.text,
        "created_at": payment.created_at,
    }


def _attempt(one: AttemptView) -> Row:
    return {
        "id": one.id,
        "method": one.method,
        "status": str(one.status),
        "code": one.code,
        "transaction": one.transaction_id,
        "sent_at": one.sent_at,
        "finished_at": one.finished_at,
    }
