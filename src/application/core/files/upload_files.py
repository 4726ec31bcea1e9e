"""Upload files without passing them through a form of the server.

- Announced first: name, size and type. The size counts against `files.quota` from then on, and the form that is
  answered takes exactly that, for five minutes.
- Confirmed when it is sent, within an hour: the bytes move to a key for which nobody outside ever had a signature, and
  are looked at there; so whatever is sent to the form afterwards, what was confirmed is what is served.
- A confirmed file belongs to nothing until it is attached, within a day; only its owner sees it.
- Confirming twice is confirming once, also at the same time.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from application.core.files.ports import FileQueries, FileScanner, FilesUnitOfWork
from application.core.files.receive_files import UploadLimits
from application.core.files.storage import ObjectStorage
from application.core.files.transfers import DirectTransfers, UploadForm
from application.core.identity.authenticate import Caller
from application.core.kernel.ports import Clock, IdSource, Policies
from domain.core.files.file import (
    EmptyFile,
    ExtensionRefused,
    FileState,
    FileTooLarge,
    StoredFile,
    display_name,
    storage_key,
)
from domain.core.files.policies import EXTENSIONS, MEGABYTE, QUOTA, accepts_extension
from domain.core.files.upload import (
    ATTACH_WITHIN,
    CONFIRM_WITHIN,
    UPLOADED,
    FileUpload,
    NotUploaded,
    SizeDiffers,
    UploadNotFound,
)
from domain.core.kernel.errors import DomainError, NotFound, Unavailable
from domain.core.kernel.ids import AccountId, FileId

SENT = "pending"
"""Begins the keys that clients write to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginUploadCommand:
    owner: AccountId
    name: str
    size: int
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginUpload:
    unit_of_work: Callable[[], FilesUnitOfWork]
    transfers: DirectTransfers
    limits: UploadLimits
    policies: Policies
    clock: Clock
    ids: IdSource

    async def __call__(self, command: BeginUploadCommand) -> tuple[FileUpload, UploadForm]:
        """Return the upload and the form for it.

        Raises EmptyFile, FileTooLarge, ExtensionRefused, TooManyUploads, QuotaExceeded, Unavailable.
        """
        limit = self.limits().file_bytes
        if command.size < 1:
            raise EmptyFile
        if command.size > limit:
            raise FileTooLarge(limit=limit)
        name = display_name(command.name)
        if not accepts_extension(self.policies.value(EXTENSIONS), name):
            raise ExtensionRefused
        now, upload_id = self.clock.now(), FileId(self.ids.new())
        upload = FileUpload(
            id=upload_id,
            owner=command.owner,
            key=storage_key(SENT, command.owner, upload_id),
            name=name,
            size=command.size,
            content_type=command.content_type,
            begun_at=now,
        )
        form = await self.transfers.upload_form(upload, now=now)
        async with self.unit_of_work() as uow:
            usage = await uow.files.usage_of(command.owner)
            usage.require_turn()
            usage.require_room(command.size, quota=self.policies.value(QUOTA) * MEGABYTE)
            uow.uploads.add(upload)
            await uow.commit()
        return upload, form


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmUpload:
    unit_of_work: Callable[[], FilesUnitOfWork]
    queries: FileQueries
    storage: ObjectStorage
    scanner: FileScanner
    clock: Clock
    ids: IdSource

    async def __call__(self, upload_id: FileId, owner: AccountId) -> StoredFile:
        """Return the file, which has the id of its upload.

        Raises UploadNotFound, NotUploaded, SizeDiffers, Unavailable.
        """
        upload = await self.queries.find_upload(upload_id)
        if upload is None:
            return await self._confirmed(upload_id, owner)
        upload.require_open(owner, now=self.clock.now())
        # a key of this confirmation alone: another one at the same time may find other bytes
        key = storage_key(UPLOADED, owner, FileId(self.ids.new()))
        try:
            file = await self._looked_at(upload, key)
        except NotFound:  # nothing was sent, or another confirmation was faster
            with suppress(UploadNotFound):
                return await self._confirmed(upload_id, owner)
            raise NotUploaded from None
        try:
            async with self.unit_of_work() as uow:
                uow.uploads.remove(await uow.uploads.get(upload_id))
                uow.files.add(file)
                await uow.commit()
        except UploadNotFound:  # confirmed meanwhile, or ended
            await self._discard(key)
            return await self._confirmed(upload_id, owner)
        except DomainError as refusal:
            if not isinstance(refusal, Unavailable):  # else nobody can say whether it committed: the sweep decides
                await self._discard(key)
            raise
        await self._discard(upload.key)
        return file

    async def _looked_at(self, upload: FileUpload, key: str) -> StoredFile:
        try:
            stored = await self.storage.adopt(upload.key, key, size_max=upload.size)
        except (FileTooLarge, EmptyFile):
            raise SizeDiffers from None
        if stored.size != upload.size:
            await self._discard(key)
            raise SizeDiffers
        return StoredFile(
            id=upload.id,
            owner=upload.owner,
            purpose=UPLOADED,
            subject=upload.owner,
            key=key,
            name=upload.name,
            size=stored.size,
            sha256=stored.sha256,
            content_type=stored.content_type,
            state=FileState.READY if self.scanner.passes_at_once else FileState.RECEIVED,
            uploaded_at=self.clock.now(),
        )

    async def _confirmed(self, upload_id: FileId, owner: AccountId) -> StoredFile:
        file = await self.queries.find(upload_id)
        if file is None or file.owner != owner:
            raise UploadNotFound
        return file

    async def _discard(self, key: str) -> None:
        with suppress(Unavailable):  # left to the sweep
            await self.storage.delete(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndUploads:
    """Ends what was not confirmed within an hour, and gives up what was not attached within a day."""

    queries: FileQueries
    storage: ObjectStorage
    clock: Clock

    async def __call__(self, batch_max: int) -> int:
        """Return how many ended. Raises DatabaseUnavailable."""
        now = self.clock.now()
        keys = [
            *await self.queries.end_uploads(begun_before=now - CONFIRM_WITHIN, limit=batch_max),
            *await self.queries.give_up_unattached(uploaded_before=now - ATTACH_WITHIN, limit=batch_max),
        ]
        with suppress(Unavailable):  # left to the sweep
            for key in keys:
                await self.storage.delete(key)
        return min(len(keys), batch_max)


class OwnerAlone:
    """The audience of what belongs to nothing yet."""

    async def may_see(self, file: StoredFile, caller: Caller) -> bool:
        """Tell whether the caller uploaded the file."""
        return file.owner == caller.account_id
