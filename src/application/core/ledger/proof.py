"""Prove the books: recompute every balance, sum and seal from the postings (ledger.sealed_and_proven).

A proof only looks. What it finds broken is for people: nothing is corrected by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeAlias

from application.core.kernel.ports import Clock


class Breach(StrEnum):
    """What can be wrong with the books."""

    BALANCE_DIFFERS = "balance_differs"
    """A stored balance is not the sum of its postings."""
    FLOOR_BROKEN = "floor_broken"
    CHAIN_BROKEN = "chain_broken"
    """A transfer is not as it was sealed, is missing, or was never to be sealed."""
    UNSEALED_TOO_LONG = "unsealed_too_long"
    SUM_DIFFERS = "sum_differs"
    """All accounts of a currency do not sum to zero."""
    HELD_DIFFERS = "held_differs"
    """What is set aside is not what is still to be decided about."""
    TRAIL_BROKEN = "trail_broken"
    """An entry of the audit trail is not as it was sealed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One thing that is wrong; `name` is the account or the transfer."""

    breach: Breach
    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class AssetSum:
    """The sum of all accounts in one asset, in minor units; zero in sound books."""

    asset: str
    minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerProof:
    assets: tuple[AssetSum, ...]
    broken: tuple[Broken, ...]

    @property
    def is_balanced(self) -> bool:
        """Whether every asset sums to zero and nothing is broken."""
        return not self.broken and all(asset.minor == 0 for asset in self.assets)


Progress: TypeAlias = Callable[[str, int, int], None]
"""Told what is being checked, how much of it is done, and out of how much."""


def unwatched(what: str, done: int, total: int) -> None:
    """Take progress that nobody looks at."""


class LedgerBooks(Protocol):
    """The whole ledger, read in one consistent state."""

    async def prove(self, *, now: datetime, progress: Progress = unwatched) -> LedgerProof:
        """Recompute everything. It takes as long as the books are large, and blocks nobody."""
        ...

    async def sums(self, *, as_of: datetime) -> tuple[AssetSum, ...]:
        """Return the sum of all accounts at an instant, from the postings alone."""
        ...


class LedgerSeals(Protocol):
    """Promises: a transfer is sealed once, in the order of the chain, however many workers call."""

    async def seal(self, batch_max: int) -> int:
        """Seal committed transfers that wait for it and return how many."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProveLedger:
    books: LedgerBooks
    clock: Clock

    async def __call__(self, *, as_of: datetime | None = None) -> LedgerProof:
        """Return the proof of now; of an instant in the past the sums alone, since balances have no history."""
        if as_of is not None:
            return LedgerProof(assets=await self.books.sums(as_of=as_of), broken=())
        return await self.books.prove(now=self.clock.now())


class LedgerBroken(Exception):
    """The books do not prove; an alarm, and no refusal of anybody's request."""
