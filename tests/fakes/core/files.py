"""Files without PostgreSQL: their rows, an audience and a scanner that a test decides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from application.core.files.ports import ShownFile
from application.core.identity.authenticate import Caller
from domain.core.files.file import FileState, StoredFile
from domain.core.files.upload import UPLOADED, FileUpload, FileUsage, UploadNotFound
from domain.core.kernel.errors import NotFound, Unavailable
from domain.core.kernel.ids import AccountId, FileId
from tests.fakes.core.ledger import Tables

if TYPE_CHECKING:
    from tests.fakes.core.store import InMemoryStore


class InMemoryFiles:
    """The rows of files in one unit of work."""

    def __init__(self, unit_of_work: Tables) -> None:
        self._files = unit_of_work.table("files")
        self._uploads = unit_of_work.table("file_uploads")

    def add(self, *received: StoredFile) -> None:
        for file in received:
            assert file.id not in self._files, "uq_files_id"
            self._files[file.id] = file

    async def get(self, file_id: FileId) -> StoredFile:
        if file_id not in self._files:
            raise NotFound
        found: StoredFile = self._files[file_id]
        return found

    async def of_subject(self, purpose: str, subject: UUID) -> Sequence[StoredFile]:
        found = [file for file in self._files.values() if (file.purpose, file.subject) == (purpose, subject)]
        return sorted(found, key=lambda file: file.id.int)

    def remove(self, file: StoredFile) -> None:
        self._files.pop(file.id, None)

    async def usage_of(self, owner: AccountId) -> FileUsage:
        uploads = [upload.size for upload in self._uploads.values() if upload.owner == owner]
        return FileUsage(
            sum(file.size for file in self._files.values() if file.owner == owner) + sum(uploads), len(uploads)
        )


class InMemoryUploads:
    """Uploads under way in one unit of work."""

    def __init__(self, unit_of_work: Tables) -> None:
        self._uploads = unit_of_work.table("file_uploads")

    def add(self, upload: FileUpload) -> None:
        self._uploads[upload.id] = upload

    async def get(self, upload_id: FileId) -> FileUpload:
        if upload_id not in self._uploads:
            raise UploadNotFound
        found: FileUpload = self._uploads[upload_id]
        return found

    def remove(self, upload: FileUpload) -> None:
        self._uploads.pop(upload.id, None)


class InMemoryFileQueries:
    """Reads of what is committed."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store
        self._aside: dict[FileId, datetime] = {}

    async def find(self, file_id: FileId) -> StoredFile | None:
        return self._store.rows("files").get(file_id)

    async def claimed(self, keys: Collection[str]) -> set[str]:
        return {file.key for file in self._store.rows("files").values()} & set(keys)

    async def to_scan(self, *, now: datetime, limit: int) -> Sequence[StoredFile]:
        waiting = [
            file
            for file in self._store.rows("files").values()
            if file.state is FileState.RECEIVED and self._aside.get(file.id, now) <= now
        ]
        return sorted(waiting, key=lambda file: file.id.int)[:limit]

    async def set_aside(self, file_id: FileId, *, until: datetime) -> None:
        self._aside[file_id] = until

    async def find_upload(self, upload_id: FileId) -> FileUpload | None:
        return self._store.rows("file_uploads").get(upload_id)

    async def end_uploads(self, *, begun_before: datetime, limit: int) -> Sequence[str]:
        table = self._store.tables["file_uploads"]
        ended = [upload for upload in table.values() if upload.begun_at <= begun_before][:limit]
        for upload in ended:
            del table[upload.id]
        return [upload.key for upload in ended]

    async def give_up_unattached(self, *, uploaded_before: datetime, limit: int) -> Sequence[str]:
        table = self._store.tables["files"]
        ended = [file for file in table.values() if file.purpose == UPLOADED and file.uploaded_at <= uploaded_before][
            :limit
        ]
        for file in ended:
            del table[file.id]
        return [file.key for file in ended]


class ListedViewers:
    """An audience that a test writes down: who may see the files of which subject."""

    def __init__(self) -> None:
        self.viewers: dict[UUID, set[AccountId]] = {}

    def let(self, viewer: AccountId, see: UUID) -> None:
        """Let an account see a subject's files."""
        self.viewers.setdefault(see, set()).add(viewer)

    async def may_see(self, file: StoredFile, caller: Caller) -> bool:
        return caller.account_id in self.viewers.get(file.subject, set())


class WordScanner:
    """A scanner that finds one word harmful; `is_down` makes it unavailable."""

    passes_at_once = False

    def __init__(self, word: bytes = b"EICAR") -> None:
        self.word = word
        self.is_down = False

    async def is_clean(self, file: StoredFile, chunks: AsyncIterator[bytes]) -> bool:
        if self.is_down:
            raise Unavailable
        return self.word not in b"".join([chunk async for chunk in chunks])


def shown_file(file: StoredFile) -> ShownFile:
    return ShownFile(
        id=file.id, name=file.name, size=file.size, content_type=file.content_type, uploaded_at=file.uploaded_at
    )


def files_of(files: Iterable[StoredFile], purpose: str, subject: UUID) -> tuple[ShownFile, ...]:
    found = [file for file in files if (file.purpose, file.subject) == (purpose, subject)]
    return tuple(shown_file(file) for file in sorted(found, key=lambda file: file.id.int))
