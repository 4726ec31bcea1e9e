"""Files on the local disk: the storage of a single machine.

Layout under the root: `objects/<key>=` for what is stored and `incoming/` for what is still being received. The two are
on one filesystem, so that a file appears under its key by one rename, whole and on the disk. The `=`, which no key
contains, keeps a file apart from a directory of the same name.
"""

import asyncio
import errno
import hashlib
import os
import stat
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import ParamSpec, TypeVar

from application.core.files.storage import StoredBytes, is_key
from domain.core.files.file import EmptyFile, FileTooLarge
from domain.core.kernel.errors import NotFound, Unavailable
from infrastructure.content_types.sniffer import ContentSniffer

CHUNK_BYTES = 64 * 1024
"""The largest piece that is handed out."""
BATCH_BYTES = 256 * 1024
"""Read or written in one turn of a thread; a turn costs some 50 us, a small file is one or two of them."""
KEYS_BATCH = 500
_SUFFIX = "="
_MOVE_TRIES = 20

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class DiskObjectStorage:
    """Keeps files under a directory, which is made if it is missing.

    A full or broken disk raises Unavailable.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root.resolve()
        self._objects = self._root / "objects"
        self._incoming = self._root / "incoming"
        self._objects.mkdir(mode=0o750, exist_ok=True)
        self._incoming.mkdir(mode=0o750, exist_ok=True)

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, size_max: int) -> StoredBytes:
        path = self._path(key)
        if path is None:
            raise ValueError(f"not a storage key: {key!r:.200}")
        upload = _Upload(self._incoming)
        try:
            waiting: list[bytes] = []
            waiting_bytes = size = 0
            async for chunk in chunks:
                size += len(chunk)
                if size > size_max:
                    raise FileTooLarge(limit=size_max)
                waiting.append(chunk)
                waiting_bytes += len(chunk)
                if waiting_bytes >= BATCH_BYTES:
                    await _in_thread(upload.write, waiting)
                    waiting, waiting_bytes = [], 0
            if size == 0:
                raise EmptyFile
            return await _in_thread(upload.finish, waiting, path, self._objects)
        except BaseException:
            # Also while being cancelled: what was half received must not outlive the request.
            await asyncio.shield(asyncio.ensure_future(_in_thread(upload.discard)))
            raise

    async def open(self, key: str, *, start: int = 0) -> AsyncIterator[bytes]:
        path = self._path(key)
        if path is None:
            raise NotFound
        download = await _in_thread(_Download, path, start)
        try:
            while batch := await _in_thread(download.read):
                for at in range(0, len(batch), CHUNK_BYTES):
                    yield batch[at : at + CHUNK_BYTES]
        finally:
            # Not awaited: a generator that is thrown away must not wait, and the thread may be reading still.
            asyncio.get_running_loop().run_in_executor(None, download.close)

    async def adopt(self, source: str, key: str, *, size_max: int) -> StoredBytes:
        return await self.put(key, self.open(source), size_max=size_max)

    async def delete(self, key: str) -> None:
        path = self._path(key)
        if path is not None:
            await _in_thread(self._remove, path)

    async def keys(self, *, older_than: datetime) -> AsyncIterator[str]:
        await self.sweep(older_than=older_than)
        found = self._stored_before(older_than.timestamp())
        while batch := await _in_thread(lambda: list(islice(found, KEYS_BATCH))):
            for key in batch:
                yield key

    async def sweep(self, *, older_than: datetime) -> int:
        """Remove what a killed process had begun to receive and not touched since an instant; return how many."""
        before = older_than.timestamp()

        def remove() -> int:
            removed = 0
            for path in self._incoming.iterdir():
                try:
                    if path.lstat().st_mtime < before:
                        path.unlink()
                        removed += 1
                except FileNotFoundError:  # finished or swept by another process just now
                    continue
            return removed

        return await _in_thread(remove)

    def _path(self, key: str) -> Path | None:
        """Return where the bytes of a key stand, None for what is no key."""
        if not is_key(key):
            return None
        return self._objects / f"{key}{_SUFFIX}"

    def _remove(self, path: Path) -> None:
        if not _is_real(path.parent):
            return
        path.unlink(missing_ok=True)
        for directory in path.parents:
            if directory == self._objects:
                break
            try:
                directory.rmdir()
            except OSError:  # not empty, or filled or removed by another process: all fine
                break

    def _stored_before(self, before: float) -> Iterator[str]:
        for directory, _, names in os.walk(self._objects):
            for name in names:
                path = Path(directory, name)
                try:
                    status = path.lstat()
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(status.st_mode) and status.st_mtime < before and name.endswith(_SUFFIX):
                    yield path.relative_to(self._objects).as_posix().removesuffix(_SUFFIX)


class _Upload:
    """One file on its way in. Its methods run in threads; the lock orders them when a caller gives up midway."""

    def __init__(self, incoming: Path) -> None:
        self._incoming = incoming
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        self._path: Path | None = None
        self._is_discarded = False
        self._sha256 = hashlib.sha256()
        self._sniffer = ContentSniffer()
        self._size = 0

    def write(self, chunks: list[bytes]) -> None:
        with self._lock:
            self._append(chunks)

    def finish(self, chunks: list[bytes], path: Path, objects: Path) -> StoredBytes:
        """Write the rest, put all of it on the disk and give it its name."""
        with self._lock:
            self._append(chunks)
            assert self._file is not None, "a file without bytes is refused before"
            assert self._path is not None
            os.fsync(self._file.fileno())
            self._file.close()
            _move(self._path, path, objects)
            self._path = None
            return StoredBytes(self._size, self._sha256.digest(), self._sniffer.content_type())

    def discard(self) -> None:
        """Close the file and remove what was not finished."""
        with self._lock:
            self._is_discarded = True
            if self._file is not None:
                self._file.close()
            if self._path is not None:
                self._path.unlink(missing_ok=True)

    def _append(self, chunks: list[bytes]) -> None:
        if self._is_discarded:  # this thread was started just before the caller gave up, and came second
            raise InterruptedError
        if self._file is None:
            descriptor, name = tempfile.mkstemp(dir=self._incoming, suffix=".part")
            self._path, self._file = Path(name), FileIO(descriptor, "wb")
        batch = b"".join(chunks)
        rest = memoryview(batch)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._sha256.update(batch)
        self._sniffer.feed(batch)
        self._size += len(batch)


class _Download:
    """One file on its way out. Raises NotFound when there is none, or when a link stands in its place."""

    def __init__(self, path: Path, start: int) -> None:
        if not _is_real(path.parent):
            raise NotFound
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise NotFound from error
            raise
        self._file = FileIO(descriptor, "rb")
        self._lock = threading.Lock()
        self._file.seek(start)

    def read(self) -> bytes:
        with self._lock:
            return self._file.read(BATCH_BYTES)

    def close(self) -> None:
        with self._lock:
            self._file.close()


def _move(source: Path, path: Path, objects: Path) -> None:
    """Rename a file to its place and put every directory on the way on the disk.

    An emptied directory may be removed by another process between its making and the rename, hence the tries.
    """
    for left in reversed(range(_MOVE_TRIES)):
        try:
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            if not _is_real(path.parent):
                raise Unavailable
            source.rename(path)
            break
        except (FileNotFoundError, FileExistsError):  # mkdir says the latter of a directory that went meanwhile
            if left == 0:
                raise
    for directory in path.parents:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if directory == objects:
            break


def _is_real(directory: Path) -> bool:
    """Tell whether no part of a directory's path is a link to somewhere else."""
    return os.path.realpath(directory) == str(directory)


async def _in_thread(work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except OSError as error:
        raise Unavailable from error
