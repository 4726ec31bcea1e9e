"""Seal the audit trail, and prove that nobody changed it (audit.append_only_and_chained)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias
from uuid import UUID

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many entries have been checked, and how many there are."""


@dataclass(frozen=True, slots=True)
class BrokenEntry:
    """An entry that is not as it was sealed, or that somebody kept from being sealed."""

    id: UUID | None
    seq: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class TrailProof:
    """What a verification found."""

    checked: int
    broken: tuple[BrokenEntry, ...]

    @property
    def is_sound(self) -> bool:
        """Whether the trail is as it was written."""
        return not self.broken


class AuditTrailChain(Protocol):
    """Promises: an entry is sealed once, however many workers call; `verify` reads one consistent state and names every
    entry that differs from what was sealed.
    """

    async def seal(self, batch_max: int) -> int:
        """Seal committed entries that wait for it and return how many."""
        ...

    async def verify(self, progress: Progress) -> TrailProof:
        """Recompute the whole chain. It takes as long as the trail is, and blocks nobody."""
        ...
