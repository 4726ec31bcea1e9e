"""`soko audit`: what an operator does with the audit trail."""

from collections.abc import Callable

import typer

from application.core.audit.trail import Progress, TrailProof
from interface.cli.core.progress import bars

BROKEN = 1
"""Exit status when the trail does not prove."""


def audit_commands(verify: Callable[[Progress], TrailProof]) -> typer.Typer:
    """Return the commands; `verify` opens the trail, proves it and tells the progress."""
    commands = typer.Typer(help="Look into the audit trail.", no_args_is_help=True, rich_markup_mode=None)

    @commands.callback()
    def audit() -> None:
        """Look into the audit trail."""

    @commands.command("verify")
    def verify_trail() -> None:
        """Recompute every seal; exits 1 and names the entries that are not as they were written."""
        with bars() as progress:
            proof = verify(lambda done, total: progress("seals", done, total))
        for one in proof.broken:
            place = "unsealed" if one.seq is None else f"seal {one.seq}"
            typer.echo(f"{place}, entry {one.id}: {one.reason}", err=True)
        typer.echo(f"{proof.checked} sealed entries checked.")
        if not proof.is_sound:
            typer.echo("The audit trail is broken.", err=True)
            raise typer.Exit(BROKEN)
        typer.echo("The audit trail is sound.")

    return commands
