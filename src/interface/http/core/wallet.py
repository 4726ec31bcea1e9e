"""A person's money over HTTP: wallet, entries, earnings."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, get
from litestar.params import FromQuery, QueryParameter
from litestar.status_codes import HTTP_200_OK
from msgspec import Struct

from application.core.identity.authenticate import Caller
from application.core.kernel.ports import Page
from application.core.ledger.queries import EarningsView, EntryFilter, EntryView, WalletQueries, WalletView
from application.core.ledger.read_wallet import ReadEarnings, ReadWallet, Wallets
from domain.core.kernel.money import Money
from domain.core.ledger.transfer import TransferKind
from interface.http.caller import has_role, signed_in
from interface.http.wire import ListBody, list_body
from interface.http.wired import Wired

EARNING_ROLES = ("writer", "worker", "tutor")

CODE = QueryParameter(min_length=3, max_length=3, pattern="^[A-Za-z]{3}$")
"""A currency in a query; bounds that a type carries for bodies are not looked at there."""


class WalletBody(Struct, frozen=True):
    """What a person has in one currency; amounts are decimal strings."""

    balance: str
    currency: str
    pending: str
    reserved: str
    held: str
    updated_at: datetime

    @classmethod
    def of(cls, wallet: WalletView) -> "WalletBody":
        """Write a wallet."""
        return cls(
            balance=wallet.balance.text,
            currency=wallet.balance.currency,
            pending=wallet.pending.text,
            reserved=wallet.reserved.text,
            held=wallet.held.text,
            updated_at=wallet.updated_at,
        )


class WalletsBody(Struct, frozen=True):
    """The wallet in the market's currency, and under `wallets` one per currency."""

    balance: str
    currency: str
    pending: str
    reserved: str
    held: str
    updated_at: datetime
    wallets: Sequence[WalletBody]

    @classmethod
    def of(cls, wallets: Wallets) -> "WalletsBody":
        """Write wallets."""
        main = WalletBody.of(wallets.main)
        return cls(
            balance=main.balance,
            currency=main.currency,
            pending=main.pending,
            reserved=main.reserved,
            held=main.held,
            updated_at=main.updated_at,
            wallets=[WalletBody.of(one) for one in wallets.all],
        )


class EntryBody(Struct, frozen=True):
    """What one transfer did to a wallet."""

    id: UUID
    type: TransferKind
    direction: str
    amount: str
    currency: str
    reference: str
    subject: str
    created_at: datetime

    @classmethod
    def of(cls, entry: EntryView) -> "EntryBody":
        """Write an entry."""
        return cls(
            id=entry.id,
            type=entry.kind,
            direction="in" if entry.amount.minor > 0 else "out",
            amount=Money(abs(entry.amount.minor), entry.amount.currency).text,
            currency=entry.amount.currency,
            reference=entry.reference,
            subject=entry.subject,
            created_at=entry.created_at,
        )


class EarningsBody(Struct, frozen=True):
    """What a person has earned, as decimal strings; `total` is all that was ever released."""

    total: str
    currency: str
    pending: str
    available: str
    held: str
    by_area: Mapping[str, str]

    @classmethod
    def of(cls, earnings: EarningsView) -> "EarningsBody":
        """Write earnings."""
        return cls(
            total=earnings.total.text,
            currency=earnings.total.currency,
            pending=earnings.pending.text,
            available=earnings.available.text,
            held=earnings.held.text,
            by_area={area: money.text for area, money in earnings.by_area.items()},
        )


class WalletController(Controller):
    path = "/api/wallet"
    tags = ("wallet",)
    guards = (signed_in,)

    @get("/", operation_id="getWallet", status_code=HTTP_200_OK)
    async def own(self, caller: Wired[Caller], read_wallet: Wired[ReadWallet]) -> WalletsBody:
        """Show your wallet."""
        return WalletsBody.of(await read_wallet(caller.account_id))

    @get(
        "/entries",
        operation_id="listWalletEntries",
        refuses=("payments.currency_not_supported",),
        status_code=HTTP_200_OK,
    )
    async def entries(
        self,
        request: Request[Any, Any, Any],
        caller: Wired[Caller],
        page: Wired[Page],
        wallet_queries: Wired[WalletQueries],
        currency: FromQuery[Annotated[str | None, CODE]] = None,
        type: FromQuery[TransferKind | None] = None,
    ) -> ListBody[EntryBody]:
        """List what went into and out of your wallet, newest first."""
        wanted = EntryFilter(kind=type, currency=currency.upper() if currency else None)
        return list_body(request, await wallet_queries.entries(caller.account_id, wanted, page), EntryBody.of)


class EarningsController(Controller):
    path = "/api/earnings"
    tags = ("wallet",)
    guards = (has_role(*EARNING_ROLES),)

    @get("/", operation_id="getEarnings", refuses=("payments.currency_not_supported",), status_code=HTTP_200_OK)
    async def own(
        self,
        caller: Wired[Caller],
        read_earnings: Wired[ReadEarnings],
        currency: FromQuery[Annotated[str, CODE]] = "KES",
    ) -> EarningsBody:
        """Show what you have earned."""
        return EarningsBody.of(await read_earnings(caller.account_id, currency.upper()))
