"""Receive the files of a request.

- The bytes are stored before the transaction that claims them; what it does not claim is discarded, and what a crash
  left is swept within a day (files.no_orphans).
- At most `files.max_count` files, `files.max_size` each and `files.max_request` together; none is empty
  (files.size_limits).
- The type is what the content shows, never what the sender says (files.all_formats).
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import UUID

from application.core.files.ports import FilePurposes, FileScanner, FilesUnitOfWork
from application.core.files.storage import ObjectStorage
from application.core.kernel.ports import Clock, IdSource, Policies
from domain.core.files.file import (
    ContentTypeRefused,
    ExtensionRefused,
    FileState,
    FileTooLarge,
    StoredFile,
    display_name,
    storage_key,
)
from domain.core.files.policies import (
    EXTENSIONS,
    FILE_COUNT_MAX,
    FILE_SIZE_MAX,
    MEGABYTE,
    QUOTA,
    REQUEST_SIZE_MAX,
    accepts_extension,
)
from domain.core.files.upload import UploadUnknown, attach
from domain.core.kernel.errors import DomainError, NotFound, Unavailable
from domain.core.kernel.ids import AccountId, FileId


@dataclass(frozen=True, slots=True)
class IncomingFile:
    """A file as it arrives: the sender's name for it, and its bytes, which can be read once."""

    name: str
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may bring: files, bytes of each, bytes of all."""

    count: int
    file_bytes: int
    request_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """The limits in force now, for whoever reads a request and for whoever stores what it brought."""

    policies: Policies

    def __call__(self) -> Limits:
        """Return the limits."""
        return Limits(
            count=self.policies.value(FILE_COUNT_MAX),
            file_bytes=self.policies.value(FILE_SIZE_MAX) * MEGABYTE,
            request_bytes=self.policies.value(REQUEST_SIZE_MAX) * MEGABYTE,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveFiles:
    """Called before the unit of work; inside it `claim` claims what it returned.

    `claimed_inside` is the same as a block that discards them when the transaction is refused.
    """

    storage: ObjectStorage
    scanner: FileScanner
    purposes: FilePurposes
    limits: UploadLimits
    policies: Policies
    clock: Clock
    ids: IdSource

    async def __call__(
        self, uploads: Sequence[IncomingFile], *, purpose: str, subject: UUID, owner: AccountId
    ) -> tuple[StoredFile, ...]:
        """Store the bytes and return what to claim; all files or none.

        Raises FileTooLarge, EmptyFile, ExtensionRefused, ContentTypeRefused, Unavailable.
        """
        kind = self.purposes.by_name[purpose]
        limits = self.limits()
        if len(uploads) > limits.count:
            raise FileTooLarge(f"At most {limits.count} files are accepted at once.", limit=limits.count)
        extensions = self.policies.value(EXTENSIONS)
        names = [display_name(upload.name) for upload in uploads]
        if not all(accepts_extension(extensions, name) for name in names):
            raise ExtensionRefused
        left = limits.request_bytes
        received: list[StoredFile] = []
        try:
            for name, upload in zip(names, uploads, strict=True):
                file_id = FileId(self.ids.new())
                key = storage_key(purpose, subject, file_id)
                stored = await self.storage.put(key, upload.chunks, size_max=min(limits.file_bytes, left))
                left -= stored.size
                received.append(
                    StoredFile(
                        id=file_id,
                        owner=owner,
                        purpose=purpose,
                        subject=subject,
                        key=key,
                        name=name,
                        size=stored.size,
                        sha256=stored.sha256,
                        content_type=stored.content_type,
                        state=FileState.READY if self.scanner.passes_at_once else FileState.RECEIVED,
                        uploaded_at=self.clock.now(),
                    )
                )
                if kind.content_types is not None and stored.content_type not in kind.content_types:
                    raise ContentTypeRefused
        except BaseException:  # also when the client hangs up: nothing half-sent stays for the sweep
            await asyncio.shield(self.discard(received))
            raise
        return tuple(received)

    @asynccontextmanager
    async def claimed_inside(
        self, uploads: Sequence[IncomingFile], *, purpose: str, subject: UUID, owner: AccountId
    ) -> AsyncIterator[tuple[StoredFile, ...]]:
        """Receive files for the transaction that the block runs, and discard them when it is refused.

        When nobody can say whether it committed, the bytes stay and the sweep decides.
        """
        files = await self(uploads, purpose=purpose, subject=subject, owner=owner)
        try:
            yield files
        except DomainError as refusal:
            if not isinstance(refusal, Unavailable):
                await self.discard(files)
            raise

    async def claim(
        self,
        uow: FilesUnitOfWork,
        files: Sequence[StoredFile],
        *,
        uploads: Collection[FileId] = (),
        purpose: str,
        subject: UUID,
        owner: AccountId,
    ) -> tuple[StoredFile, ...]:
        """Give the subject what was received, and what its sender uploaded before; return all of it.

        Raises FileTooLarge, QuotaExceeded, UploadUnknown, FileNotReady, ContentTypeRefused.
        """
        count_max = self.limits().count
        if len(files) + len(uploads) > count_max:
            raise FileTooLarge(f"At most {count_max} files are accepted at once.", limit=count_max)
        if files:
            usage = await uow.files.usage_of(owner)
            usage.require_room(sum(file.size for file in files), quota=self.policies.value(QUOTA) * MEGABYTE)
            uow.files.add(*files)
        attached = [await _uploaded(uow, file_id) for file_id in sorted(set(uploads))]
        for file in attached:
            content_types = self.purposes.by_name[purpose].content_types
            attach(file, owner=owner, purpose=purpose, subject=subject, content_types=content_types)
        return (*files, *attached)

    async def discard(self, files: Iterable[StoredFile]) -> None:
        """Remove what was received and no row claims; what cannot be removed now is left to the sweep."""
        with suppress(Unavailable):
            for file in files:
                await self.storage.delete(file.key)


async def _uploaded(uow: FilesUnitOfWork, file_id: FileId) -> StoredFile:
    try:
        return await uow.files.get(file_id)
    except NotFound:
        raise UploadUnknown from None
