"""The folder that a server keeps its data in: it can be written, and one server runs on it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_NAME = "server.lock"


class DataFolderRefused(Exception):
    """The folder cannot be used; the message says why."""


def require_writable(folder: Path) -> None:
    """Make the folder if it is missing, and write a file into it. Raises DataFolderRefused."""
    probe = folder / f".probe.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise DataFolderRefused(f"cannot write to {folder} ({error.strerror}); name another folder") from error


@contextmanager
def one_server_on(folder: Path) -> Iterator[None]:
    """Keep other servers off the folder while the block runs. Raises DataFolderRefused.

    The lock belongs to the open file, so it is gone with the process, however that ends.
    """
    descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataFolderRefused(
                f"another server runs on {folder}; stop it first, or name another folder"
            ) from error
        yield
    finally:
        os.close(descriptor)
