"""Where processes that answer at one address leave their figures for each other: a folder, and a lock for each.

Whoever is asked for the figures shows those of all. A process has the lowest number that is free, for as long as it
lives: the system lets go of its lock however it ends, so what a dead one left is never shown.
"""

import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

PLACES_MAX = 64

Shared = TypeVar("Shared")


class FiguresBoard(Generic[Shared]):
    """The place of one process. It is taken when it is first needed."""

    def __init__(self, folder: Path, kind: type[Shared]) -> None:
        self._folder = folder
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._place: int | None = None
        self._lock: int | None = None
        self._taking = threading.Lock()  # scrapes and the sharing of figures run in threads

    @property
    def own_name(self) -> str:
        """The number of this process."""
        return str(self._taken())

    def others(self) -> list[tuple[str, Shared]]:
        """Return what the other living processes last left, by their numbers."""
        found = []
        for number in self._neighbours():
            with suppress(FileNotFoundError, msgspec.DecodeError):  # one that has only just begun has left nothing
                found.append((str(number), self._decoder.decode(self._figures_of(number).read_bytes())))
        return found

    def share(self, own: Callable[[], Shared]) -> bool:
        """Leave the figures of this process, if there is anybody to see them, and tell whether there was."""
        place = self._taken()
        if not self._neighbours():
            return False
        written = self._folder / f"{place}.new"
        written.write_bytes(msgspec.msgpack.encode(own()))
        written.replace(self._figures_of(place))
        return True

    def leave(self) -> None:
        """Give the place up."""
        if self._lock is not None and self._place is not None:
            self._figures_of(self._place).unlink(missing_ok=True)
            os.close(self._lock)
        self._lock = self._place = None

    def _taken(self) -> int:
        with self._taking:
            if self._place is None:
                self._place, self._lock = self._first_free()
            return self._place

    def _first_free(self) -> tuple[int, int]:
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in range(PLACES_MAX):
            lock = os.open(self._folder / f"{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            if _is_free(lock):
                self._figures_of(number).unlink(missing_ok=True)  # of who was here before
                return number, lock
            os.close(lock)
        raise OSError(f"more than {PLACES_MAX} processes answer at one address")

    def _neighbours(self) -> list[int]:
        """Return the numbers of the other processes that live."""
        place, living = self._taken(), []
        for path in self._folder.glob("*.lock"):
            number = int(path.stem)
            if number == place:
                continue
            lock = os.open(path, os.O_RDWR)
            try:
                if not _is_free(lock):
                    living.append(number)
            finally:
                os.close(lock)  # and with it what was locked just now
        return sorted(living)

    def _figures_of(self, number: int) -> Path:
        return self._folder / f"{number}.figures"


def _is_free(lock: int) -> bool:
    """Take a lock if nobody has it, and tell whether it is ours now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
