"""`soko outbox`: what an operator does with events that wait or could not be delivered.

There is no command that drops one: what an event causes is owed to somebody.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated, Protocol
from uuid import UUID

import typer

from application.core.operations.ports import MessageView
from interface.cli.core.tables import AsJson, Row, show, show_one

ROWS_MAX = 100
"""As many as a person reads; whatever broke them has mostly broken them all."""

REPLAYED_MAX = 10_000

NOT_FOUND = 1
"""Exit status when there was nothing to show or to replay."""


class State(StrEnum):
    """Which messages are listed."""

    OPEN = "open"
    WAITING = "waiting"
    DEAD = "dead"


class OutboxDesk(Protocol):
    """What the commands ask of the server; what they change is done by its use cases, and audited."""

    def messages(self, state: str, rows_max: int) -> Sequence[MessageView]:
        """Return messages that are `waiting`, `dead` or `open`, which is both; the oldest first."""
        ...

    def message(self, message_id: UUID) -> MessageView | None: ...

    def replay(self, message_ids: Sequence[UUID]) -> int:
        """Make dead messages due again, and return how many of them were dead."""
        ...


def outbox_commands(operator: Callable[[], OutboxDesk]) -> typer.Typer:
    """Return the commands; `operator` loads the server, when a command needs it."""
    commands = typer.Typer(help="Look after undelivered events.", no_args_is_help=True, rich_markup_mode=None)

    @commands.command("list")
    def list_open(
        state: Annotated[State, typer.Option(help="waiting, dead, or open for both")] = State.OPEN,
        as_json: AsJson = False,
    ) -> None:
        """List the events that are not delivered, the oldest first, at most 100."""
        found = operator().messages(state.value, ROWS_MAX)
        show([_row(one) for one in found], as_json=as_json, empty="Everything is delivered.")

    @commands.command("dead")
    def list_dead(as_json: AsJson = False) -> None:
        """List the events that were given up, the oldest first, at most 100."""
        found = operator().messages(State.DEAD.value, ROWS_MAX)
        show([_row(one) for one in found], as_json=as_json, empty="No event was given up.")

    @commands.command("show")
    def show_message(
        message_id: Annotated[UUID, typer.Argument(help="As `soko outbox list` shows it")],
        payload: Annotated[bool, typer.Option("--payload", help="With what the event says, personal data too")] = False,
        as_json: AsJson = False,
    ) -> None:
        """Show one event, delivered or not; exits 1 when there is none."""
        found = operator().message(message_id)
        if found is None:
            typer.echo("There is no such event.", err=True)
            raise typer.Exit(NOT_FOUND)
        row = {**_row(found), "due_at": found.due_at, "done_at": found.done_at, "trace": found.trace_id}
        show_one(row | ({"payload": found.payload} if payload else {}), as_json=as_json)

    @commands.command("replay")
    def replay(
        message_id: Annotated[UUID | None, typer.Argument(help="As `soko outbox list` shows it")] = None,
        every: Annotated[bool, typer.Option("--all", help="Every event that was given up")] = False,
    ) -> None:
        """Deliver an event again that was given up; a worker takes it within seconds. Exits 1 when there is none."""
        if every is (message_id is not None):
            raise typer.BadParameter("name one event, or say --all")
        if message_id is not None:
            ids = [message_id]
        else:
            ids = [one.id for one in operator().messages(State.DEAD.value, REPLAYED_MAX)]
        replayed = operator().replay(ids)
        if not replayed:
            typer.echo("No such event was given up.", err=True)
            raise typer.Exit(NOT_FOUND)
        typer.echo("The event is due again." if replayed == 1 else f"{replayed} events are due again.")

    return commands


def _row(one: MessageView) -> Row:
    return {
        "id": one.id,
        "state": "delivered" if one.done_at else "dead" if one.dead_at else "waiting",
        "event": one.event_name,
        "subscriber": one.subscriber,
        "occurred_at": one.occurred_at,
        "attempts": one.attempts,
        "last_error": one.last_error,
    }
