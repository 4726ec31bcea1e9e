"""What every store of files keeps."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime

import pytest

from application.core.files.storage import ObjectStorage, StoredBytes
from domain.core.files.file import EmptyFile, FileTooLarge
from domain.core.kernel.errors import NotFound

KEY = "student/019cae6b-6600-7000-8000-000000000001/019cae6b-6600-7000-8000-000000000002"
MIB = 1024 * 1024
LONG_AGO = datetime(1990, 1, 1, tzinfo=UTC)
FAR_AHEAD = datetime(2190, 1, 1, tzinfo=UTC)

HOSTILE_KEYS = [
    "",
    ".",
    "..",
    "/",
    "/etc/passwd",
    "../outside",
    "a/../../outside",
    "a/./b",
    "a//b",
    "a/",
    "a/..",
    "..\\outside",
    "a\\b",
    "C:/x",
    "a\x00b",
    "a/\x00",
    "a\nb",
    "%2e%2e/outside",
    "\u2025/outside",
    "\ud800",
    ".hidden",
    "~root",
    "a=",
    "x" * 2000,
    "/".join("x" * 30),
    "a/" * 500 + "a",
]


async def in_chunks(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def content_of(storage: ObjectStorage, key: str, *, start: int = 0) -> bytes:
    return b"".join([chunk async for chunk in storage.open(key, start=start)])


async def keys_of(storage: ObjectStorage) -> list[str]:
    return sorted([key async for key in storage.keys(older_than=FAR_AHEAD)])


class Source:
    """Hands out chunks, counts what was asked of it, and fails where it is told to."""

    def __init__(self, chunks: Iterable[bytes], *, then: BaseException | None = None) -> None:
        self._chunks = chunks
        self._then = then
        self.bytes_read = 0

    async def stream(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self.bytes_read += len(chunk)
            yield chunk
        if self._then is not None:
            raise self._then


class ObjectStorageContract:
    async def test_what_was_put_is_read_back_and_described(self, storage: ObjectStorage) -> None:
        stored = await storage.put(KEY, in_chunks(b"%PDF-1.7\n", b"", b"body"), size_max=100)
        assert stored == StoredBytes(13, hashlib.sha256(b"%PDF-1.7\nbody").digest(), "application/pdf")
        assert await content_of(storage, KEY) == b"%PDF-1.7\nbody"

    async def test_a_large_file_comes_back_whole_in_small_chunks(self, storage: ObjectStorage) -> None:
        content = bytes(range(256)) * 4096 * 2 + b"end"
        sent = [content[at : at + 50_000] for at in range(0, len(content), 50_000)]
        stored = await storage.put(KEY, in_chunks(*sent), size_max=len(content))
        received = [chunk async for chunk in storage.open(KEY)]
        assert stored.size == len(content)
        assert b"".join(received) == content
        assert max(len(chunk) for chunk in received) <= 64 * 1024

    @pytest.mark.parametrize(("start", "expected"), [(0, b"0123456789"), (4, b"456789"), (10, b""), (99, b"")])
    async def test_reading_can_start_anywhere(self, storage: ObjectStorage, start: int, expected: bytes) -> None:
        await storage.put(KEY, in_chunks(b"0123456789"), size_max=10)
        assert await content_of(storage, KEY, start=start) == expected

    async def test_a_file_of_exactly_the_limit_is_kept(self, storage: ObjectStorage) -> None:
        assert (await storage.put(KEY, in_chunks(b"x" * 1000), size_max=1000)).size == 1000

    async def test_one_byte_over_the_limit_is_refused_and_leaves_nothing(self, storage: ObjectStorage) -> None:
        with pytest.raises(FileTooLarge):
            await storage.put(KEY, in_chunks(b"x" * 1000, b"x"), size_max=1000)
        assert await keys_of(storage) == []
        with pytest.raises(NotFound):
            await content_of(storage, KEY)

    async def test_an_endless_source_is_read_to_64_kib_past_the_limit_at_most(self, storage: ObjectStorage) -> None:
        source = Source(b"x" * 16_384 for _ in range(10_000))
        with pytest.raises(FileTooLarge):
            await storage.put(KEY, source.stream(), size_max=MIB)
        assert MIB < source.bytes_read <= MIB + 64 * 1024
        assert await keys_of(storage) == []

    async def test_a_file_without_bytes_is_refused(self, storage: ObjectStorage) -> None:
        for chunks in ((), (b"", b"")):
            with pytest.raises(EmptyFile):
                await storage.put(KEY, in_chunks(*chunks), size_max=1000)
        assert await keys_of(storage) == []

    @pytest.mark.parametrize("sent_bytes", [10, 2 * MIB])
    async def test_a_source_that_fails_leaves_nothing_and_its_error_is_passed_on(
        self, storage: ObjectStorage, sent_bytes: int
    ) -> None:
        failure = ConnectionResetError("the client went away")
        source = Source([b"x" * 10] * (sent_bytes // 10), then=failure)
        with pytest.raises(ConnectionResetError) as raised:
            await storage.put(KEY, source.stream(), size_max=4 * MIB)
        assert raised.value is failure
        assert await keys_of(storage) == []

    async def test_a_put_that_is_cancelled_leaves_nothing(self, storage: ObjectStorage) -> None:
        waiting = asyncio.Event()

        async def stalled() -> AsyncIterator[bytes]:
            yield b"x" * MIB
            waiting.set()
            await asyncio.Event().wait()

        putting = asyncio.create_task(storage.put(KEY, stalled(), size_max=4 * MIB))
        await waiting.wait()
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting
        assert await keys_of(storage) == []

    async def test_nothing_can_be_read_before_put_has_returned(self, storage: ObjectStorage) -> None:
        async def looking_in_between() -> AsyncIterator[bytes]:
            yield b"x" * MIB
            with pytest.raises(NotFound):
                await content_of(storage, KEY)
            assert await keys_of_without_sweep(storage) == []
            yield b"y"

        await storage.put(KEY, looking_in_between(), size_max=4 * MIB)
        assert await content_of(storage, KEY) == b"x" * MIB + b"y"

    async def test_a_failed_second_put_leaves_the_first_file_as_it_was(self, storage: ObjectStorage) -> None:
        await storage.put(KEY, in_chunks(b"first"), size_max=100)
        with pytest.raises(FileTooLarge):
            await storage.put(KEY, in_chunks(b"second" * 100), size_max=100)
        assert await content_of(storage, KEY) == b"first"

    async def test_a_second_put_replaces_the_whole_file(self, storage: ObjectStorage) -> None:
        await storage.put(KEY, in_chunks(b"a long first file"), size_max=100)
        await storage.put(KEY, in_chunks(b"short"), size_max=100)
        assert await content_of(storage, KEY) == b"short"

    async def test_a_deleted_file_is_gone_and_its_neighbours_stay(self, storage: ObjectStorage) -> None:
        for key in ("a/b/one", "a/b/two", "a/c"):
            await storage.put(key, in_chunks(key.encode()), size_max=100)
        await storage.delete("a/b/one")
        await storage.delete("a/b/one")
        await storage.delete("never/there")
        assert await keys_of(storage) == ["a/b/two", "a/c"]
        with pytest.raises(NotFound):
            await content_of(storage, "a/b/one")
        await storage.put("a/b/one", in_chunks(b"again"), size_max=100)
        assert await content_of(storage, "a/b/one") == b"again"

    async def test_a_key_may_be_the_beginning_of_another(self, storage: ObjectStorage) -> None:
        for key in ("a/b/c", "a/b", "a", "a/b/c/d"):
            await storage.put(key, in_chunks(key.encode()), size_max=100)
        await storage.delete("a/b")
        assert await keys_of(storage) == ["a", "a/b/c", "a/b/c/d"]
        assert await content_of(storage, "a/b/c/d") == b"a/b/c/d"

    async def test_keys_are_those_stored_before_an_instant(self, storage: ObjectStorage) -> None:
        await storage.put(KEY, in_chunks(b"x"), size_max=1)
        assert [key async for key in storage.keys(older_than=LONG_AGO)] == []
        assert [key async for key in storage.keys(older_than=FAR_AHEAD)] == [KEY]

    async def test_keys_can_be_deleted_while_they_are_listed(self, storage: ObjectStorage) -> None:
        for number in range(30):
            await storage.put(f"orphan/{number}", in_chunks(b"x"), size_max=1)
        async for key in storage.keys(older_than=FAR_AHEAD):
            await storage.delete(key)
        assert await keys_of(storage) == []

    @pytest.mark.parametrize("key", HOSTILE_KEYS)
    async def test_a_key_that_is_none_can_neither_be_written_nor_read(self, storage: ObjectStorage, key: str) -> None:
        await storage.put("neighbour", in_chunks(b"stays"), size_max=100)
        source = Source([b"evil"])
        with pytest.raises(ValueError, match="not a storage key"):
            await storage.put(key, source.stream(), size_max=100)
        with pytest.raises(NotFound):
            await content_of(storage, key)
        await storage.delete(key)
        assert source.bytes_read == 0
        assert await keys_of(storage) == ["neighbour"]

    async def test_what_is_adopted_is_described_and_kept_whatever_becomes_of_its_source(
        self, storage: ObjectStorage
    ) -> None:
        await storage.put("pending/one", in_chunks(b"%PDF-1.7\nbody"), size_max=100)
        adopted = await storage.adopt("pending/one", KEY, size_max=13)
        assert adopted == StoredBytes(13, hashlib.sha256(b"%PDF-1.7\nbody").digest(), "application/pdf")
        await storage.put("pending/one", in_chunks(b"swapped after"), size_max=100)
        assert await content_of(storage, KEY) == b"%PDF-1.7\nbody"
        await storage.delete("pending/one")
        assert await content_of(storage, KEY) == b"%PDF-1.7\nbody"

    async def test_what_is_not_there_or_too_large_is_not_adopted(self, storage: ObjectStorage) -> None:
        await storage.put("pending/one", in_chunks(b"0123456789"), size_max=100)
        with pytest.raises(NotFound):
            await storage.adopt("pending/two", KEY, size_max=100)
        with pytest.raises(FileTooLarge):
            await storage.adopt("pending/one", KEY, size_max=9)
        for hostile in HOSTILE_KEYS[:8]:
            with pytest.raises(NotFound):
                await storage.adopt(hostile, KEY, size_max=100)
            with pytest.raises(ValueError, match="not a storage key"):
                await storage.adopt("pending/one", hostile, size_max=100)
        assert await keys_of(storage) == ["pending/one"]

    async def test_files_put_at_the_same_time_do_not_mix(self, storage: ObjectStorage) -> None:
        async def put(number: int) -> StoredBytes:
            return await storage.put(f"p/{number}", in_chunks(*[bytes([number]) * 40_000] * 20), size_max=MIB)

        stored = await asyncio.gather(*(put(number) for number in range(12)))
        assert {each.size for each in stored} == {800_000}
        for number in range(12):
            assert await content_of(storage, f"p/{number}") == bytes([number]) * 800_000

    async def test_a_reader_that_stops_early_disturbs_nobody(self, storage: ObjectStorage) -> None:
        await storage.put(KEY, in_chunks(b"x" * MIB), size_max=MIB)
        async for chunk in storage.open(KEY):
            assert chunk == b"x" * len(chunk)
            break
        assert len(await content_of(storage, KEY)) == MIB


async def keys_of_without_sweep(storage: ObjectStorage) -> list[str]:
    """Return the keys while an upload is under way: a sweep into the future would take its bytes for a leftover."""
    return [key async for key in storage.keys(older_than=LONG_AGO)]
