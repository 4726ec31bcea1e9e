"""Files in a bucket of an S3-compatible store.

Whatever fits in one part is one request; more goes as a multipart upload, which the store shows only when it is
complete. So a key is readable whole or not at all, and a process holds one part of each file on its way in.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from application.core.files.storage import StoredBytes, is_key
from domain.core.files.file import EmptyFile, FileTooLarge
from domain.core.kernel.errors import NotFound, Unavailable
from infrastructure.content_types.sniffer import ContentSniffer
from infrastructure.s3.connection import S3Bucket, as_refusals, error_code

CHUNK_BYTES = 64 * 1024
"""The largest piece that is handed out."""
PART_BYTES = 5 * 1024 * 1024
"""The smallest part that S3 takes, the last one apart."""


class S3ObjectStorage:
    """Keeps files in one bucket under one prefix. A store that does not answer raises Unavailable."""

    def __init__(self, client: Any, bucket: S3Bucket) -> None:
        self._client = client
        self._bucket = bucket.name
        self._prefix = bucket.prefix

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, size_max: int) -> StoredBytes:
        place = self._place(key)
        seen = _Seen(size_max)
        parts = _Parts(self._client, place)
        waiting = bytearray()
        try:
            async for chunk in chunks:
                seen.feed(chunk)
                waiting += chunk
                while len(waiting) >= PART_BYTES:
                    await parts.send(bytes(waiting[:PART_BYTES]))
                    del waiting[:PART_BYTES]
            stored = seen.described()
            if parts.are_begun:
                await parts.complete(bytes(waiting))
            else:
                with as_refusals():
                    await self._client.put_object(**place, Body=bytes(waiting))
        except BaseException:
            # Also while being cancelled: what was half sent is paid for until somebody aborts it.
            await asyncio.shield(asyncio.ensure_future(parts.abort()))
            raise
        return stored

    async def open(self, key: str, *, start: int = 0) -> AsyncIterator[bytes]:
        if not is_key(key):
            raise NotFound
        try:
            with as_refusals():
                reply = await self._client.get_object(**self._place(key), **_from(start))
        except Unavailable as refusal:
            if _says(refusal, "InvalidRange"):  # `start` is past the end: nothing is left to read
                return
            raise
        body = reply["Body"]
        try:
            while True:
                with as_refusals():
                    chunk = await body.read(CHUNK_BYTES)
                if not chunk:
                    return
                yield chunk
        finally:
            body.close()

    async def adopt(self, source: str, key: str, *, size_max: int) -> StoredBytes:
        # Copied first and looked at afterwards: no client was ever given a signature for the new key, so what is read
        # here is what stays. An ETag would not do instead: it is an MD5, for which two contents can be made.
        place = self._place(key)
        if not is_key(source):
            raise NotFound
        origin = self._place(source)
        with as_refusals():
            head = await self._client.head_object(**origin)
        if head["ContentLength"] > size_max:
            raise FileTooLarge(limit=size_max)
        seen = _Seen(size_max)
        try:
            with as_refusals():
                await self._client.copy_object(
                    **place, CopySource=origin, MetadataDirective="REPLACE", ContentType="application/octet-stream"
                )
            async for chunk in self.open(key):
                seen.feed(chunk)
            return seen.described()
        except BaseException:
            await asyncio.shield(asyncio.ensure_future(self._give_up(key)))
            raise

    async def delete(self, key: str) -> None:
        if is_key(key):
            with as_refusals():
                await self._client.delete_object(**self._place(key))

    async def keys(self, *, older_than: datetime) -> AsyncIterator[str]:
        await self.sweep(older_than=older_than)
        async for page in self._pages("list_objects_v2"):
            for found in page.get("Contents", ()):
                key = found["Key"].removeprefix(self._prefix)
                if found["LastModified"] < older_than and is_key(key):
                    yield key

    async def sweep(self, *, older_than: datetime) -> int:
        """Abort the uploads in parts that a killed process had begun before an instant; return how many."""
        aborted = 0
        async for page in self._pages("list_multipart_uploads"):
            for found in page.get("Uploads", ()):
                if found["Initiated"] < older_than:
                    await _abort(self._client, {"Bucket": self._bucket, "Key": found["Key"]}, found["UploadId"])
                    aborted += 1
        return aborted

    async def _pages(self, operation: str) -> AsyncIterator[Any]:
        """Yield the answers to a listing, each of at most 1,000 entries."""
        pages = self._client.get_paginator(operation).paginate(Bucket=self._bucket, Prefix=self._prefix)
        listing = aiter(pages)
        while True:
            with as_refusals():
                page = await anext(listing, None)
            if page is None:
                return
            yield page

    async def _give_up(self, key: str) -> None:
        with suppress(Unavailable):  # left to the sweep of orphans
            await self.delete(key)

    def _place(self, key: str) -> dict[str, str]:
        if not is_key(key):
            raise ValueError(f"not a storage key: {key!r:.200}")
        return {"Bucket": self._bucket, "Key": self._prefix + key}


class S3Check:
    """Whether the bucket answers, and these keys may look at it."""

    name = "storage"
    is_needed = True

    def __init__(self, client: Any, bucket: S3Bucket) -> None:
        self._client = client
        self._bucket = bucket.name

    async def check(self) -> str:
        with as_refusals():
            await self._client.head_bucket(Bucket=self._bucket)
        return "answers"


class _Seen:
    """What has been seen of one file on its way."""

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._size = 0
        self._sha256 = hashlib.sha256()
        self._sniffer = ContentSniffer()

    def feed(self, chunk: bytes) -> None:
        """See the next bytes. Raises FileTooLarge."""
        self._size += len(chunk)
        if self._size > self._size_max:
            raise FileTooLarge(limit=self._size_max)
        self._sha256.update(chunk)
        self._sniffer.feed(chunk)

    def described(self) -> StoredBytes:
        """Return what the whole file is. Raises EmptyFile."""
        if self._size == 0:
            raise EmptyFile
        return StoredBytes(self._size, self._sha256.digest(), self._sniffer.content_type())


class _Parts:
    """A multipart upload, begun with its first part."""

    def __init__(self, client: Any, place: dict[str, str]) -> None:
        self._client = client
        self._place = place
        self._upload_id: str | None = None
        self._sent: list[dict[str, Any]] = []

    @property
    def are_begun(self) -> bool:
        return self._upload_id is not None

    async def send(self, content: bytes) -> None:
        """Send the next part."""
        with as_refusals():
            if self._upload_id is None:
                begun = await self._client.create_multipart_upload(**self._place)
                self._upload_id = begun["UploadId"]
            number = len(self._sent) + 1
            reply = await self._client.upload_part(
                **self._place, UploadId=self._upload_id, PartNumber=number, Body=content
            )
        self._sent.append({"PartNumber": number, "ETag": reply["ETag"]})

    async def complete(self, rest: bytes) -> None:
        """Send what is left and let the store put the parts together."""
        if rest:
            await self.send(rest)
        with as_refusals():
            await self._client.complete_multipart_upload(
                **self._place, UploadId=self._upload_id, MultipartUpload={"Parts": self._sent}
            )

    async def abort(self) -> None:
        """Let the store forget the parts; what cannot be reached now is left to the sweep."""
        if self._upload_id is not None:
            with suppress(Unavailable):
                await _abort(self._client, self._place, self._upload_id)


async def _abort(client: Any, place: dict[str, str], upload_id: str) -> None:
    try:
        with as_refusals():
            await client.abort_multipart_upload(**place, UploadId=upload_id)
    except Unavailable as refusal:
        if not _says(refusal, "NoSuchUpload"):  # completed or aborted meanwhile: all fine
            raise


def _from(start: int) -> dict[str, str]:
    return {"Range": f"bytes={start}-"} if start else {}


def _says(refusal: Exception, code: str) -> bool:
    """Tell whether the store gave this reason for a refusal."""
    return isinstance(refusal.__cause__, ClientError) and error_code(refusal.__cause__) == code
