"""What `soko backup` and `soko restore` do, from the settings to what is told."""

import asyncio
import importlib.metadata
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from application.core.files.storage import ObjectStorage
from infrastructure.local.archive import ArchiveRefused
from infrastructure.postgres.core.audit import PostgresAuditTrailChain
from infrastructure.postgres.core.ledger_seals import PostgresLedgerSeals
from infrastructure.postgres.database import Database
from infrastructure.postgres.migrations import Migrations
from infrastructure.system.clock import SystemClock
from interface.bootstrap.core.audit import verify_trail
from interface.bootstrap.core.backup import Manifest, Progress, back_up, check, remove_older, restore, target_in
from interface.bootstrap.core.files_storage import open_storage
from interface.bootstrap.core.ledger import SEALS_BATCH, prove_books
from interface.bootstrap.settings import Settings
from interface.cli.core.backup import BackupTold, RestoreTold

BROKEN_TOLD_MAX = 20


async def back_up_for_operator(
    settings: Settings, url: str, target: Path, progress: Progress, *, keep: int | None, with_files: bool
) -> BackupTold:
    """Write a backup; see `back_up`. Files in a bucket stay there: it is for the bucket to keep them."""
    from interface.bootstrap.runtime import with_secret

    settings = await asyncio.to_thread(with_secret, settings)
    path = target_in(target, SystemClock().now())
    try:
        async with opened_storage(settings) as (storage, is_ours):
            manifest = await back_up(
                settings, url, storage, path, progress, version=version(), with_files=with_files and is_ours
            )
    except OSError as error:
        raise ArchiveRefused(f"{path} cannot be written: {error.strerror or error}") from error
    removed = remove_older(path.parent, keep) if keep is not None else []
    return _told(settings, path, manifest, removed)


def check_for_operator(settings: Settings, path: Path, progress: Progress) -> BackupTold:
    """Read a whole backup and tell what is in it. Raises ArchiveRefused."""
    return _told(settings, path, check(settings, path, progress))


async def restore_for_operator(
    settings: Settings, url: str, path: Path, progress: Progress, *, replace: bool
) -> RestoreTold:
    """Bring a backup back, then recompute the books and the trail. Raises as `restore` does."""
    from interface.bootstrap.runtime import MIGRATIONS, with_secret

    settings = await asyncio.to_thread(with_secret, settings)
    migrations = Migrations(MIGRATIONS, url)
    async with opened_storage(settings) as (storage, _):
        restored = await restore(settings, url, storage, path, migrations, progress, replace=replace)
    await _seal(url)  # what waited for it within the minute of the backup has waited for long by now
    books = await prove_books(url, lambda what, done, total: progress(f"ledger: {what}", done, total))
    trail = await verify_trail(url, lambda done, total: progress("audit trail", done, total))
    broken = [f"{one.breach}: {one.name}: {one.detail}" for one in books.broken]
    if not books.is_balanced and not broken:
        broken.append("ledger: a currency does not sum to zero")
    broken += [f"audit trail: entry {one.id or one.seq}: {one.reason}" for one in trail.broken]
    return RestoreTold(
        backup=_told(settings, path, restored.manifest),
        revision=migrations.head,
        files_missing=restored.files_missing,
        payouts_handed_over=restored.payouts_handed_over,
        sessions_ended=restored.ended.sessions,
        codes_withdrawn=restored.ended.codes,
        recovery_withdrawn=restored.ended.recovery,
        is_other_key=restored.is_other_key,
        broken=tuple(broken[:BROKEN_TOLD_MAX]),
    )


async def _seal(url: str) -> None:
    database, clock = Database(url, pool_size=1, application="soko restore"), SystemClock()
    try:
        for chain in (PostgresLedgerSeals(database, clock), PostgresAuditTrailChain(database, clock)):
            while await chain.seal(SEALS_BATCH):
                pass
    finally:
        await database.close()


@asynccontextmanager
async def opened_storage(settings: Settings) -> AsyncIterator[tuple[ObjectStorage, bool]]:
    """Give where files are kept, and whether a backup has to keep their bytes: a bucket keeps its own."""
    async with AsyncExitStack() as resources:
        store = await open_storage(settings, resources)
        yield store.storage, settings.storage == "disk"


def version() -> str:
    """Return the version of this program."""
    return importlib.metadata.version("soko")


def _told(settings: Settings, path: Path, manifest: Manifest, removed: list[Path] | None = None) -> BackupTold:
    return BackupTold(
        path=path,
        taken_at=manifest.taken_at,
        version=manifest.version,
        revision=manifest.revision,
        rows=sum(table.rows for table in manifest.tables.values()),
        files=manifest.files.count,
        files_kept=manifest.files.kept,
        files_missing=len(manifest.files.missing),
        is_encrypted=bool(settings.backup_key),
        removed=tuple(removed or ()),
    )
