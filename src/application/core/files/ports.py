"""What files need from outside their own module: their rows, their audience, and a scanner."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from application.core.identity.authenticate import Caller
from application.core.kernel.ports import UnitOfWork
from domain.core.files.file import StoredFile
from domain.core.files.upload import FileUpload, FileUsage
from domain.core.kernel.ids import AccountId, FileId


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFile:
    """One file as other things show it."""

    id: FileId
    name: str
    size: int
    content_type: str
    uploaded_at: datetime


class FileRepository(Protocol):
    """The rows that claim stored bytes. Promises (tests/contract/core/files.py):

    - `get` locks the row until the unit of work ends, and raises NotFound;
    - `usage_of` lets one unit of work at a time count what an account keeps, until it ends; what this one removed is
      not counted;
    - bytes whose row is removed, or never committed, are swept within a day (files.no_orphans).
    """

    def add(self, *files: StoredFile) -> None:
        """Claim what was received."""
        ...

    async def get(self, file_id: FileId) -> StoredFile:
        """Return a file. Raises NotFound."""
        ...

    async def of_subject(self, purpose: str, subject: UUID) -> Sequence[StoredFile]:
        """Return what belongs to a subject, oldest first."""
        ...

    def remove(self, file: StoredFile) -> None:
        """Give up a file: nobody sees it any more, and the sweep removes its bytes."""
        ...

    async def usage_of(self, owner: AccountId) -> FileUsage:
        """Return what an account keeps, its open uploads among it."""
        ...


class UploadRepository(Protocol):
    """Uploads under way. Promises (tests/contract/core/files.py):

    - `get` locks the row until the unit of work ends, and raises UploadNotFound;
    - an upload that was removed is under way no more, and its bytes are swept.
    """

    def add(self, upload: FileUpload) -> None:
        """Announce an upload."""
        ...

    async def get(self, upload_id: FileId) -> FileUpload:
        """Return an upload. Raises UploadNotFound."""
        ...

    def remove(self, upload: FileUpload) -> None:
        """End an upload."""
        ...


class FilesUnitOfWork(UnitOfWork, Protocol):
    """A transaction that can claim files."""

    @property
    def files(self) -> FileRepository: ...

    @property
    def uploads(self) -> UploadRepository: ...


class FileQueries(Protocol):
    """Reads of files. Promises: each is one bounded round trip."""

    async def find(self, file_id: FileId) -> StoredFile | None:
        """Return a file, if there is one."""
        ...

    async def claimed(self, keys: Collection[str]) -> set[str]:
        """Return those of the storage keys that a row claims."""
        ...

    async def to_scan(self, *, now: datetime, limit: int) -> Sequence[StoredFile]:
        """Return files that wait for the scanner, oldest first; those it failed on lately are left out."""
        ...

    async def set_aside(self, file_id: FileId, *, until: datetime) -> None:
        """Leave a file that the scanner failed on out of `to_scan` until then."""
        ...

    async def find_upload(self, upload_id: FileId) -> FileUpload | None:
        """Return an upload under way, if there is one."""
        ...

    async def end_uploads(self, *, begun_before: datetime, limit: int) -> Sequence[str]:
        """End uploads that were begun by an instant, and return their keys; what somebody confirms now is left."""
        ...

    async def give_up_unattached(self, *, uploaded_before: datetime, limit: int) -> Sequence[str]:
        """Remove the rows of uploaded files that still belong to nothing, and return their keys; what somebody
        attaches now is left.
        """
        ...


class FileSubject(Protocol):
    """Knows who may see the files of one purpose; each vertical brings its own. Promises: it never raises for a subject
    that is gone, it answers False.
    """

    async def may_see(self, file: StoredFile, caller: Caller) -> bool:
        """Tell whether the caller may open the file."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePurpose:
    """What files are stored for: `student`, `writer`. The name is part of every storage key: never rename it."""

    name: str
    subject: FileSubject
    content_types: frozenset[str] | None = None
    """Types accepted, as the content shows them; None: all (files.all_formats)."""
    is_public: bool = False
    """Whether everybody may see them: images of ads and profiles only (files.scanned_before_shown)."""


class FilePurposes:
    """The purposes of all areas; filled once, when all of them are built."""

    def __init__(self, *purposes: FilePurpose) -> None:
        self._by_name: Mapping[str, FilePurpose] = {}
        self.fill(purposes)

    def fill(self, purposes: Sequence[FilePurpose]) -> None:
        """Take the purposes of all areas."""
        self._by_name = {purpose.name: purpose for purpose in purposes}
        assert len(self._by_name) == len(purposes), "two purposes of files have one name"

    def named(self, name: str) -> FilePurpose | None:
        """Return the purpose of that name, if it still exists."""
        return self._by_name.get(name)

    @property
    def by_name(self) -> Mapping[str, FilePurpose]:
        """All of them."""
        return self._by_name


class FileScanner(Protocol):
    """Looks for what harms. Promises: it reads the bytes as a stream and raises nothing but Unavailable."""

    @property
    def passes_at_once(self) -> bool:
        """Whether every file passes without a look; then files are ready as soon as they are stored."""
        ...

    async def is_clean(self, file: StoredFile, chunks: AsyncIterator[bytes]) -> bool:
        """Tell whether a file may be shown. Raises Unavailable."""
        ...
