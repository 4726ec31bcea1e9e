"""`soko ledger`: what an operator does with the books."""

from collections.abc import Callable, Sequence
from typing import Annotated, Protocol
from uuid import UUID

import typer

from application.core.ledger.alarms import Alarm
from application.core.ledger.proof import LedgerProof, Progress
from domain.core.kernel.money import Money
from interface.cli.core.progress import bars
from interface.cli.core.tables import AsJson, Row, show

BROKEN = 1
"""Exit status when the books do not prove."""


class AlarmsDesk(Protocol):
    """What the commands about alarms ask of the server."""

    def alarms(self) -> Sequence[Alarm]: ...

    def close_alarm(self, alarm_id: UUID, reason: str) -> Alarm:
        """Close an alarm. Raises AlarmNotFound."""
        ...


def ledger_commands(prove: Callable[[Progress], LedgerProof], operator: Callable[[], AlarmsDesk]) -> typer.Typer:
    """Return the commands; `prove` opens the books, proves them and tells the progress, `operator` loads the server."""
    commands = typer.Typer(help="Look into the books.", no_args_is_help=True, rich_markup_mode=None)

    @commands.callback()
    def ledger() -> None:
        """Look into the books."""

    @commands.command()
    def verify() -> None:
        """Recompute every balance, sum and seal; exits 1 and names what is broken."""
        with bars() as progress:
            proof = prove(progress)
        for asset in proof.assets:
            typer.echo(f"{asset.asset}: {Money(asset.minor, asset.asset).text}")
        for one in proof.broken:
            typer.echo(f"{one.breach}: {one.name}: {one.detail}", err=True)
        if not proof.is_balanced:
            typer.echo("The books are broken.", err=True)
            raise typer.Exit(BROKEN)
        typer.echo("The books are sound.")

    @commands.command()
    def alarms(as_json: AsJson = False) -> None:
        """List what the watch found broken and nobody has closed; its owners are paid out nothing."""
        show([_row(one) for one in operator().alarms()], as_json=as_json, empty="No alarm is open.")

    @commands.command("close-alarm")
    def close_alarm(
        alarm_id: Annotated[UUID, typer.Argument(help="As `soko ledger alarms` shows it")],
        reason: Annotated[str, typer.Option(help="What was found and done, for the audit trail")],
    ) -> None:
        """Say that an alarm is seen to. What is still broken is a new one within five minutes."""
        reason = " ".join(reason.split())
        if not reason:
            raise typer.BadParameter("must say why", param_hint="--reason")
        closed = operator().close_alarm(alarm_id, reason)
        typer.echo(f"Closed: {closed.breach} of {closed.name}.")

    return commands


def _row(alarm: Alarm) -> Row:
    return {
        "id": alarm.id,
        "breach": alarm.breach,
        "name": alarm.name,
        "owner": alarm.owner,
        "found_at": alarm.found_at,
        "detail": alarm.detail,
    }
