"""One file that holds a backup: an ordinary tar, followed by a digest, or sealed with a key.

Without a key: the bytes of the tar, then `SOKOEND1` and the SHA-256 of those bytes. Every tar program lists and unpacks
it. With a key: `SOKOENC1`, 16 bytes of salt and 7 of nonce, then AES-256-GCM in frames of 256 KiB, where the nonce
counts the frames and marks the last (the STREAM construction), so that none can be cut, repeated or moved. In both, a
file that was cut short or of which one bit differs is refused.

A file appears under its name whole or not at all: it is written beside it and renamed once it is on the disk.
"""

import hashlib
import os
import secrets
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, BinaryIO, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from application.core.operations.backup import BackupRefused

SEALED: Final = b"SOKOENC1"
END: Final = b"SOKOEND1"
SALT_BYTES: Final = 16
NONCE_BYTES: Final = 7
TAG_BYTES: Final = 16
DIGEST_BYTES: Final = 32
FRAME_BYTES: Final = 256 * 1024
_MEMBER_MODE: Final = 0o600


class ArchiveRefused(BackupRefused):
    """The file cannot be used as a backup; the message says why."""


class _Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...

    def finish(self) -> None: ...


class ArchiveWriter:
    """Adds parts to an archive that is being written."""

    def __init__(self, sink: _Sink) -> None:
        self._tar = tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT)  # type: ignore[call-overload]  # noqa: SIM115  closed by `written_archive`; a stream is written and never read

    def add(self, name: str, content: bytes) -> None:
        """Add a part from memory."""
        self.add_stream(name, BytesIO(content), len(content))

    def add_stream(self, name: str, content: IO[bytes], size: int) -> None:
        """Add a part of `size` bytes, read from where the stream stands."""
        part = tarfile.TarInfo(name)
        part.size, part.mode = size, _MEMBER_MODE
        self._tar.addfile(part, content)

    def close(self) -> None:
        """Write the end of the tar."""
        self._tar.close()


@contextmanager
def written_archive(path: Path, key: str) -> Iterator[ArchiveWriter]:
    """Give the writer of a new archive, readable by its owner only; nothing is left where the block raises.

    An empty `key` leaves it plain. Raises ArchiveRefused where the name is taken, OSError.
    """
    if path.exists():
        raise ArchiveRefused(f"{path} exists already; name another file")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            sink: _Sink = _SealingSink(file, key) if key else _DigestingSink(file)
            writer = ArchiveWriter(sink)
            try:
                yield writer
            finally:
                writer.close()  # also where the block failed: it must not write after the file is closed
            sink.finish()
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(unfinished)  # a rename would replace what another process put there meanwhile
        except FileExistsError as error:
            raise ArchiveRefused(f"{path} exists already; name another file") from error
        except OSError:  # a filesystem without links, such as FAT
            unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def parts_of(path: Path, key: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the name and the content of each part, in their order; read each before asking for the next.

    With a `key` only what was sealed with it is read.
    Only when the last has been yielded is it known that the whole is as it was written. Raises ArchiveRefused.
    """
    try:
        with path.open("rb") as file:
            source = _opened(file, path, key)
            with tarfile.open(fileobj=source, mode="r|") as tar:  # type: ignore[call-overload]  # a stream is read and never written
                for part in tar:
                    content = tar.extractfile(part)
                    if content is not None:
                        yield part.name, content
            while source.read(FRAME_BYTES):  # what follows the end of the tar is covered as well
                continue
    except FileNotFoundError as error:
        raise ArchiveRefused(f"{path}: there is no such file") from error
    except (OSError, tarfile.TarError, EOFError) as error:
        raise ArchiveRefused(f"{path} is damaged or is no backup of Soko: {error}") from error


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _opened(file: BinaryIO, path: Path, key: str) -> _Source:
    size = os.fstat(file.fileno()).st_size
    start = file.read(len(SEALED))
    if start == SEALED:
        if not key:
            raise ArchiveRefused(f"{path} is encrypted; set SOKO_BACKUP_KEY to the key that it was made with")
        return _UnsealingSource(file, path, key, size)
    if key:  # a digest proves nothing about who wrote it: whoever can put a file there could put his rows into ours
        raise ArchiveRefused(
            f"{path} is not encrypted, and SOKO_BACKUP_KEY is set; unset it if you know who wrote the file"
        )
    file.seek(0)
    return _CheckedSource(file, path, size)


# --- plain, with a digest at its end


class _DigestingSink:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()

    def write(self, data: bytes, /) -> int:
        self._sha256.update(data)
        return self._file.write(data)

    def finish(self) -> None:
        self._file.write(END + self._sha256.digest())


class _CheckedSource:
    def __init__(self, file: BinaryIO, path: Path, size: int) -> None:
        self._file = file
        self._path = path
        self._left = size - len(END) - DIGEST_BYTES
        self._sha256 = hashlib.sha256()
        if self._left <= 0:
            raise ArchiveRefused(f"{path} is no backup of Soko, or was cut short")

    def read(self, size: int, /) -> bytes:
        if not self._left:
            return b""
        data = self._file.read(min(size, self._left))
        self._sha256.update(data)
        self._left -= len(data)
        if not self._left or not data:
            self._check_end()
        return data

    def _check_end(self) -> None:
        trailer = self._file.read(len(END) + DIGEST_BYTES)
        if trailer[: len(END)] != END:
            raise ArchiveRefused(f"{self._path} is no backup of Soko, or was cut short")
        if trailer[len(END) :] != self._sha256.digest():
            raise ArchiveRefused(f"{self._path} is damaged: its bytes are not those that were written")


# --- sealed with a key


def _cipher(key: str, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), length=32, salt=salt, info=b"soko backup").derive(key.encode()))


def _nonce(prefix: bytes, number: int, *, is_last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([is_last])


class _SealingSink:
    def __init__(self, file: BinaryIO, key: str) -> None:
        salt, self._prefix = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
        self._file = file
        self._cipher = _cipher(key, salt)
        self._head = SEALED + salt + self._prefix
        self._waiting = bytearray()
        self._number = 0
        file.write(self._head)

    def write(self, data: bytes, /) -> int:
        self._waiting += data
        while len(self._waiting) > FRAME_BYTES:  # a full one waits, since it may be the last
            self._seal(bytes(self._waiting[:FRAME_BYTES]), is_last=False)
            del self._waiting[:FRAME_BYTES]
        return len(data)

    def finish(self) -> None:
        self._seal(bytes(self._waiting), is_last=True)

    def _seal(self, frame: bytes, *, is_last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._prefix, self._number, is_last=is_last), frame, self._head))
        self._number += 1


class _UnsealingSource:
    def __init__(self, file: BinaryIO, path: Path, key: str, size: int) -> None:
        rest = file.read(SALT_BYTES + NONCE_BYTES)
        self._file = file
        self._path = path
        self._head = SEALED + rest
        self._prefix = rest[SALT_BYTES:]
        self._cipher = _cipher(key, rest[:SALT_BYTES])
        self._left = size - len(self._head)
        self._number = 0
        self._ready = b""
        if self._left < TAG_BYTES:
            raise ArchiveRefused(f"{path} was cut short")

    def read(self, size: int, /) -> bytes:
        while self._left and len(self._ready) < size:
            self._ready += self._next_frame()
        data, self._ready = self._ready[:size], self._ready[size:]
        return data

    def _next_frame(self) -> bytes:
        sealed = self._file.read(min(FRAME_BYTES + TAG_BYTES, self._left))
        self._left -= len(sealed)
        nonce = _nonce(self._prefix, self._number, is_last=not self._left)
        try:
            frame = self._cipher.decrypt(nonce, sealed, self._head)
        except (InvalidTag, ValueError) as error:
            what = "the key is another one, or the file" if self._number == 0 else "it"
            raise ArchiveRefused(f"{self._path} cannot be opened: {what} was changed or cut short") from error
        self._number += 1
        return frame
