"""Make a backup of database and files, check one, and bring one back.

A backup is one archive: `tables/<table>/<number>` (zlib over rows as COPY writes them), `files/<key>`, and at its end
`manifest.json` with the version, the revision of the schema, the time, the rows of each table, the sums of the ledger
and the SHA-256 of every part. Rows and the list of files are of one instant; a file's bytes never change under its key.

Bringing one back: the archive is read whole first, so that a bad one changes nothing. Then the schema is made as it was
when the backup was made, all rows come in one transaction, which also ends every session and withdraws every code,
files follow, and the migrations of this version go on from there.
"""

import hashlib
import json
import tempfile
import zlib
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, TypeAlias, cast

import msgspec

from application.core.files.storage import ObjectStorage, is_key
from application.core.kernel.ports import AuditEntry
from application.core.kernel.request_context import current_request, request_context
from domain.core.kernel.errors import NotFound
from infrastructure.local.archive import ArchiveRefused, ArchiveWriter, parts_of, written_archive
from infrastructure.postgres.database import dsn_of
from infrastructure.postgres.migrations import Migrations
from infrastructure.postgres.snapshot import (
    Ended,
    Moved,
    Snapshot,
    StoredFile,
    TableShape,
    Target,
    TargetRefused,
    open_snapshot,
    open_target,
)
from infrastructure.system.clock import SystemClock
from infrastructure.system.ids import UuidV7Source
from interface.bootstrap.core.create_admin import CLI
from interface.bootstrap.settings import Settings

FORMAT: Final = 1
CHUNK_BYTES: Final = 4 * 1024 * 1024
"""Rows in one part; as much is in memory at a time."""
FILE_IN_MEMORY_BYTES: Final = 8 * 1024 * 1024
READ_BYTES: Final = 64 * 1024
ZLIB_LEVEL: Final = 1
"""Rows are mostly ids and times: the next levels take twice as long for a twentieth less."""
MANIFEST: Final = "manifest.json"

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told what is being done, how far it is, and how far it goes (0 where nobody knows)."""


class TableManifest(msgspec.Struct, frozen=True, kw_only=True):
    columns: tuple[str, ...]
    rows: int
    parts: int
    sha256: str
    """Of the rows as COPY wrote them, before they were packed."""


class MovedManifest(msgspec.Struct, frozen=True, kw_only=True):
    postings: int
    minor: str
    """A whole number as text: JSON's readers stop at 2**53."""


class FilesManifest(msgspec.Struct, frozen=True, kw_only=True):
    kept: str
    """`archive`, or `storage` where the bytes were left where they are."""
    count: int
    size: int
    sha256: dict[str, str]
    """By key, of the files in the archive."""
    missing: list[str]
    """Keys that a row claims and that the storage did not have."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    version: str
    revision: str
    taken_at: datetime
    secret_key_mark: str
    """Tells whether a server has the same SECRET_KEY, without telling the key."""
    tables: dict[str, TableManifest]
    sequences: dict[str, int]
    ledger: dict[str, MovedManifest]
    files: FilesManifest


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What came back."""

    manifest: Manifest
    payouts_handed_over: int
    ended: Ended
    files_missing: int
    is_other_key: bool
    """Whether the backup was made under another SECRET_KEY."""


def target_in(path: Path, now: datetime) -> Path:
    """Return the file to write: the path itself, or one named by the time in the folder that it is."""
    return path / f"soko-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}.backup" if path.is_dir() else path


def remove_older(folder: Path, keep: int) -> list[Path]:
    """Remove all but the newest backups that were named by their time in a folder, and return those removed."""
    found = sorted(folder.glob("soko-[0-9]*T[0-9]*Z.backup"), reverse=True)
    for old in found[keep:]:
        old.unlink(missing_ok=True)
    return found[keep:]


async def back_up(
    settings: Settings,
    url: str,
    storage: ObjectStorage,
    path: Path,
    progress: Progress,
    *,
    version: str,
    with_files: bool = True,
) -> Manifest:
    """Write a backup to a new file and return what is in it. Raises ArchiveRefused, Unavailable, OSError.

    Without files, only the rows about them are kept; the bytes are the storage's own matter.
    """
    dsn = dsn_of(url)
    with written_archive(path, settings.backup_key) as archive:
        async with open_snapshot(dsn) as snapshot:
            revision = await snapshot.revision()
            if revision is None:
                raise TargetRefused("the database has no schema yet; there is nothing to keep")
            tables = await _write_tables(archive, snapshot, progress)
            moved = await snapshot.moved()
            files = await _write_files(archive, snapshot, storage, dsn, progress, is_copied=with_files)
            manifest = Manifest(
                format=FORMAT,
                version=version,
                revision=revision,
                taken_at=await snapshot.taken_at(),
                secret_key_mark=_mark(settings.secret_key),
                tables=tables,
                sequences=await snapshot.sequences(),
                ledger={each: MovedManifest(postings=m.postings, minor=str(m.minor)) for each, m in moved.items()},
                files=files,
            )
        archive.add(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    return manifest


def check(settings: Settings, path: Path, progress: Progress) -> Manifest:
    """Read a whole archive and hold each part to the manifest. Raises ArchiveRefused."""
    size = path.stat().st_size if path.is_file() else 0
    found = _Found()
    manifest: Manifest | None = None
    for name, content in parts_of(path, settings.backup_key):
        if manifest is not None:
            raise ArchiveRefused(f"{path} goes on after its manifest")
        if name == MANIFEST:
            manifest = _manifest(path, content.read())
        else:
            found.take(path, name, content)
            progress("checked", found.size, size)
    if manifest is None:
        raise ArchiveRefused(f"{path} has no manifest; it is no backup of Soko, or was cut short")
    found.compare(path, manifest)
    progress("checked", size, size)
    return manifest


async def restore(
    settings: Settings,
    url: str,
    storage: ObjectStorage,
    path: Path,
    migrations: Migrations,
    progress: Progress,
    *,
    replace: bool,
) -> Restored:
    """Bring a backup back. Raises ArchiveRefused, TargetRefused, Unavailable.

    An archive that cannot be used, and a database that may not be filled, are refused before anything is changed.
    """
    manifest = check(settings, path, progress)
    if manifest.revision not in migrations.revisions:
        raise TargetRefused(
            f"the backup was made by version {manifest.version} at schema {manifest.revision},"
            f" which this version (schema {migrations.head}) does not know; restore it with that version or a later one"
        )
    async with open_target(dsn_of(url)) as target:
        await _require_ready(target, migrations, replace=replace)
        if await target.revision() not in {None, manifest.revision} or replace:
            await migrations.downgrade()
        if await target.revision() != manifest.revision:
            await migrations.upgrade(manifest.revision)
        handed_over, ended = await _load(target, settings, path, manifest, progress)
    await _restore_files(settings, storage, path, manifest, progress)
    missing = await _missing_files(dsn_of(url), storage, progress)
    await migrations.upgrade()
    return Restored(
        manifest=manifest,
        payouts_handed_over=handed_over,
        ended=ended,
        files_missing=missing,
        is_other_key=manifest.secret_key_mark not in {_mark(settings.secret_key), _mark(settings.previous_secret_key)},
    )


# --- writing


async def _write_tables(archive: ArchiveWriter, snapshot: Snapshot, progress: Progress) -> dict[str, TableManifest]:
    tables = await snapshot.tables()
    written: dict[str, TableManifest] = {}
    for number, table in enumerate(tables, 1):
        parts = _Parts(archive, table)
        rows = await snapshot.copy(table, parts.write)
        parts.finish()
        written[table.name] = TableManifest(
            columns=table.columns, rows=rows, parts=parts.count, sha256=parts.sha256.hexdigest()
        )
        progress("tables", number, len(tables))
    return written


class _Parts:
    """Packs the rows of a table into parts of the archive."""

    def __init__(self, archive: ArchiveWriter, table: TableShape) -> None:
        self._archive = archive
        self._table = table
        self._waiting = bytearray()
        self.sha256 = hashlib.sha256()
        self.count = 0

    async def write(self, data: bytes) -> None:
        self.sha256.update(data)
        self._waiting += data
        if len(self._waiting) >= CHUNK_BYTES:
            self.finish()

    def finish(self) -> None:
        if self._waiting:
            self.count += 1
            packed = zlib.compress(self._waiting, ZLIB_LEVEL)
            self._archive.add(f"tables/{self._table.name}/{self.count:06}", packed)
            self._waiting.clear()


async def _write_files(
    archive: ArchiveWriter,
    snapshot: Snapshot,
    storage: ObjectStorage,
    dsn: str,
    progress: Progress,
    *,
    is_copied: bool,
) -> FilesManifest:
    count = size = 0
    sha256: dict[str, str] = {}
    missing: list[str] = []
    async for file in snapshot.files():
        count += 1
        size += file.size
        progress("files", count, 0)
        if not is_copied:
            continue
        try:
            await _write_file(archive, storage, file)
        except NotFound:
            if await snapshot.is_claimed_now(dsn, file.key):
                missing.append(file.key)
            continue
        sha256[file.key] = file.sha256.hex()
    kept = "archive" if is_copied else "storage"
    return FilesManifest(kept=kept, count=count, size=size, sha256=sha256, missing=missing)


async def _write_file(archive: ArchiveWriter, storage: ObjectStorage, file: StoredFile) -> None:
    digest = hashlib.sha256()
    with tempfile.SpooledTemporaryFile(max_size=FILE_IN_MEMORY_BYTES) as spool:
        async for chunk in storage.open(file.key):
            digest.update(chunk)
            spool.write(chunk)
        if spool.tell() != file.size or digest.digest() != file.sha256:
            raise ArchiveRefused(f"the stored file {file.key} is not what was uploaded; look at it, or remove its row")
        spool.seek(0)
        archive.add_stream(f"files/{file.key}", spool, file.size)


# --- checking


class _Found:
    """What an archive holds, part by part."""

    def __init__(self) -> None:
        self.size = 0
        self._tables: defaultdict[str, Any] = defaultdict(hashlib.sha256)
        self._parts: dict[str, int] = {}
        self._files: dict[str, str] = {}

    def take(self, path: Path, name: str, content: IO[bytes]) -> None:
        kind, _, rest = name.partition("/")
        if kind == "tables":
            table, _, number = rest.partition("/")
            self._parts[table] = self._parts.get(table, 0) + 1
            if number != f"{self._parts[table]:06}":
                raise ArchiveRefused(f"{path} lacks a part of {table}")
            packed = content.read()
            self.size += len(packed)
            self._tables[table].update(_unpacked(path, packed))
        elif kind == "files" and is_key(rest):
            digest = hashlib.sha256()
            while chunk := content.read(READ_BYTES):
                self.size += len(chunk)
                digest.update(chunk)
            self._files[rest] = digest.hexdigest()
        else:
            raise ArchiveRefused(f"{path} has a part that no backup has: {name!r:.80}")

    def compare(self, path: Path, manifest: Manifest) -> None:
        for name, table in manifest.tables.items():
            if self._parts.pop(name, 0) != table.parts:
                raise ArchiveRefused(f"{path} lacks a part of {name}")
            if self._tables[name].hexdigest() != table.sha256:
                raise ArchiveRefused(f"{path} is damaged: the rows of {name} are not those that were written")
        if self._parts:
            raise ArchiveRefused(f"{path} has tables that its manifest does not name")
        if self._files != manifest.files.sha256:
            raise ArchiveRefused(f"{path} is damaged: its files are not those that were written")


def _unpacked(path: Path, packed: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        rows = unpacking.decompress(packed, 2 * CHUNK_BYTES)  # no part grows to more than was packed
    except zlib.error as error:
        raise ArchiveRefused(f"{path} is damaged: {error}") from error
    if not unpacking.eof:
        raise ArchiveRefused(f"{path} has a part that is cut short or too large")
    return rows


def _manifest(path: Path, text: bytes) -> Manifest:
    try:
        found_format = json.loads(text).get("format")
        if found_format != FORMAT:
            raise ArchiveRefused(f"{path} has the format {found_format}, which this version cannot read")
        return msgspec.json.decode(text, type=Manifest)
    except (ValueError, AttributeError, msgspec.MsgspecError) as error:
        raise ArchiveRefused(f"{path} has a manifest that cannot be read: {error}") from error


# --- bringing back


async def _require_ready(target: Target, migrations: Migrations, *, replace: bool) -> None:
    others = await target.others()
    if others:
        raise TargetRefused(f"the database is in use ({', '.join(others)}); stop every server and worker first")
    revision = await target.revision()
    if revision is not None and revision not in migrations.revisions:
        raise TargetRefused(f"the database is at schema {revision}, which this version does not know; use an empty one")
    filled = await target.filled_tables()
    if revision is None and filled:
        raise TargetRefused(
            f"the database holds tables that are not Soko's ({', '.join(filled[:3])}); use an empty one"
        )
    if filled and not replace:
        raise TargetRefused(
            f"the database is not empty ({', '.join(filled[:3])} and so on have rows);"
            " name an empty one, or say --replace to delete every row of it"
        )


async def _load(
    target: Target, settings: Settings, path: Path, manifest: Manifest, progress: Progress
) -> tuple[int, Ended]:
    async with target.loading() as loading:
        shapes = await loading.tables()
        if {name: table.columns for name, table in shapes.items()} != {
            name: table.columns for name, table in manifest.tables.items()
        }:
            raise ArchiveRefused(f"{path} has other tables or columns than schema {manifest.revision}")
        reading = _Rows(path, settings.backup_key)
        for number, (name, table) in enumerate(reading.tables(), 1):
            rows = await loading.copy(shapes[name], table)
            if rows != manifest.tables[name].rows:
                raise ArchiveRefused(f"{path}: {rows} rows of {name} came back, {manifest.tables[name].rows} were kept")
            progress("tables", number, sum(each.rows > 0 for each in manifest.tables.values()))
        await loading.number_on(manifest.sequences)
        moved = {each: Moved(found.postings, int(found.minor)) for each, found in manifest.ledger.items()}
        if await loading.moved() != moved:
            raise ArchiveRefused(f"{path}: the sums of the ledger are not those that were kept")
        handed_over = await loading.hand_over_payouts()
        ids, now = UuidV7Source(), SystemClock().now()
        ended = await loading.end_sessions(now=now, revocation_id=ids.new())
        entry = AuditEntry(
            action="backup_restored",
            target=f"backup:{manifest.taken_at.isoformat()}",
            after={
                "sessions_ended": ended.sessions,
                "codes_withdrawn": ended.codes,
                "recovery_withdrawn": ended.recovery,
                "payouts_handed_over": handed_over,
            },
        )
        with request_context(replace(current_request(), actor_label=CLI)):
            await loading.record(entry, entry_id=ids.new(), now=now)
        return handed_over, ended


class _Rows:
    """Reads the tables of an archive one after the other, each part when it is asked for."""

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._parts = parts_of(path, key)
        self._next = self._advance()

    def tables(self) -> Iterator[tuple[str, AsyncIterator[bytes]]]:
        while self._next is not None:
            yield self._next[0], self._rows_of(self._next[0])

    async def _rows_of(self, table: str) -> AsyncIterator[bytes]:
        while self._next is not None and self._next[0] == table:
            yield self._next[1]
            self._next = self._advance()

    def _advance(self) -> tuple[str, bytes] | None:
        """Return the table and the rows of the next part; None where the tables end."""
        for name, content in self._parts:
            kind, _, rest = name.partition("/")
            return (rest.partition("/")[0], _unpacked(self._path, content.read())) if kind == "tables" else None
        return None


async def _restore_files(
    settings: Settings, storage: ObjectStorage, path: Path, manifest: Manifest, progress: Progress
) -> None:
    """Store the files of the archive again."""
    done = 0
    if not manifest.files.sha256:
        return
    for name, content in parts_of(path, settings.backup_key):
        kind, _, key = name.partition("/")
        if kind != "files":
            continue
        done += 1
        stored = await storage.put(key, _chunks(content), size_max=manifest.files.size)
        if stored.sha256.hex() != manifest.files.sha256.get(key):
            await storage.delete(key)
            raise ArchiveRefused(f"{path}: the file {key} changed while it was read")
        progress("files", done, len(manifest.files.sha256))


async def _missing_files(dsn: str, storage: ObjectStorage, progress: Progress) -> int:
    """Return how many files a row claims and the storage does not have."""
    missing = looked = 0
    async with open_snapshot(dsn) as snapshot:
        async for file in snapshot.files():
            content = storage.open(file.key)
            try:
                await anext(content)
            except NotFound:
                missing += 1
            finally:
                await cast(AsyncGenerator[bytes, None], content).aclose()
            looked += 1
            progress("files found", looked, 0)
    return missing


async def _chunks(content: IO[bytes]) -> AsyncIterator[bytes]:
    while chunk := content.read(READ_BYTES):
        yield chunk


def _mark(secret_key: str) -> str:
    return hashlib.blake2b(secret_key.encode(), digest_size=8, person=b"soko backup").hexdigest()
