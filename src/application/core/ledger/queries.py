"""What is read of the books, straight from the tables and always bounded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from application.core.kernel.ports import Listing, Page
from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.transfer import TransferKind


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletView:
    """What a person has in one currency."""

    balance: Money
    """Spendable."""
    pending: Money
    """Earned, still in its waiting time."""
    reserved: Money
    """Asked to be paid out."""
    held: Money
    """In escrow for deals that go on."""
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryView:
    """What one transfer did to a wallet; the amount is below zero where money left it."""

    id: TransferId
    kind: TransferKind
    amount: Money
    reference: str
    subject: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """Which entries are wanted; None for all."""

    kind: TransferKind | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EarningsView:
    """What a person has earned in one currency, fees taken off, since the beginning."""

    total: Money
    pending: Money
    available: Money
    held: Money
    by_area: Mapping[str, Money]


class WalletQueries(Protocol):
    """Read models of a person's money; each is one round trip."""

    async def wallets(self, owner: AccountId) -> Sequence[WalletView]:
        """Return one view per currency, in the order of their codes."""
        ...

    async def entries(self, owner: AccountId, wanted: EntryFilter, page: Page) -> Listing[EntryView]:
        """Return the entries of a person's wallets, the newest first."""
        ...

    async def earnings(self, owner: AccountId, currency: str) -> EarningsView:
        """Return what a person has earned."""
        ...
