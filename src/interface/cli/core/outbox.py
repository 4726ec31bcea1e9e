"""`soko outbox`: what an operator does with events that could not be delivered."""

from collections.abc import Callable, Sequence
from typing import Annotated
from uuid import UUID

import typer

from application.core.kernel.ports import DeadMessage

ROWS_MAX = 100
"""As many as a person reads; whatever broke them has mostly broken them all."""

NOT_DEAD = 1
"""Exit status when there was nothing to replay."""


def outbox_commands(dead: Callable[[int], Sequence[DeadMessage]], replay: Callable[[UUID], bool]) -> typer.Typer:
    """Return the commands; `dead` lists at most so many messages, `replay` makes one due again."""
    commands = typer.Typer(help="Look after undelivered events.", no_args_is_help=True, rich_markup_mode=None)

    @commands.command("dead")
    def list_dead() -> None:
        """List the events that were given up, the longest dead first, at most 100."""
        for one in dead(ROWS_MAX):
            typer.echo(f"{one.id}  {one.dead_at:%Y-%m-%dT%H:%M:%SZ}  {one.subscriber}  {one.last_error or 'no reason'}")

    @commands.command("replay")
    def replay_one(message_id: Annotated[UUID, typer.Argument(help="As `soko outbox dead` shows it")]) -> None:
        """Deliver an event again that was given up; a worker takes it within seconds."""
        if not replay(message_id):
            typer.echo("No such event was given up.", err=True)
            raise typer.Exit(NOT_DEAD)
        typer.echo("The event is due again.")

    return commands
