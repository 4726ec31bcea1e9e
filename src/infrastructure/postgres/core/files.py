"""The rows of files on PostgreSQL."""

import uuid
from collections.abc import Collection, Sequence
from copy import copy
from datetime import datetime
from typing import Any

import asyncpg
from sqlalchemy import ARRAY, ColumnElement, Table, bindparam, delete, func, insert, null, or_, select, text, update
from sqlalchemy.dialects.postgresql import aggregate_order_by

from application.core.files.ports import ShownFile
from domain.core.files.file import FileState, StoredFile
from domain.core.files.upload import UPLOADED, FileUpload, FileUsage, UploadNotFound
from domain.core.kernel.errors import NotFound
from domain.core.kernel.ids import AccountId, FileId
from infrastructure.postgres.core.files_tables import file_uploads, files
from infrastructure.postgres.database import Database
from infrastructure.postgres.statements import Statement, WriteBatch
from infrastructure.postgres.tables import BIGINT, BYTES, INSTANT, TEXT, UUID
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork


def files_where(condition: ColumnElement[bool]) -> Any:
    """Return a subquery for the files that meet a condition, as one array of arrays, or NULL."""
    shown = func.jsonb_build_array(files.c.id, files.c.name, files.c.size, files.c.content_type, files.c.uploaded_at)
    return select(func.jsonb_agg(aggregate_order_by(shown, files.c.id))).where(condition).scalar_subquery()


def shown_files(arrays: list[list[Any]] | None) -> tuple[ShownFile, ...]:
    """Read the files that `files_where` aggregated."""
    if not arrays:
        return ()
    return tuple(
        ShownFile(
            id=FileId(uuid.UUID(file_id)),
            name=name,
            size=size,
            content_type=content_type,
            uploaded_at=datetime.fromisoformat(uploaded_at),
        )
        for file_id, name, size, content_type, uploaded_at in arrays
    )


def _delete_some(table: Table, *conditions: ColumnElement[bool]) -> Statement:
    """Return a deletion of `limit_rows` rows at the most, the oldest first, that answers their keys."""
    some = (
        select(table.c.id)
        .where(*conditions)
        .order_by(table.c.id)
        .limit(bindparam("limit_rows", type_=BIGINT))
        .with_for_update(skip_locked=True)
    )
    return Statement(delete(table).where(table.c.id.in_(some)).returning(table.c.key))


_ADD = Statement(
    text(
        "INSERT INTO files"
        " (id, owner_id, purpose, subject_id, key, name, size, sha256, content_type, state, uploaded_at)"
        " SELECT * FROM unnest(:ids, :owners, :purposes, :subjects, :keys, :names, :sizes, :digests, :content_types,"
        " :states, :times)"
    ).bindparams(
        bindparam("ids", type_=ARRAY(UUID)),
        bindparam("owners", type_=ARRAY(UUID)),
        bindparam("purposes", type_=ARRAY(TEXT)),
        bindparam("subjects", type_=ARRAY(UUID)),
        bindparam("keys", type_=ARRAY(TEXT)),
        bindparam("names", type_=ARRAY(TEXT)),
        bindparam("sizes", type_=ARRAY(BIGINT)),
        bindparam("digests", type_=ARRAY(BYTES)),
        bindparam("content_types", type_=ARRAY(TEXT)),
        bindparam("states", type_=ARRAY(TEXT)),
        bindparam("times", type_=ARRAY(INSTANT)),
    )
)
_GET = Statement(select(files).where(files.c.id == bindparam("wanted_id")).with_for_update())
_FIND = Statement(select(files).where(files.c.id == bindparam("wanted_id")))
_OF_SUBJECT = Statement(
    select(files)
    .where(files.c.subject_id == bindparam("wanted_subject"), files.c.purpose == bindparam("wanted_purpose"))
    .order_by(files.c.id)
)
_SAVE = Statement(
    update(files)
    .where(files.c.id == bindparam("wanted_id"))
    .values(
        state=bindparam("new_state"),
        purpose=bindparam("new_purpose"),
        subject_id=bindparam("new_subject"),
        scan_after=null(),
    )
)
# not the row of the account: signing in writes that, and should wait for nobody's files
_LOCK_USAGE = Statement(
    text("SELECT pg_advisory_xact_lock(hashtextextended(:owner, 7411))").bindparams(bindparam("owner", type_=TEXT))
)
# a statement of its own: what it counts must be no older than the lock
_USAGE = Statement(
    text(
        "SELECT CAST((SELECT coalesce(sum(size), 0) FROM files WHERE owner_id = :owner) AS bigint)"
        " + CAST(coalesce(sum(size), 0) AS bigint) AS bytes_kept, count(*) AS uploads_open"
        " FROM file_uploads WHERE owner_id = :owner"
    ).bindparams(bindparam("owner", type_=UUID))
)
_U = file_uploads.c
_ADD_UPLOAD = Statement(insert(file_uploads).values({column.name: bindparam(column.name) for column in _U}))
_GET_UPLOAD = Statement(select(file_uploads).where(_U.id == bindparam("wanted_id")).with_for_update())
_FIND_UPLOAD = Statement(select(file_uploads).where(_U.id == bindparam("wanted_id")))
_REMOVE_UPLOAD = Statement(delete(file_uploads).where(_U.id == bindparam("wanted_id")))
_END_UPLOADS = _delete_some(file_uploads, _U.begun_at <= bindparam("begun_before", type_=INSTANT))
_GIVE_UP_UNATTACHED = _delete_some(
    files,
    files.c.purpose == text(f"'{UPLOADED}'"),
    files.c.uploaded_at <= bindparam("uploaded_before", type_=INSTANT),
)
_REMOVE = Statement(delete(files).where(files.c.id == func.any(bindparam("ids", type_=ARRAY(UUID)))))
_CLAIMED = Statement(select(files.c.key).where(files.c.key == func.any(bindparam("keys", type_=ARRAY(TEXT)))))
_TO_SCAN = Statement(
    select(files)
    .where(
        files.c.state == text("'received'"),
        or_(files.c.scan_after.is_(None), files.c.scan_after <= bindparam("now", type_=INSTANT)),
    )
    .order_by(files.c.id)
    .limit(bindparam("limit_rows", type_=BIGINT))
)
_SET_ASIDE = Statement(
    update(files).where(files.c.id == bindparam("wanted_id")).values(scan_after=bindparam("until", type_=INSTANT))
)


class PostgresFiles:
    """The files of one unit of work."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._added: list[StoredFile] = []
        self._removed: list[StoredFile] = []
        self._loaded: dict[FileId, tuple[StoredFile, StoredFile]] = {}
        unit_of_work.attach(self)

    def add(self, *received: StoredFile) -> None:
        self._added += received

    async def get(self, file_id: FileId) -> StoredFile:
        if file_id not in self._loaded:
            row = await _GET.fetch_row(self._unit.connection, wanted_id=file_id)
            if row is None:
                raise NotFound
            file = _read(row)
            self._loaded[file_id] = file, copy(file)
        return self._loaded[file_id][0]

    async def of_subject(self, purpose: str, subject: uuid.UUID) -> Sequence[StoredFile]:
        rows = await _OF_SUBJECT.fetch(self._unit.connection, wanted_subject=subject, wanted_purpose=purpose)
        return [_read(row) for row in rows]

    def remove(self, file: StoredFile) -> None:
        self._removed.append(file)

    async def usage_of(self, owner: AccountId) -> FileUsage:
        connection = self._unit.connection
        await _LOCK_USAGE.execute(connection, owner=str(owner))
        row = await _USAGE.fetch_row(connection, owner=owner)
        assert row is not None, "an aggregate has one row"
        given_up = sum(file.size for file in self._removed if file.owner == owner)
        return FileUsage(row["bytes_kept"] - given_up, row["uploads_open"])

    def stage(self, batch: WriteBatch) -> None:
        """Put what was added, removed and scanned into the batch."""
        if self._added:
            added, self._added = self._added, []
            batch.stage(
                _ADD,
                ids=[file.id for file in added],
                owners=[file.owner for file in added],
                purposes=[file.purpose for file in added],
                subjects=[file.subject for file in added],
                keys=[file.key for file in added],
                names=[file.name for file in added],
                sizes=[file.size for file in added],
                digests=[file.sha256 for file in added],
                content_types=[file.content_type for file in added],
                states=[file.state.value for file in added],
                times=[file.uploaded_at for file in added],
            )
        if self._removed:
            removed, self._removed = [file.id for file in self._removed], []
            batch.stage(_REMOVE, ids=removed)
            for file_id in removed:
                self._loaded.pop(file_id, None)
        for file_id, (file, before) in self._loaded.items():
            if file != before:
                batch.stage(
                    _SAVE,
                    wanted_id=file_id,
                    new_state=file.state.value,
                    new_purpose=file.purpose,
                    new_subject=file.subject,
                )
                self._loaded[file_id] = file, copy(file)


class PostgresUploads:
    """The uploads of one unit of work."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._added: list[FileUpload] = []
        self._removed: list[FileUpload] = []
        unit_of_work.attach(self)

    def add(self, upload: FileUpload) -> None:
        self._added.append(upload)

    async def get(self, upload_id: FileId) -> FileUpload:
        row = await _GET_UPLOAD.fetch_row(self._unit.connection, wanted_id=upload_id)
        if row is None:
            raise UploadNotFound
        return _read_upload(row)

    def remove(self, upload: FileUpload) -> None:
        self._removed.append(upload)

    def stage(self, batch: WriteBatch) -> None:
        """Put what was announced and ended into the batch."""
        added, self._added = self._added, []
        for upload in added:
            batch.stage(
                _ADD_UPLOAD,
                id=upload.id,
                owner_id=upload.owner,
                key=upload.key,
                name=upload.name,
                size=upload.size,
                content_type=upload.content_type,
                begun_at=upload.begun_at,
            )
        removed, self._removed = self._removed, []
        for upload in removed:
            batch.stage(_REMOVE_UPLOAD, wanted_id=upload.id)


class PostgresFileQueries:
    """Reads of files."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, file_id: FileId) -> StoredFile | None:
        async with self._database.connection() as connection:
            row = await _FIND.fetch_row(connection, wanted_id=file_id)
        return None if row is None else _read(row)

    async def claimed(self, keys: Collection[str]) -> set[str]:
        async with self._database.connection() as connection:
            rows = await _CLAIMED.fetch(connection, keys=list(keys))
        return {row["key"] for row in rows}

    async def to_scan(self, *, now: datetime, limit: int) -> Sequence[StoredFile]:
        async with self._database.connection() as connection:
            rows = await _TO_SCAN.fetch(connection, now=now, limit_rows=limit)
        return [_read(row) for row in rows]

    async def set_aside(self, file_id: FileId, *, until: datetime) -> None:
        async with self._database.connection() as connection:
            await _SET_ASIDE.execute(connection, wanted_id=file_id, until=until)

    async def find_upload(self, upload_id: FileId) -> FileUpload | None:
        async with self._database.connection() as connection:
            row = await _FIND_UPLOAD.fetch_row(connection, wanted_id=upload_id)
        return None if row is None else _read_upload(row)

    async def end_uploads(self, *, begun_before: datetime, limit: int) -> Sequence[str]:
        async with self._database.connection() as connection:
            rows = await _END_UPLOADS.fetch(connection, begun_before=begun_before, limit_rows=limit)
        return [row["key"] for row in rows]

    async def give_up_unattached(self, *, uploaded_before: datetime, limit: int) -> Sequence[str]:
        async with self._database.connection() as connection:
            rows = await _GIVE_UP_UNATTACHED.fetch(connection, uploaded_before=uploaded_before, limit_rows=limit)
        return [row["key"] for row in rows]


def _read(row: asyncpg.Record) -> StoredFile:
    return StoredFile(
        id=FileId(row["id"]),
        owner=AccountId(row["owner_id"]),
        purpose=row["purpose"],
        subject=row["subject_id"],
        key=row["key"],
        name=row["name"],
        size=row["size"],
        sha256=row["sha256"],
        content_type=row["content_type"],
        state=FileState(row["state"]),
        uploaded_at=row["uploaded_at"],
    )


def _read_upload(row: asyncpg.Record) -> FileUpload:
    return FileUpload(
        id=FileId(row["id"]),
        owner=AccountId(row["owner_id"]),
        key=row["key"],
        name=row["name"],
        size=row["size"],
        content_type=row["content_type"],
        begun_at=row["begun_at"],
    )
