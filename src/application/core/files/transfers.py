"""The port behind which clients send and fetch the bytes of files themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from urllib.parse import quote

from domain.core.files.file import StoredFile
from domain.core.files.upload import FileUpload

_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 ._-")

UNKNOWN = "application/octet-stream"
_SHOWN_AS_THEY_ARE = frozenset({"application/pdf", "image/gif", "image/jpeg", "image/png", "image/webp"})


@dataclass(frozen=True, slots=True)
class UploadForm:
    """A form for one file: POST it as multipart/form-data to `url`, these fields first, the file last, as `file`."""

    url: str
    fields: Mapping[str, str]
    expires_at: datetime


class DirectTransfers(Protocol):
    """Forms and addresses with which clients reach the bytes. Promises:

    - a form takes one file for one upload, of exactly its size and type, and ends with LINK_LIFE;
    - an address serves one file as an attachment under its name, as a type that no browser runs, until LINK_LIFE.
    """

    async def upload_form(self, upload: FileUpload, *, now: datetime) -> UploadForm:
        """Return a form for an upload. Raises Unavailable."""
        ...

    async def download_address(self, file: StoredFile, *, now: datetime) -> str:
        """Return an absolute address of a file. Raises Unavailable."""
        ...


def attachment(name: str) -> str:
    """Return a Content-Disposition (RFC 6266) that saves under this name and cannot be broken out of."""
    plain = "".join(c if c in _PLAIN else "_" for c in name).strip() or "file"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def passive_type(content_type: str) -> str:
    """Return a type under which a store that knows no `nosniff` can serve a file: no browser runs it."""
    return content_type if content_type in _SHOWN_AS_THEY_ARE else UNKNOWN
