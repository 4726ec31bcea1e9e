"""`soko ledger`: what an operator does with the books."""

from collections.abc import Callable

import typer

from application.core.ledger.proof import LedgerProof, Progress
from domain.core.kernel.money import Money

BROKEN = 1
"""Exit status when the books do not prove."""


def ledger_commands(prove: Callable[[Progress], LedgerProof]) -> typer.Typer:
    """Return the commands; `prove` opens the books, proves them and tells the progress."""
    commands = typer.Typer(help="Look into the books.", no_args_is_help=True, rich_markup_mode=None)

    @commands.callback()
    def ledger() -> None:
        """Look into the books."""

    @commands.command()
    def verify() -> None:
        """Recompute every balance, sum and seal; exits 1 and names what is broken."""
        proof = _watched(prove)
        for asset in proof.assets:
            typer.echo(f"{asset.asset}: {Money(asset.minor, asset.asset).text}")
        for one in proof.broken:
            typer.echo(f"{one.breach}: {one.name}: {one.detail}", err=True)
        if not proof.is_balanced:
            typer.echo("The books are broken.", err=True)
            raise typer.Exit(BROKEN)
        typer.echo("The books are sound.")

    return commands


def _watched(prove: Callable[[Progress], LedgerProof]) -> LedgerProof:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    with Bars(console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what)
            bars.update(tasks[what], completed=done, total=max(total, 1))

        return prove(show)
