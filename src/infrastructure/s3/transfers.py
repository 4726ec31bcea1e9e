"""Signed forms and addresses, with which browsers reach the bucket without us.

The signatures are made here and nothing is sent; the store holds the client to them, by its own clock.
"""

from datetime import datetime
from typing import Any

from application.core.files.links import LINK_LIFE
from application.core.files.transfers import UploadForm, attachment, passive_type
from domain.core.files.file import StoredFile
from domain.core.files.upload import FileUpload
from infrastructure.s3.connection import S3Bucket

_LINK_SECONDS = int(LINK_LIFE.total_seconds())


class S3Transfers:
    """Signs with the client whose endpoint browsers reach."""

    def __init__(self, public_client: Any, bucket: S3Bucket) -> None:
        self._client = public_client
        self._bucket = bucket

    async def upload_form(self, upload: FileUpload, *, now: datetime) -> UploadForm:
        kind = {"Content-Type": upload.content_type}
        # the bucket and the exact key are conditions that the client's own signing adds
        signed = await self._client.generate_presigned_post(
            Bucket=self._bucket.name,
            Key=self._bucket.prefix + upload.key,
            Fields=dict(kind),
            Conditions=[kind, ["content-length-range", upload.size, upload.size]],
            ExpiresIn=_LINK_SECONDS,
        )
        return UploadForm(signed["url"], signed["fields"], now + LINK_LIFE)

    async def download_address(self, file: StoredFile, *, now: datetime) -> str:
        address: str = await self._client.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._bucket.name,
                "Key": self._bucket.prefix + file.key,
                "ResponseContentDisposition": attachment(file.name),
                "ResponseContentType": passive_type(file.content_type),
                "ResponseCacheControl": "private, no-store",
            },
            ExpiresIn=_LINK_SECONDS,
        )
        return address
