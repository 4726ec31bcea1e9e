"""A person's money, read in one round trip each."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import asyncpg
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Subquery,
    bindparam,
    case,
    func,
    lateral,
    or_,
    select,
    text,
    true,
    union,
)

from application.core.kernel.ports import Listing, Page
from application.core.ledger.queries import EarningsView, EntryFilter, EntryView, WalletView
from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import DIGITS_BY_CURRENCY, Money
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.earnings import EARNING_KINDS
from domain.core.ledger.transfer import TransferKind
from infrastructure.postgres.core.ledger_tables import ledger_postings, ledger_transfers
from infrastructure.postgres.database import Database
from infrastructure.postgres.keyset import Cut, KeysetList
from infrastructure.postgres.statements import Statement
from infrastructure.postgres.tables import BIGINT, TEXT, UUID

_OWN = (
    "SELECT split_part(account, ':', 1) AS word, currency, sum(balance)::bigint AS balance,"
    " max(changed_at) AS changed_at FROM ledger_balances WHERE owner_id = :owner"
)
_WALLETS = Statement(text(f"{_OWN} AND currency <> 'CRD' GROUP BY 1, 2").bindparams(bindparam("owner", type_=UUID)))
_EARNINGS = Statement(
    text(
        f"{_OWN} AND currency = :currency GROUP BY 1, 2"  # noqa: S608 - a constant of this module
        " UNION ALL SELECT 'area:' || t.area, p.currency, sum(p.amount)::bigint, NULL"
        " FROM ledger_postings AS p JOIN ledger_transfers AS t ON t.id = p.transfer_id"
        " WHERE p.destination = ANY(:own_accounts) AND p.source <> :pending AND p.currency = :currency"
        " AND t.kind = ANY(:kinds) GROUP BY 1, 2"
    ).bindparams(
        bindparam("owner", type_=UUID),
        bindparam("currency", type_=TEXT),
        bindparam("own_accounts", type_=ARRAY(TEXT)),
        bindparam("pending", type_=TEXT),
        bindparam("kinds", type_=ARRAY(TEXT)),
    )
)

_WALLET = bindparam("wallet", type_=TEXT)
_P = ledger_postings.c


def _entries(cut: Cut) -> Select[Any]:
    """Return the query of one page: each side's own index gives a page of ids in order, then both are summed up."""

    def side(account: ColumnElement[Any]) -> Subquery:
        # looked up row by row and not joined: a merge join would read the transfers from their end
        kind = select(ledger_transfers.c.kind).where(ledger_transfers.c.id == _P.transfer_id).scalar_subquery()
        ids = (
            select(_P.transfer_id)
            .where(
                account == _WALLET,
                _P.currency == func.any(bindparam("currencies", type_=ARRAY(TEXT))),
                kind == func.any(bindparam("kinds", type_=ARRAY(TEXT))),
            )
            .distinct()
        )
        return cut(ids, _P.transfer_id).subquery()

    both = union(select(side(_P.source).c.transfer_id), select(side(_P.destination).c.transfer_id)).subquery()
    page = cut(select(both.c.transfer_id), both.c.transfer_id).subquery("page")
    is_arrival = _P.destination == _WALLET
    net = lateral(
        select(
            func.sum(case((is_arrival, _P.amount), else_=-_P.amount)).cast(BIGINT).label("amount"),
            func.min(_P.currency).label("currency"),
        ).where(_P.transfer_id == page.c.transfer_id, or_(_P.source == _WALLET, is_arrival))
    ).alias("net")
    whole = (
        select(
            page.c.transfer_id,
            ledger_transfers.c.kind,
            ledger_transfers.c.reference,
            ledger_transfers.c.subject,
            ledger_transfers.c.posted_at,
            net.c.amount,
            net.c.currency,
        )
        .select_from(page)
        .join(ledger_transfers, ledger_transfers.c.id == page.c.transfer_id)
        .join(net, true())
    )
    return cut(whole, page.c.transfer_id)


_ENTRIES = KeysetList(_entries, ledger_postings.c.transfer_id)


class PostgresWalletQueries:
    """Reads of wallets, entries and earnings."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def wallets(self, owner: AccountId) -> Sequence[WalletView]:
        """Return one view per currency."""
        async with self._database.connection() as connection:
            rows = await _WALLETS.fetch(connection, owner=owner)
        return [_wallet(currency, rows) for currency in sorted({row["currency"] for row in rows})]

    async def entries(self, owner: AccountId, wanted: EntryFilter, page: Page) -> Listing[EntryView]:
        """Return a page of entries."""
        async with self._database.connection() as connection:
            return await _ENTRIES.fetch(
                connection,
                page,
                _entry,
                wallet=AccountRef.wallet(owner).name,
                kinds=list(TransferKind) if wanted.kind is None else [wanted.kind],
                currencies=list(DIGITS_BY_CURRENCY) if wanted.currency is None else [wanted.currency],
            )

    async def earnings(self, owner: AccountId, currency: str) -> EarningsView:
        """Return what a person has earned."""
        wallet, pending, owed = AccountRef.wallet(owner), AccountRef.pending(owner), AccountRef.owed(owner)
        async with self._database.connection() as connection:
            rows = await _EARNINGS.fetch(
                connection,
                owner=owner,
                currency=currency,
                own_accounts=[wallet.name, pending.name, owed.name],
                pending=pending.name,
                kinds=list(EARNING_KINDS),
            )
        by_area = {
            row["word"].removeprefix("area:"): Money(row["balance"], currency)
            for row in rows
            if row["word"].startswith("area:")
        }
        return EarningsView(
            total=Money(sum(money.minor for money in by_area.values()), currency),
            pending=_sum("pending", currency, rows),
            available=_sum("wallet", currency, rows),
            held=_sum("escrow", currency, rows),
            by_area=by_area,
        )


def _sum(word: str, currency: str, rows: Iterable[asyncpg.Record]) -> Money:
    return Money(sum(row["balance"] for row in rows if row["word"] == word and row["currency"] == currency), currency)


def _wallet(currency: str, rows: Sequence[asyncpg.Record]) -> WalletView:
    changed: list[datetime] = [row["changed_at"] for row in rows if row["currency"] == currency]
    return WalletView(
        balance=_sum("wallet", currency, rows),
        pending=_sum("pending", currency, rows),
        reserved=_sum("reserved", currency, rows),
        held=_sum("escrow", currency, rows),
        updated_at=max(changed),
    )


def _entry(row: asyncpg.Record) -> EntryView:
    return EntryView(
        id=TransferId(row["transfer_id"]),
        kind=TransferKind(row["kind"]),
        amount=Money(row["amount"], row["currency"]),
        reference=row["reference"],
        subject=row["subject"],
        created_at=row["posted_at"],
    )
