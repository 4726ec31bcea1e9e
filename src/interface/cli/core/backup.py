"""`soko backup` and `soko restore`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Protocol, TypeAlias

import typer

from interface.cli.core.progress import bars

BROKEN = 1
"""Exit status when what came back does not prove."""

Progress: TypeAlias = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupTold:
    """What a person is told about a backup."""

    path: Path
    taken_at: datetime
    version: str
    revision: str
    rows: int
    files: int
    files_kept: str
    files_missing: int
    is_encrypted: bool
    removed: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreTold:
    """What a person is told about a restore."""

    backup: BackupTold
    revision: str
    files_missing: int
    payouts_handed_over: int
    sessions_ended: int
    codes_withdrawn: int
    """One-time codes that were not used."""
    recovery_withdrawn: int
    """Second factors whose recovery codes were withdrawn."""
    is_other_key: bool
    broken: tuple[str, ...]
    """What does not prove, in the ledger and in the audit trail."""


class BackUp(Protocol):
    def __call__(self, target: Path, progress: Progress, *, keep: int | None, with_files: bool) -> BackupTold: ...


class Restore(Protocol):
    def __call__(self, path: Path, progress: Progress, *, replace: bool) -> RestoreTold: ...


class Check(Protocol):
    def __call__(self, path: Path, progress: Progress) -> BackupTold: ...


def backup_commands(back_up: BackUp, check: Check, restore: Restore) -> typer.Typer:
    """Return the commands."""
    commands = typer.Typer(rich_markup_mode=None)

    @commands.command("backup")
    def backup(
        target: Annotated[Path, typer.Argument(help="A new file, or a folder: the file is then named by the time")],
        keep: Annotated[int | None, typer.Option(min=1, help="Remove all but so many backups of that folder")] = None,
        files: Annotated[bool, typer.Option(help="Keep the stored files too, not only what is known of them")] = True,
    ) -> None:
        """Keep the database and the stored files, of one instant, in one file. The server may go on running."""
        if keep is not None and not target.is_dir():
            raise typer.BadParameter("works with a folder only", param_hint="--keep")
        with bars() as progress:
            told = back_up(target, progress, keep=keep, with_files=files)
        _tell(told)
        for path in told.removed:
            typer.echo(f"Removed {path}.")
        if not told.is_encrypted:
            typer.echo(
                "It is not encrypted (SOKO_BACKUP_KEY) and holds personal data; keep it where only you can read it."
            )

    @commands.command("restore")
    def bring_back(
        path: Annotated[Path, typer.Argument(help="What `soko backup` wrote")],
        only_check: Annotated[bool, typer.Option("--check", help="Read and prove the file, change nothing")] = False,
        replace: Annotated[
            bool, typer.Option("--replace", help="Delete every row of a database that has some")
        ] = False,
    ) -> None:
        """Bring a backup back into an empty database and prove the books. Stop every server and worker first."""
        with bars() as progress:
            if only_check:
                _tell(check(path, progress))
                return
            told = restore(path, progress, replace=replace)
        _tell_restored(told)

    return commands


def _tell(told: BackupTold) -> None:
    files = f"{told.files} files {'in it' if told.files_kept == 'archive' else 'left in their storage'}"
    typer.echo(f"{told.path}: {told.rows} rows, {files}, of {told.taken_at:%Y-%m-%d %H:%M:%S} UTC,")
    typer.echo(f"made by version {told.version} at schema {told.revision}.")
    if told.files_missing:
        typer.echo(f"{told.files_missing} files were missing from the storage already.", err=True)


def _tell_restored(told: RestoreTold) -> None:
    _tell(told.backup)
    typer.echo(f"The database is at schema {told.revision}.")
    for line in told.broken:
        typer.echo(line, err=True)
    if told.broken:
        typer.echo("What came back does not prove; it did not when it was kept. Do not serve it.", err=True)
        raise typer.Exit(BROKEN)
    typer.echo("The books and the audit trail are sound.")
    typer.echo(
        f"Everybody has to sign in again: {told.sessions_ended} sessions were ended, {told.codes_withdrawn} unused"
        f" codes withdrawn, and the recovery codes of {told.recovery_withdrawn} second factors; the factors stay."
    )
    if told.files_missing:
        typer.echo(f"{told.files_missing} files are missing from the storage.", err=True)
    if told.is_other_key:
        typer.echo(
            "SECRET_KEY is another one than at the backup (in development: the file secret_key of the data folder):"
            " set that one, at least as SOKO_PREVIOUS_SECRET_KEY, or second factors cannot be read.",
            err=True,
        )
    since = f"{told.backup.taken_at:%Y-%m-%d %H:%M:%S} UTC"
    steps = [
        "start the server: payments under way are asked about within minutes (the job payments.reconcile), and",
        "   the daily comparison with the providers (payments.compare_statements) finds what was paid meanwhile;",
        f"   ask the providers to send their events since {since} again, where they can",
        f"compare the withdrawals with the providers' statements since {since} before you approve any:",
        f"   {told.payouts_handed_over} that were approved wait as 'processing' for your word, none is sent by itself",
        f"repeat what administrators changed since {since}: suspensions, roles, policies;",
        "   passwords and second factors are those of the backup, also where they were changed for a good reason",
    ]
    typer.echo("Next:")
    number = 0
    for step in steps:
        if not step.startswith(" "):
            number += 1
        typer.echo(step if step.startswith(" ") else f"{number}. {step}")
