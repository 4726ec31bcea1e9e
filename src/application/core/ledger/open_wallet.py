"""Open a wallet for whoever registers, in the same transaction (a registration step)."""

from dataclasses import dataclass
from typing import Protocol

from application.core.ledger.ports import LedgerUnitOfWork
from domain.core.kernel.ids import AccountId
from domain.core.ledger.accounts import AccountRef

CURRENCY = "KES"
"""Of the first wallet; others open when money of theirs arrives."""


class HasId(Protocol):
    """A person, as far as a wallet is concerned."""

    @property
    def id(self) -> AccountId: ...


@dataclass(frozen=True, slots=True)
class OpenWallet:
    async def __call__(self, uow: LedgerUnitOfWork, account: HasId) -> None:
        """Make the wallet's row."""
        await uow.ledger.balances([AccountRef.wallet(account.id)], CURRENCY)
