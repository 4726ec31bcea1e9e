"""Read a person's money: the wallet of the market's currency first, then one per currency; and what he has earned."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from application.core.kernel.ports import Clock
from application.core.ledger.queries import EarningsView, WalletQueries, WalletView
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money

MARKET_CURRENCY = "KES"


@dataclass(frozen=True, slots=True)
class Wallets:
    """All that a person has."""

    main: WalletView
    all: Sequence[WalletView]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadWallet:
    queries: WalletQueries
    clock: Clock

    async def __call__(self, owner: AccountId) -> Wallets:
        """Return a person's wallets; somebody without any has an empty one in the market's currency."""
        found = await self.queries.wallets(owner)
        main = next((one for one in found if one.balance.currency == MARKET_CURRENCY), None)
        if main is None:
            none = Money.zero(MARKET_CURRENCY)
            main = WalletView(balance=none, pending=none, reserved=none, held=none, updated_at=self.clock.now())
            found = [main, *found]
        return Wallets(main, found)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadEarnings:
    queries: WalletQueries
    areas: tuple[str, ...]
    """The parts of the market in which people earn; each is shown, with nothing where nothing was earned."""

    async def __call__(self, owner: AccountId, currency: str) -> EarningsView:
        """Return what a person has earned. Raises UnknownCurrency."""
        nothing = {area: Money.zero(currency) for area in self.areas}
        found = await self.queries.earnings(owner, currency)
        return replace(found, by_area={**nothing, **found.by_area})
