"""Take the bytes of an upload here, where files are kept on our own disk and no other server takes them.

- The signature in the address is the permission, as at a store of its own: for one upload, for five minutes.
- Exactly the announced size; again and again until it is confirmed, and the last one counts.
"""

from dataclasses import dataclass

from application.core.files.links import FileLinks, SignedLink
from application.core.files.ports import FileQueries
from application.core.files.receive_files import IncomingFile
from application.core.files.storage import ObjectStorage
from application.core.kernel.ports import Clock
from domain.core.files.file import FileTooLarge
from domain.core.files.upload import FileUpload, SizeDiffers, UploadNotFound
from domain.core.kernel.errors import Forbidden
from domain.core.kernel.ids import FileId


class FormRefused(Forbidden):
    """This form was not signed here, has ended, or was changed."""

    code = "files.form_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeUpload:
    queries: FileQueries
    links: FileLinks
    """Signs uploads; what it signed opens no file."""
    storage: ObjectStorage
    clock: Clock

    async def admit(self, upload_id: FileId, link: SignedLink) -> FileUpload:
        """Return the upload that a form is for. Raises FormRefused, UploadNotFound."""
        if not self.links.verify(upload_id, link.expires, link.signature, now=self.clock.now()):
            raise FormRefused
        upload = await self.queries.find_upload(upload_id)
        if upload is None:  # confirmed, or ended
            raise UploadNotFound
        return upload

    async def __call__(self, upload: FileUpload, content_type: str, file: IncomingFile) -> None:
        """Store what was sent. Raises FormRefused, SizeDiffers, EmptyFile, Unavailable."""
        if content_type != upload.content_type:
            raise FormRefused
        try:
            stored = await self.storage.put(upload.key, file.chunks, size_max=upload.size)
        except FileTooLarge:
            raise SizeDiffers from None
        if stored.size != upload.size:
            await self.storage.delete(upload.key)
            raise SizeDiffers
