"""Time, ids and chance that a test decides."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
"""A Monday; 15:00 in Nairobi."""

_VERSION_7 = 0x7 << 76
_VARIANT_RFC = 0b10 << 62


class FixedClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, at: datetime = NOON) -> None:
        self._at = at.astimezone(UTC)

    def now(self) -> datetime:
        return self._at

    def advance(self, by: timedelta) -> datetime:
        """Move the clock and return the new instant."""
        self._at += by
        return self._at

    def set(self, at: datetime) -> None:
        """Put the clock at an instant, earlier ones too."""
        self._at = at.astimezone(UTC)


class SequentialIds:
    """UUIDv7-shaped ids in rising order, the same in every run; `start` keeps two sources apart."""

    def __init__(self, start: int = 1, at: datetime = NOON) -> None:
        self._next = start
        self._milliseconds = int(at.timestamp() * 1000)

    def new(self) -> UUID:
        number = self._next
        self._next += 1
        assert number < 1 << 62
        return UUID(int=self._milliseconds << 80 | _VERSION_7 | _VARIANT_RFC | number)


class SeededRandomness:
    """Chance that repeats itself. Never give it a job outside a test."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def digits(self, count: int) -> str:
        return self.letters(count, "0123456789")

    def letters(self, count: int, alphabet: str) -> str:
        return "".join(self._random.choice(alphabet) for _ in range(count))
