"""Uploads: files that clients send to where files are kept themselves, and confirm when they stand there."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from domain.core.files.file import ContentTypeRefused, StoredFile
from domain.core.kernel.errors import Conflict, Invalid, NotFound
from domain.core.kernel.ids import AccountId, FileId

UPLOADED: Final = "upload"
"""Purpose of files that are uploaded and confirmed, and belong to nothing yet; their subject is their owner."""

CONFIRM_WITHIN: Final = timedelta(hours=1)
"""How long an upload may take, from its beginning to its confirmation."""
ATTACH_WITHIN: Final = timedelta(hours=24)
"""How long a confirmed file waits to be attached to something."""
OPEN_UPLOADS_MAX: Final = 50
"""Uploads that one account may have under way: an announcement of one byte weighs nothing against the quota."""


class UploadNotFound(NotFound):
    """There is no such upload of yours, or it has ended."""

    code = "files.upload_not_found"


class UploadUnknown(Invalid):
    """What is to be attached is no confirmed upload of yours, or belongs to something already."""

    code = "files.upload_unknown"


class NotUploaded(Conflict):
    """Nothing was uploaded yet."""

    code = "files.not_uploaded"


class SizeDiffers(Invalid):
    """What was uploaded has another size than announced."""

    code = "files.size_differs"


class TooManyUploads(Conflict):
    """Too many uploads are under way; confirm them first, or wait until they end."""

    code = "files.too_many_uploads"


class QuotaExceeded(Conflict):
    """Your files would take more room than one account has."""

    code = "files.quota_exceeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUpload:
    """One announced file. What the client sends stands under `key`, which no row of a file ever claims."""

    id: FileId
    owner: AccountId
    key: str
    name: str
    size: int
    content_type: str
    """As the client says; the store holds him to it, and we believe only what the content shows."""
    begun_at: datetime

    @property
    def confirm_by(self) -> datetime:
        """When it ends."""
        return self.begun_at + CONFIRM_WITHIN

    def require_open(self, owner: AccountId, *, now: datetime) -> None:
        """Raise UploadNotFound unless it is the owner's and has not ended."""
        if self.owner != owner or now >= self.confirm_by:
            raise UploadNotFound


@dataclass(frozen=True, slots=True)
class FileUsage:
    """What one account keeps: bytes of its files and of what it announced, and how many uploads are under way."""

    bytes_kept: int
    uploads_open: int

    def require_turn(self) -> None:
        """Raise TooManyUploads when as many are under way as one account may have."""
        if self.uploads_open >= OPEN_UPLOADS_MAX:
            raise TooManyUploads(limit=OPEN_UPLOADS_MAX)

    def require_room(self, more: int, *, quota: int) -> None:
        """Raise QuotaExceeded when `more` bytes do not fit."""
        if self.bytes_kept + more > quota:
            raise QuotaExceeded(limit=quota, used=self.bytes_kept)


def attach(
    file: StoredFile, *, owner: AccountId, purpose: str, subject: UUID, content_types: Collection[str] | None
) -> None:
    """Let an uploaded file belong to something. Raises UploadUnknown, FileNotReady, ContentTypeRefused."""
    if file.owner != owner or file.purpose != UPLOADED:
        raise UploadUnknown
    file.require_safe()
    if content_types is not None and file.content_type not in content_types:
        raise ContentTypeRefused
    file.purpose, file.subject = purpose, subject
