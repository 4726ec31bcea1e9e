"""Uploads over HTTP: announced, sent to where files are kept, confirmed.

A front end does the same whether files are kept in a bucket or on the server's own disk: it POSTs the answered form to
the answered address.
"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED, HTTP_204_NO_CONTENT
from msgspec import Meta, Struct, field

from application.core.files.links import LINK_LIFE, FileLinks, SignedLink
from application.core.files.open_file import LinkToFile, SignFile
from application.core.files.receive_files import Limits
from application.core.files.take_upload import TakeUpload
from application.core.files.transfers import UNKNOWN, UploadForm
from application.core.files.upload_files import BeginUpload, BeginUploadCommand, ConfirmUpload
from application.core.identity.authenticate import Caller
from domain.core.files.file import FileRequired, StoredFile
from domain.core.files.upload import FileUpload
from domain.core.kernel.ids import FileId
from interface.http.caller import signed_in, sometimes_signed_in
from interface.http.core.files import FILES_PATH, FileBody, link_address
from interface.http.uploads import form_operation, read_form
from interface.http.wired import Wired

UPLOADS_PATH = f"{FILES_PATH}/uploads"

_WORD = "[A-Za-z0-9!#$&^_.+-]+"
MediaType = Annotated[str, Meta(max_length=100, pattern=f"^{_WORD}/{_WORD}$")]


class BeginUploadBody(Struct, frozen=True):
    """A file that is going to be sent; `size` in bytes, exactly."""

    name: Annotated[str, Meta(min_length=1, max_length=255)]
    size: Annotated[int, Meta(ge=1, lt=1 << 53)]
    content_type: MediaType = UNKNOWN


class UploadBody(Struct, frozen=True):
    """Where to send the file: POST `fields` and then the file, as `file`, to `url`, before `expires_at`; confirm it
    before `confirm_by`.
    """

    id: UUID
    url: str
    fields: dict[str, str]
    expires_at: datetime
    confirm_by: datetime


class SendUploadBody(Struct, frozen=True):
    """The form that was answered, and the file."""

    content_type: Annotated[str, Meta(max_length=100)] = field(name="Content-Type", default="")


class FileLinkBody(Struct, frozen=True):
    """An address at which anybody can fetch the file until `expires_at`; hand it to nobody else."""

    url: str
    expires_at: datetime


class OwnTransfers:
    """Forms and addresses of this server itself, for files on its own disk. `links` signs files, `upload_links`
    uploads.
    """

    def __init__(self, links: FileLinks, upload_links: FileLinks, *, address: str) -> None:
        self._links = links
        self._upload_links = upload_links
        self._address = address

    async def upload_form(self, upload: FileUpload, *, now: datetime) -> UploadForm:
        link = self._upload_links.sign(upload.id, now=now)
        url = f"{self._address}{UPLOADS_PATH}/{upload.id}/content?expires={link.expires}&signature={link.signature}"
        return UploadForm(url, {"Content-Type": upload.content_type}, now + LINK_LIFE)

    async def download_address(self, file: StoredFile, *, now: datetime) -> str:
        return self._address + link_address(file.id, self._links.sign(file.id, now=now))


class UploadController(Controller):
    path = UPLOADS_PATH
    tags = ("files",)

    @post(
        "/",
        operation_id="beginUpload",
        refuses=(
            "files.extension_refused",
            "files.quota_exceeded",
            "files.too_large",
            "files.too_many_uploads",
        ),
        guards=[signed_in],
        status_code=HTTP_201_CREATED,
    )
    async def begin(
        self, data: JSONBody[BeginUploadBody], caller: Wired[Caller], begin_upload: Wired[BeginUpload]
    ) -> UploadBody:
        """Announce a file, and learn where to send it."""
        upload, form = await begin_upload(
            BeginUploadCommand(owner=caller.account_id, name=data.name, size=data.size, content_type=data.content_type)
        )
        return UploadBody(upload.id, form.url, dict(form.fields), form.expires_at, upload.confirm_by)

    @post(
        "/{upload_id:uuid}/confirm",
        operation_id="confirmUpload",
        refuses=("files.not_uploaded", "files.size_differs", "files.upload_not_found"),
        guards=[signed_in],
        status_code=HTTP_200_OK,
    )
    async def confirm(
        self,
        upload_id: FromPath[UUID],
        caller: Wired[Caller],
        confirm_upload: Wired[ConfirmUpload],
        sign_file: Wired[SignFile],
    ) -> FileBody:
        """Confirm that a file was sent; name its id in `uploads` of what it belongs to, within a day."""
        file = await confirm_upload(FileId(upload_id), caller.account_id)
        return FileBody.of(file, sign_file(file.id))

    @post(
        "/{upload_id:uuid}/content",
        operation_id="sendUpload",
        refuses=(
            "files.empty",
            "files.form_refused",
            "files.required",
            "files.size_differs",
            "files.too_large",
            "files.upload_not_found",
        ),
        operation_class=form_operation(SendUploadBody, "file"),
        status_code=HTTP_204_NO_CONTENT,
    )
    async def send(
        self,
        request: Request[Any, Any, Any],
        upload_id: FromPath[UUID],
        take_upload: Wired[TakeUpload],
        expires: FromQuery[Annotated[int, QueryParameter(ge=0, lt=1 << 53)]],
        signature: FromQuery[Annotated[str, QueryParameter(max_length=200)]],
    ) -> None:
        """Send a file by the form that was answered, where this server keeps files itself."""
        upload = await take_upload.admit(FileId(upload_id), SignedLink(expires, signature))
        limits = Limits(count=1, file_bytes=upload.size, request_bytes=upload.size)
        async with read_form(request, file_fields=("file",), limits=limits) as form:
            if not form.files:
                raise FileRequired
            await take_upload(upload, form.read(SendUploadBody).content_type, form.files[0])


class FileLinkController(Controller):
    path = FILES_PATH
    tags = ("files",)

    @get(
        "/{file_id:uuid}/link",
        operation_id="linkToFile",
        refuses=("files.not_ready",),
        guards=[sometimes_signed_in],
        status_code=HTTP_200_OK,
    )
    async def link(
        self, file_id: FromPath[UUID], maybe_caller: Wired[Caller | None], link_to_file: Wired[LinkToFile]
    ) -> FileLinkBody:
        """Learn where the bytes of a file can be fetched, past this server where they stand in a bucket."""
        url, expires_at = await link_to_file(FileId(file_id), caller=maybe_caller)
        return FileLinkBody(url, expires_at)
