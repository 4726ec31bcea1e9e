import asyncio
import os
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from domain.core.kernel.errors import NotFound, Unavailable
from infrastructure.local.disk_storage import DiskObjectStorage
from tests.contract.core.object_storage import KEY, MIB, ObjectStorageContract, content_of, in_chunks, keys_of


def everything_under(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


class TestDiskObjectStorage(ObjectStorageContract):
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "files"

    @pytest.fixture
    def storage(self, root: Path) -> DiskObjectStorage:
        return DiskObjectStorage(root)

    async def test_another_process_finds_what_this_one_stored(self, storage: DiskObjectStorage, root: Path) -> None:
        await storage.put(KEY, in_chunks(b"kept"), size_max=10)
        assert await content_of(DiskObjectStorage(root), KEY) == b"kept"

    async def test_nothing_is_left_in_incoming_and_no_empty_directory_stays(
        self, storage: DiskObjectStorage, root: Path
    ) -> None:
        await storage.put("a/b/c", in_chunks(b"x"), size_max=10)
        assert everything_under(root) == ["incoming", "objects", "objects/a", "objects/a/b", "objects/a/b/c="]
        await storage.delete("a/b/c")
        assert everything_under(root) == ["incoming", "objects"]

    async def test_others_on_the_machine_cannot_read_a_file(self, storage: DiskObjectStorage, root: Path) -> None:
        await storage.put("a/b", in_chunks(b"x"), size_max=10)
        assert (root / "objects/a/b=").stat().st_mode & 0o777 == 0o600
        assert (root / "objects").stat().st_mode & 0o007 == 0

    async def test_a_link_in_the_place_of_a_file_is_not_followed(
        self, storage: DiskObjectStorage, root: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "secret").write_bytes(b"secret")
        (root / "objects/link=").symlink_to(tmp_path / "secret")
        with pytest.raises(NotFound):
            await content_of(storage, "link")
        assert await keys_of(storage) == []
        await storage.put("link", in_chunks(b"new"), size_max=10)
        assert (tmp_path / "secret").read_bytes() == b"secret"
        assert await content_of(storage, "link") == b"new"

    async def test_a_link_in_the_place_of_a_directory_is_not_followed(
        self, storage: DiskObjectStorage, root: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside/secret=").write_bytes(b"secret")
        (root / "objects/out").symlink_to(tmp_path / "outside")
        with pytest.raises(NotFound):
            await content_of(storage, "out/secret")
        with pytest.raises(Unavailable):
            await storage.put("out/new", in_chunks(b"x"), size_max=10)
        await storage.delete("out/secret")
        assert everything_under(tmp_path / "outside") == ["secret="]
        assert everything_under(root / "incoming") == []

    async def test_leftovers_of_a_killed_process_are_swept_and_young_ones_stay(
        self, storage: DiskObjectStorage, root: Path
    ) -> None:
        day_ago = datetime.now(UTC) - timedelta(hours=24)
        for name, age in (("old.part", timedelta(hours=25)), ("young.part", timedelta(hours=1))):
            (root / "incoming" / name).write_bytes(b"half")
            at = (datetime.now(UTC) - age).timestamp()
            os.utime(root / "incoming" / name, (at, at))
        assert [key async for key in storage.keys(older_than=day_ago)] == []
        assert everything_under(root / "incoming") == ["young.part"]

    async def test_a_disk_that_cannot_be_written_is_unavailable_and_leaves_nothing(
        self, storage: DiskObjectStorage, root: Path
    ) -> None:
        (root / "incoming").rmdir()
        with pytest.raises(Unavailable):
            await storage.put(KEY, in_chunks(b"x"), size_max=10)
        assert await keys_of_objects(root) == []

    async def test_a_put_cancelled_at_any_moment_leaves_no_part_behind(
        self, storage: DiskObjectStorage, root: Path
    ) -> None:
        for turns in range(0, 60, 3):
            putting = asyncio.create_task(storage.put(f"k/{turns}", in_chunks(*[b"x" * 100_000] * 10), size_max=MIB))
            for _ in range(turns):
                await asyncio.sleep(0)
            putting.cancel()
            await asyncio.gather(putting, return_exceptions=True)
            assert everything_under(root / "incoming") == []

    async def test_uploads_and_deletes_in_one_directory_do_not_trip_over_each_other(
        self, storage: DiskObjectStorage
    ) -> None:
        async def come_and_go(number: int) -> None:
            for _ in range(15):
                await storage.put(f"shared/dir/{number}", in_chunks(b"x"), size_max=10)
                await storage.delete(f"shared/dir/{number}")

        await asyncio.gather(*(come_and_go(number) for number in range(8)))
        assert await keys_of(storage) == []

    async def test_the_event_loop_is_never_the_thread_that_touches_the_disk(
        self, storage: DiskObjectStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: set[int] = set()
        real_open, real_fsync, real_unlink = os.open, os.fsync, os.unlink

        def watched_open(*args: object, **kwargs: object) -> int:
            seen.add(threading.get_ident())
            return real_open(*args, **kwargs)  # type: ignore[arg-type]

        def watched_fsync(descriptor: int) -> None:
            seen.add(threading.get_ident())
            real_fsync(descriptor)

        def watched_unlink(*args: object, **kwargs: object) -> None:
            seen.add(threading.get_ident())
            real_unlink(*args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "open", watched_open)
        monkeypatch.setattr(os, "fsync", watched_fsync)
        monkeypatch.setattr(os, "unlink", watched_unlink)
        await storage.put(KEY, in_chunks(b"x" * MIB), size_max=MIB)
        await content_of(storage, KEY)
        await storage.delete(KEY)
        assert seen
        assert threading.get_ident() not in seen

    async def test_memory_does_not_grow_with_the_file(self, storage: DiskObjectStorage) -> None:
        import tracemalloc

        async def many() -> AsyncIterator[bytes]:
            for _ in range(320):
                yield bytes(64 * 1024)

        tracemalloc.start()
        try:
            await storage.put(KEY, many(), size_max=20 * MIB)
            size = 0
            async for chunk in storage.open(KEY):
                size += len(chunk)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert size == 20 * MIB
        assert peak_bytes < 3 * MIB


async def keys_of_objects(root: Path) -> list[str]:
    return everything_under(root / "objects")
