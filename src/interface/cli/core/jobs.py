"""`soko jobs`: how the jobs of the clock fare, and running one now."""

import time
from collections.abc import Callable, Sequence
from typing import Annotated, Protocol

import typer

from application.core.operations.list_jobs import JobView
from interface.cli.core.tables import AsJson, Row, show

FAILED = 1
"""Exit status when the run that was waited for failed, or did not come to its end in time."""

LOOK_EVERY_S = 0.5


class JobsDesk(Protocol):
    """What the commands ask of the server."""

    def jobs(self) -> Sequence[JobView]: ...

    def run_job(self, name: str) -> None:
        """Have a job run as soon as a worker is free. Raises JobNotFound, RunDueAlready."""
        ...


def jobs_commands(operator: Callable[[], JobsDesk]) -> typer.Typer:
    """Return the commands; `operator` loads the server, when a command needs it."""
    commands = typer.Typer(help="Look after the jobs of the clock.", no_args_is_help=True, rich_markup_mode=None)

    @commands.command("list")
    def list_jobs(
        failing: Annotated[bool, typer.Option("--failing", help="Only those whose latest run failed")] = False,
        as_json: AsJson = False,
    ) -> None:
        """List every job, its schedule and how its latest run ended."""
        rows = [_row(one) for one in operator().jobs() if one.state.failures or not failing]
        show(rows, as_json=as_json, empty="No job fails.")

    @commands.command("run")
    def run(
        name: Annotated[str, typer.Argument(help="As `soko jobs list` shows it")],
        wait: Annotated[bool, typer.Option("--wait", help="Until a worker has run it; exits 1 when it fails")] = False,
        wait_s: Annotated[float, typer.Option(help="How long to wait at most, in seconds")] = 120.0,
    ) -> None:
        """Have a job run as soon as a worker is free; exits 2 when there is no such job."""
        before = _named(operator, name)
        operator().run_job(name)
        if not wait:
            typer.echo("A worker runs it within seconds.")
            return
        until = time.monotonic() + wait_s
        while time.monotonic() < until:
            now = _named(operator, name)
            if now is not None and now.state.last_finished_at is not None and _has_changed(before, now):
                _tell_end(now)
                return
            if now is not None and now.state.failures and _has_changed(before, now):
                typer.echo(f"It failed: {now.state.last_error}", err=True)
                raise typer.Exit(FAILED)
            time.sleep(LOOK_EVERY_S)
        typer.echo(f"No worker has finished it within {wait_s:g} s; is one running?", err=True)
        raise typer.Exit(FAILED)

    @commands.command("retry")
    def retry() -> None:
        """Have every job run now whose latest run failed."""
        failing = [one.name for one in operator().jobs() if one.state.failures]
        for name in failing:
            operator().run_job(name)
            typer.echo(name)
        if not failing:
            typer.echo("No job fails.")

    return commands


def _named(operator: Callable[[], JobsDesk], name: str) -> JobView | None:
    return next((one for one in operator().jobs() if one.name == name), None)


def _has_changed(before: JobView | None, now: JobView) -> bool:
    return before is None or now.state != before.state


def _tell_end(now: JobView) -> None:
    if now.state.last_error is not None:
        typer.echo(f"It failed: {now.state.last_error}", err=True)
        raise typer.Exit(FAILED)
    typer.echo(f"Done; it handled {now.state.last_handled or 0}.")


def _row(one: JobView) -> Row:
    return {
        "job": one.name,
        "schedule": one.schedule,
        "last_started_at": one.state.last_started_at,
        "last_succeeded_at": one.state.last_succeeded_at,
        "handled": one.state.last_handled,
        "failures": one.state.failures,
        "lag_s": round(one.lag.total_seconds()),
        "last_error": one.state.last_error,
    }
