"""The command line, `soko`: the server, its parts, and what an operator does by hand."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from uuid import UUID

import typer
import uvloop

from application.core.audit.trail import Progress as TrailProgress
from application.core.audit.trail import TrailProof
from application.core.ledger.proof import LedgerProof, Progress
from application.core.operations.backup import BackupRefused
from application.core.operations.doctor import Finding
from domain.core.kernel.errors import DomainError
from infrastructure.local.data_folder import DataFolderRefused, one_server_on, require_writable
from infrastructure.local.postgres import PostgresUnavailable
from interface.bootstrap.demo_people import ADMINISTRATOR
from interface.bootstrap.settings import PROCESSES_MAX, Settings, SettingsRefused, examine_settings, read_settings
from interface.cli.core.audit import audit_commands
from interface.cli.core.backup import BackupTold, RestoreTold, backup_commands
from interface.cli.core.backup import Progress as BackupProgress
from interface.cli.core.demo import Market, StartJourney, demo_commands
from interface.cli.core.doctor import doctor_commands
from interface.cli.core.identity import identity_commands
from interface.cli.core.jobs import jobs_commands
from interface.cli.core.ledger import ledger_commands
from interface.cli.core.outbox import outbox_commands
from interface.cli.core.payments import payments_commands

if TYPE_CHECKING:  # it loads the whole server, which takes a second
    from interface.bootstrap.core.operator import CommandLineOperator

REFUSED = 2
"""Exit status for what the person at the keyboard can put right."""

app = typer.Typer(
    name="soko",
    help="An open marketplace backend.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,  # they print every local variable, secrets among them
)


@app.command()
def run() -> None:
    """Start everything: database, API, worker, scheduler and, outside production, a simulated provider and mail."""
    _serve(worker=True, scheduler=True, everything=True)


@app.command()
def api(
    processes: Annotated[
        int | None, typer.Option(min=1, max=PROCESSES_MAX, help="Processes on the one port [SOKO_API_PROCESSES]")
    ] = None,
    inherited: Annotated[str, typer.Option(hidden=True, help="As one of several processes: on these sockets")] = "",
    announce: Annotated[bool, typer.Option("--announce", hidden=True, help="Of these, say that we serve")] = False,
) -> None:
    """Answer requests; the worker and the scheduler run elsewhere.

    With several processes, `kill -HUP PID` of this one starts a new process in the place of each, one after the other
    and without a failed request: after an upgrade, or when a secret in a file has changed. Other settings need a
    restart. A single process ends at SIGHUP.
    """
    if processes is not None:
        os.environ["SOKO_API_PROCESSES"] = str(processes)  # the processes that are started read it, too
    settings = _prepare()
    if settings.api_processes == 1 or inherited:
        _serve(
            worker=False, scheduler=False, everything=False, inherited=inherited, is_announced=announce or not inherited
        )
        return
    from interface.bootstrap.processes import Processes
    from interface.bootstrap.serving import BACKLOG, bind

    command = [sys.executable, "-m", "interface.bootstrap.cli", "api"]
    with contextlib.closing(bind(settings)) as listener:
        listener.listen(BACKLOG)
        made = Processes(listener, settings.api_processes, drain_s=settings.drain_seconds, command=command)
        sys.exit(_finish(made.run()))


@app.command()
def worker() -> None:
    """Deliver events and run jobs, without answering requests."""
    _work(worker=True, scheduler=False)


@app.command()
def scheduler() -> None:
    """Write down which jobs are due; workers run them. Several at once are as good as one."""
    _work(worker=False, scheduler=True)


@app.command()
def migrate(
    down: Annotated[bool, typer.Option("--down", help="Take every migration back, and every row with them")] = False,
) -> None:
    """Bring the database to the schema of this version."""
    from infrastructure.postgres.migrations import Migrations
    from interface.bootstrap.runtime import MIGRATIONS, database_of

    settings = _prepare()
    if down and settings.is_production:
        raise SettingsRefused("SOKO_ENVIRONMENT: going down deletes every row, so it is refused in production")
    with database_of(settings) as url:
        migrations = Migrations(MIGRATIONS, url)
        if down:
            _finish(migrations.downgrade())
            typer.echo("The database is empty.")
        else:
            was_behind = _finish(migrations.upgrade())
            typer.echo(f"The database {'is now' if was_behind else 'was already'} at {migrations.head}.")


@app.command()
def seed() -> None:
    """Make the accounts of the demonstration, one in each role, and a service to order. `soko run` does it as well."""
    from interface.bootstrap.runtime import database_of
    from interface.bootstrap.runtime import seed as make_people

    settings = _prepare()
    if settings.is_production:
        raise SettingsRefused("SOKO_ENVIRONMENT: the passwords of the demonstration are known, so not in production")
    with database_of(settings) as url:
        for person in _finish(make_people(settings, url)):
            typer.echo(f"{person.username}  {person.password}")


@app.command(name="mail-catcher")
def mail_catcher(
    smtp_port: Annotated[int, typer.Option(help="Port that mail is taken on")] = 1025,
) -> None:
    """Catch mail and show it on a page, for servers that run apart; `soko run` has a catcher of its own."""
    from interface.bootstrap.runtime import catch_mail

    settings = _prepare()
    if settings.is_production:
        raise SettingsRefused("SOKO_ENVIRONMENT: the mail catcher is refused in production")

    def tell() -> None:
        typer.echo(f"Mails are shown at http://127.0.0.1:{settings.mail_catcher_port}")
        typer.echo(f"Send them here with EMAIL_HOST=127.0.0.1 EMAIL_PORT={smtp_port} EMAIL_USE_TLS=off")

    _finish(catch_mail(settings, smtp_port, on_start=tell))


@contextlib.contextmanager
def _opened() -> Iterator[tuple[Settings, str]]:
    """Give the settings and the address of the database, which is started if need be."""
    from interface.bootstrap.runtime import database_of

    settings = _prepare()
    with database_of(settings) as url:
        yield settings, url


def _prove(progress: Progress) -> LedgerProof:
    from interface.bootstrap.core.ledger import prove_books

    with _opened() as (_, url):
        proof: LedgerProof = _finish(prove_books(url, progress))
    return proof


def _create_admin(username: str, email: str, password: str) -> UUID:
    from interface.bootstrap.core.create_admin import create_admin

    with _opened() as (settings, url):
        account_id: UUID = _finish(create_admin(settings, url, username=username, email=email, password=password))
    return account_id


def _reset_second_factor(login: str, reason: str) -> UUID:
    from interface.bootstrap.core.reset_second_factor import reset_second_factor

    with _opened() as (settings, url):
        account_id: UUID = _finish(reset_second_factor(settings, url, login=login, reason=reason))
    return account_id


def _verify_trail(progress: TrailProgress) -> TrailProof:
    from interface.bootstrap.core.audit import verify_trail

    with _opened() as (_, url):
        proof: TrailProof = _finish(verify_trail(url, progress))
    return proof


def _operator() -> "CommandLineOperator":
    from interface.bootstrap.core.operator import CommandLineOperator

    return CommandLineOperator(_opened)


def _back_up(target: Path, progress: BackupProgress, *, keep: int | None, with_files: bool) -> BackupTold:
    from interface.bootstrap.core.operator_backup import back_up_for_operator

    with _opened() as (settings, url):
        told: BackupTold = _finish(
            back_up_for_operator(settings, url, target, progress, keep=keep, with_files=with_files)
        )
    return told


def _check_backup(path: Path, progress: BackupProgress) -> BackupTold:
    from interface.bootstrap.core.operator_backup import check_for_operator

    return check_for_operator(read_settings(), path, progress)


def _restore(path: Path, progress: BackupProgress, *, replace: bool) -> RestoreTold:
    settings = _prepare()
    require_writable(settings.data_path)
    with one_server_on(settings.data_path):
        from interface.bootstrap.core.operator_backup import restore_for_operator  # after what may refuse, as in _serve
        from interface.bootstrap.runtime import database_of

        with database_of(settings) as url:
            told: RestoreTold = _finish(restore_for_operator(settings, url, path, progress, replace=replace))
    return told


app.add_typer(identity_commands(_create_admin, _reset_second_factor))


def _assignments() -> StartJourney:
    from interface.cli.assignments.journey import Journey

    return Journey


def _gigs() -> StartJourney:
    from interface.cli.gigs.journey import GigsJourney

    return GigsJourney


app.add_typer(
    demo_commands(
        lambda: read_settings().address,
        ADMINISTRATOR.username,
        ADMINISTRATOR.password,
        (Market("assignments", _assignments), Market("gigs", _gigs)),
    )
)


def _diagnose() -> list[Finding]:
    from interface.bootstrap.doctor import examine
    from interface.bootstrap.logs import configure_logs
    from interface.bootstrap.runtime import database_of

    settings, wrong = examine_settings()
    configure_logs(settings)
    url, no_database = None, "DATABASE_URL is empty: name a PostgreSQL"
    with contextlib.ExitStack() as resources:
        if settings.database_url or not settings.is_production:
            try:
                if settings.database_url or (settings.data_path / "postgres").exists():
                    url = resources.enter_context(database_of(settings))
                else:
                    no_database = "there is none yet: `soko run` makes one in the data folder"
            except (PostgresUnavailable, OSError) as error:
                no_database, wrong = "see above", [*wrong, str(error)]
        found: list[Finding] = _finish(examine(settings, wrong, os.environ, url=url, no_database=no_database))
    return found


app.add_typer(audit_commands(_verify_trail), name="audit")
app.add_typer(doctor_commands(_diagnose))
app.add_typer(backup_commands(_back_up, _check_backup, _restore))
app.add_typer(jobs_commands(_operator), name="jobs")
app.add_typer(ledger_commands(_prove, _operator), name="ledger")
app.add_typer(outbox_commands(_operator), name="outbox")
app.add_typer(payments_commands(_operator), name="payments")


def _serve(*, worker: bool, scheduler: bool, everything: bool, inherited: str = "", is_announced: bool = True) -> None:
    settings = _prepare()
    require_writable(settings.data_path)
    is_embedded = everything and settings.embedded_worker
    with one_server_on(settings.data_path) if everything else contextlib.nullcontext():
        from interface.bootstrap.announcement import announce  # after what may refuse to start: they take seconds
        from interface.bootstrap.processes import Inherited
        from interface.bootstrap.runtime import database_of, serve

        with database_of(settings) as url:
            is_working, is_planning = worker and is_embedded, scheduler and is_embedded
            _finish(
                serve(
                    settings,
                    url,
                    worker=is_working,
                    scheduler=is_planning,
                    on_start=announce if is_announced else None,
                    inherited=Inherited.of(inherited) if inherited else None,
                )
            )


def _work(*, worker: bool, scheduler: bool) -> None:
    from interface.bootstrap.runtime import database_of, work

    settings = _prepare()
    require_writable(settings.data_path)
    with database_of(settings) as url:
        _finish(work(settings, url, worker=worker, scheduler=scheduler))


def _prepare() -> Settings:
    from interface.bootstrap.logs import configure_logs

    settings = read_settings()
    configure_logs(settings)
    if not settings.database_url:
        require_writable(settings.data_path)
    return settings


def _finish(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _leave(_: int, __: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


def main() -> None:
    """Run the command line; what a person can put right is said in a sentence, without a traceback."""
    signal.signal(signal.SIGTERM, _leave)  # so that whatever was started is also stopped
    try:
        app()
    except (BackupRefused, PostgresUnavailable, SettingsRefused) as error:
        sys.exit(_say(str(error)))
    except DataFolderRefused as error:
        sys.exit(_say(f"SOKO_DATA_DIR: {error}"))
    except DomainError as error:
        sys.exit(_say("\n".join([error.sentence, *_said_by_database(error)])))
    except Exception as error:
        said = _said_by_database(error)
        if not said:
            raise
        sys.exit(_say("\n".join(said)))


def _said_by_database(error: Exception) -> list[str]:
    from infrastructure.postgres.database import reason_of

    reason = reason_of(error)
    return [] if reason is None else [f"The database says: {reason}", "`soko doctor` says what to do."]


def _say(text: str) -> int:
    typer.echo(text, err=True)
    return REFUSED


if __name__ == "__main__":
    main()
