"""Files over HTTP: how they are shown in other replies, and the one door through which their bytes leave."""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from litestar import Controller, Request, Response, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream
from msgspec import Meta, Struct

from application.core.files.links import SignedLink
from application.core.files.open_file import OpenFile
from application.core.files.ports import ShownFile
from application.core.files.transfers import attachment
from application.core.identity.authenticate import Caller
from domain.core.files.file import StoredFile
from domain.core.kernel.ids import FileId
from interface.http.caller import sometimes_signed_in
from interface.http.errors import CODE_BY_STATUS, DETAIL_BY_STATUS, problem
from interface.http.wired import Wired

FILES_PATH = "/api/files"

Sign = Callable[[FileId], SignedLink]
"""Makes links for whoever may open the files."""

Uploads = Annotated[list[UUID], Meta(max_length=50)]
"""Confirmed uploads that are to belong to what a body describes, beside the files that a form brings."""

_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII)

_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",  # a browser that shows it all the same runs nothing
    "Cross-Origin-Resource-Policy": "same-site",
    "Cache-Control": "private, no-store",
    "Accept-Ranges": "bytes",
}


class FileBody(Struct, frozen=True):
    """A file as other replies show it. `url` works for five minutes; without it the reader may not open the file."""

    id: UUID
    name: str
    size: int
    content_type: str
    url: str | None
    uploaded_at: datetime

    @classmethod
    def of(cls, file: StoredFile, link: SignedLink | None) -> "FileBody":
        """Write a file, with a link for those who may open it."""
        url = None if link is None else link_address(file.id, link)
        return cls(file.id, file.name, file.size, file.content_type, url, file.uploaded_at)


def file_bodies(files: Sequence[ShownFile], sign: Sign | None) -> list[FileBody]:
    """Write files, with links where the reader may open them."""
    return [
        FileBody(
            file.id,
            file.name,
            file.size,
            file.content_type,
            None if sign is None else link_address(file.id, sign(file.id)),
            file.uploaded_at,
        )
        for file in files
    ]


def link_address(file_id: FileId, link: SignedLink) -> str:
    """Return the address at which a signed link opens a file."""
    return f"{FILES_PATH}/{file_id}?{urlencode({'expires': link.expires, 'signature': link.signature})}"


def wanted_bytes(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the first and last byte that a Range asks for; None for the whole file.

    Several ranges, other units and nonsense ask for the whole file (RFC 9110 14.2). A range outside the file raises
    IndexError.
    """
    found = _RANGE.fullmatch(header or "")
    if found is None or found[1] == found[2] == "":
        return None
    if found[1] == "":
        length = min(int(found[2]), size)
        first, last = size - length, size - 1
    else:
        first, last = int(found[1]), min(int(found[2] or size - 1), size - 1)
        if found[2] and int(found[2]) < first:
            return None
    if first >= size or first > last:
        raise IndexError
    return first, last


class FileController(Controller):
    path = FILES_PATH
    tags = ("files",)

    @get(
        "/{file_id:uuid}",
        operation_id="downloadFile",
        refuses=("files.not_ready", "files.range_not_satisfiable"),
        also={206: "A part of the file, as `Range` asked for."},
        guards=[sometimes_signed_in],
        media_type="application/octet-stream",
    )
    async def download(
        self,
        request: Request[Any, Any, Any],
        file_id: FromPath[UUID],
        maybe_caller: Wired[Caller | None],
        open_file: Wired[OpenFile],
        expires: FromQuery[Annotated[int | None, QueryParameter(ge=0, lt=1 << 53)]] = None,
        signature: FromQuery[Annotated[str | None, QueryParameter(max_length=200)]] = None,
    ) -> Response[Any]:
        """Download a file."""
        link = None if expires is None or signature is None else SignedLink(expires, signature)
        file = await open_file(FileId(file_id), caller=maybe_caller, link=link)
        etag = f'"{file.sha256.hex()}"'
        asked = request.headers.get("range") if request.headers.get("if-range", etag) == etag else None
        try:
            part = wanted_bytes(asked, file.size)
        except IndexError:
            return problem(
                416,
                CODE_BY_STATUS[416],
                DETAIL_BY_STATUS[416],
                headers={"Content-Range": f"bytes */{file.size}"},
            )
        first, last = part or (0, file.size - 1)
        headers = {
            **_SAFE,
            "Content-Disposition": attachment(file.name),
            "Content-Length": str(last - first + 1),
            "Content-Type": file.content_type,  # here, since a Stream's own media type gives way to the handler's
            "ETag": etag,
        }
        if part is not None:
            headers["Content-Range"] = f"bytes {first}-{last}/{file.size}"
        return Stream(
            await _begun(open_file.read(file, start=first), last - first + 1),
            status_code=200 if part is None else 206,
            headers=headers,
        )


async def _begun(chunks: AsyncIterator[bytes], length: int) -> AsyncIterator[bytes]:
    """Return the first `length` bytes, with the first chunk read already: what fails then is still a refusal."""
    first = await anext(chunks, b"")

    async def rest() -> AsyncIterator[bytes]:
        left, chunk = length, first
        while chunk and left:
            yield chunk[:left]
            left -= len(chunk[:left])
            chunk = await anext(chunks, b"") if left else b""

    return rest()
