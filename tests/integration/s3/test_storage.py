"""Files in a real bucket."""

import asyncio
import hashlib
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.core.files.file import FileTooLarge
from domain.core.kernel.errors import NotFound, Unavailable
from infrastructure.s3.connection import S3Bucket, S3Clients, open_s3
from infrastructure.s3.storage import PART_BYTES, S3Check, S3ObjectStorage
from tests.contract.core.object_storage import FAR_AHEAD, KEY, MIB, ObjectStorageContract, content_of, in_chunks
from tests.faults.processes import free_port


async def parts_left(clients: S3Clients, bucket: S3Bucket) -> int:
    listed = await clients.own.list_multipart_uploads(Bucket=bucket.name)
    return len(listed.get("Uploads", ()))


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 65_536


class SwapsAfterCopying:
    """A client in whose hands the source of a copy changes as soon as it was copied."""

    def __init__(self, client: Any, content: bytes) -> None:
        self._client = client
        self._content = content

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._client, operation)

    async def copy_object(self, *, CopySource: dict[str, str], **arguments: Any) -> Any:  # noqa: N803 - S3's name
        reply = await self._client.copy_object(CopySource=CopySource, **arguments)
        await self._client.put_object(**CopySource, Body=self._content)
        return reply


class TestS3ObjectStorage(ObjectStorageContract):
    @pytest.fixture
    def storage(self, shared_clients: S3Clients, bucket: S3Bucket) -> S3ObjectStorage:
        return S3ObjectStorage(shared_clients.own, bucket)

    async def test_a_file_of_several_parts_comes_back_whole(
        self, storage: S3ObjectStorage, shared_clients: S3Clients, bucket: S3Bucket
    ) -> None:
        content = b"".join(bytes([number]) * MIB for number in range(11)) + b"end"
        sent = [content[at : at + 100_000] for at in range(0, len(content), 100_000)]
        stored = await storage.put(KEY, in_chunks(*sent), size_max=len(content))
        assert stored.size == len(content) > 2 * PART_BYTES
        head = await shared_clients.own.head_object(Bucket=bucket.name, Key=bucket.prefix + KEY)
        assert head["ETag"].endswith('-3"')
        assert await content_of(storage, KEY) == content
        assert await content_of(storage, KEY, start=len(content) - 4) == b"\x0aend"
        assert (await storage.adopt(KEY, "a/copy", size_max=len(content))) == stored
        assert await parts_left(shared_clients, bucket) == 0

    async def test_what_is_refused_or_cut_after_some_parts_leaves_no_parts(
        self, storage: S3ObjectStorage, shared_clients: S3Clients, bucket: S3Bucket
    ) -> None:
        with pytest.raises(FileTooLarge):
            await storage.put(KEY, endless(), size_max=PART_BYTES + MIB)

        begun = asyncio.Event()

        async def stalled() -> AsyncIterator[bytes]:
            yield b"x" * PART_BYTES
            begun.set()
            await asyncio.Event().wait()

        putting = asyncio.create_task(storage.put(KEY, stalled(), size_max=4 * PART_BYTES))
        await begun.wait()
        assert await parts_left(shared_clients, bucket) == 1
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting
        assert await parts_left(shared_clients, bucket) == 0
        assert [key async for key in storage.keys(older_than=FAR_AHEAD)] == []

    async def test_parts_of_a_killed_process_are_swept_and_young_ones_stay(
        self, storage: S3ObjectStorage, shared_clients: S3Clients, bucket: S3Bucket
    ) -> None:
        await shared_clients.own.create_multipart_upload(Bucket=bucket.name, Key=bucket.prefix + KEY)
        assert await storage.sweep(older_than=datetime.now(UTC) - timedelta(hours=24)) == 0
        assert await parts_left(shared_clients, bucket) == 1
        assert [key async for key in storage.keys(older_than=FAR_AHEAD)] == []
        assert await parts_left(shared_clients, bucket) == 0

    async def test_what_stands_outside_the_prefix_is_nobodys_business(
        self, storage: S3ObjectStorage, shared_clients: S3Clients, bucket: S3Bucket
    ) -> None:
        other = S3ObjectStorage(shared_clients.own, replace(bucket, prefix="other/"))
        await other.put(KEY, in_chunks(b"theirs"), size_max=10)
        await shared_clients.own.put_object(Bucket=bucket.name, Key=f"{bucket.prefix}..odd key", Body=b"x")
        await shared_clients.own.create_multipart_upload(Bucket=bucket.name, Key=f"other/{KEY}")
        assert [key async for key in storage.keys(older_than=FAR_AHEAD)] == []
        assert await parts_left(shared_clients, bucket) == 1
        assert await content_of(other, KEY) == b"theirs"

    async def test_a_process_holds_a_part_of_a_file_and_not_the_file(self, storage: S3ObjectStorage) -> None:
        async def long() -> AsyncIterator[bytes]:
            for _ in range(24 * 16):
                yield b"x" * 65_536

        await storage.put("warm/up", in_chunks(b"x"), size_max=10)
        tracemalloc.start()
        try:
            await storage.put(KEY, long(), size_max=24 * MIB)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 4 * PART_BYTES

    async def test_what_is_swapped_while_it_is_adopted_is_neither_described_nor_kept(
        self, storage: S3ObjectStorage, shared_clients: S3Clients, bucket: S3Bucket
    ) -> None:
        await storage.put("pending/one", in_chunks(b"0123456789"), size_max=10)
        swapping = S3ObjectStorage(SwapsAfterCopying(shared_clients.own, b"<script>x!"), bucket)
        adopted = await swapping.adopt("pending/one", KEY, size_max=10)
        assert await content_of(storage, "pending/one") == b"<script>x!"
        assert await content_of(storage, KEY) == b"0123456789"
        assert adopted.sha256 == hashlib.sha256(b"0123456789").digest()
        assert adopted.content_type == "text/plain"

    async def test_the_check_answers_for_the_bucket_and_for_no_other(
        self, shared_clients: S3Clients, bucket: S3Bucket
    ) -> None:
        assert await S3Check(shared_clients.own, bucket).check() == "answers"
        with pytest.raises(NotFound):
            await S3Check(shared_clients.own, replace(bucket, name="soko-not-there")).check()


async def test_a_store_that_does_not_answer_is_unavailable(bucket: S3Bucket) -> None:
    async with open_s3(replace(bucket, endpoint_url=f"http://127.0.0.1:{free_port()}")) as clients:
        storage = S3ObjectStorage(clients.own, bucket)
        with pytest.raises(Unavailable):
            await storage.put(KEY, in_chunks(b"x"), size_max=10)
