"""Reading a person's money: exact, one round trip, and as cheap at the last page as at the first."""

import json
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from application.core.kernel.ports import Page
from application.core.ledger.queries import EntryFilter
from domain.core.kernel.errors import Invalid
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import FEES, AccountRef
from domain.core.ledger.earnings import pay_earnings
from domain.core.ledger.transfer import Transfer, TransferKind
from infrastructure.postgres.core import wallet_queries
from infrastructure.postgres.core.wallet_queries import PostgresWalletQueries
from infrastructure.postgres.database import Database
from tests.contract.core.ledger import ADA, BEN, CLEARING, ESCROW, Units, post, transfer
from tests.fakes.core.system import FixedClock

WALLET, PENDING, RESERVED = AccountRef.wallet(ADA), AccountRef.pending(ADA), AccountRef.reserved(ADA)


@pytest.fixture
def queries(database: Database) -> PostgresWalletQueries:
    return PostgresWalletQueries(database)


async def test_a_wallet_shows_what_is_spendable_waiting_asked_for_and_in_escrow(
    unit_of_work: Units, queries: PostgresWalletQueries, clock: FixedClock
) -> None:
    assert await queries.wallets(ADA) == []
    await post(
        unit_of_work,
        transfer("a:1", (CLEARING, WALLET, 1000_00)),
        transfer("a:2", (WALLET, ESCROW, 400_00)),
        transfer("a:3", (WALLET, AccountRef.escrow("order", UUID(int=9)), 50_00)),
        transfer("a:4", (CLEARING, PENDING, 7_00)),
        transfer("a:5", (WALLET, RESERVED, 100_00)),
        transfer("a:6", (CLEARING, WALLET, 5), currency="USD"),
        transfer("a:7", (CLEARING, AccountRef.wallet(BEN), 1)),
    )
    later = clock.advance(timedelta(minutes=1))
    await post(unit_of_work, transfer("a:8", (CLEARING, WALLET, 1)))
    kes, usd = await queries.wallets(ADA)
    assert (kes.balance, kes.pending, kes.reserved, kes.held) == (
        Money(450_01), Money(7_00), Money(100_00), Money(450_00)
    )  # fmt: skip
    assert kes.updated_at == later
    assert (usd.balance, usd.held) == (Money(5, "USD"), Money(0, "USD"))


async def test_an_escrow_is_held_for_its_holder_until_it_is_empty(
    unit_of_work: Units, queries: PostgresWalletQueries
) -> None:
    paid_by_phone = replace(transfer("a:1", (CLEARING, ESCROW, 400_00)), holder=ADA)
    await post(unit_of_work, paid_by_phone, transfer("a:2", (ESCROW, AccountRef.wallet(BEN), 100_00)))
    [wallet] = await queries.wallets(ADA)
    assert wallet.held == Money(300_00)
    release = transfer("a:3", (ESCROW, AccountRef.wallet(BEN), 300_00))
    await post(unit_of_work, release)
    assert await queries.wallets(ADA) == []
    assert (await queries.wallets(BEN))[0].balance == Money(400_00)
    await post(
        unit_of_work,
        release.reversal(id=transfer("x", (CLEARING, WALLET, 1)).id, posted_at=release.posted_at, holder=ADA),
    )
    [wallet] = await queries.wallets(ADA)
    assert wallet.held == Money(300_00)


async def test_an_escrow_emptied_and_filled_in_one_unit_is_held_by_the_last_holder(
    unit_of_work: Units, queries: PostgresWalletQueries
) -> None:
    await post(unit_of_work, transfer("a:1", (CLEARING, WALLET, 10), (CLEARING, AccountRef.wallet(BEN), 10)))
    await post(
        unit_of_work,
        transfer("a:2", (WALLET, ESCROW, 10)),
        transfer("a:3", (ESCROW, WALLET, 10)),
        transfer("a:4", (AccountRef.wallet(BEN), ESCROW, 10)),
    )
    assert (await queries.wallets(ADA))[0].held == Money(0)
    assert (await queries.wallets(BEN))[0].held == Money(10)


class TestEntries:
    async def test_each_transfer_is_one_entry_in_or_out_the_newest_first(
        self, unit_of_work: Units, queries: PostgresWalletQueries
    ) -> None:
        await post(
            unit_of_work,
            transfer("a:1", (CLEARING, WALLET, 1000), kind=TransferKind.TOPUP),
            transfer("a:2", (WALLET, ESCROW, 400), kind=TransferKind.HOLD),
            transfer(
                "a:3", (ESCROW, WALLET, 150), (FEES, WALLET, 50), (WALLET, CLEARING, 20), kind=TransferKind.REFUND
            ),
            transfer("a:4", (CLEARING, WALLET, 7), currency="USD"),
            transfer("a:5", (CLEARING, AccountRef.wallet(BEN), 7)),
            transfer("a:6", (CLEARING, PENDING, 7)),
        )
        listing = await queries.entries(ADA, EntryFilter(), Page())
        assert [(one.reference, one.kind.value, one.amount) for one in listing.results] == [
            ("a:4", "ADJUSTMENT", Money(7, "USD")),
            ("a:3", "REFUND", Money(180)),
            ("a:2", "HOLD", Money(-400)),
            ("a:1", "TOPUP", Money(1000)),
        ]
        assert (listing.next, listing.previous) == (None, None)
        usd = await queries.entries(ADA, EntryFilter(currency="USD"), Page())
        assert [one.reference for one in usd.results] == ["a:4"]
        holds = await queries.entries(ADA, EntryFilter(kind=TransferKind.HOLD), Page())
        assert [one.reference for one in holds.results] == ["a:2"]

    async def test_pages_follow_each_other_without_gap_or_repeat(
        self, unit_of_work: Units, queries: PostgresWalletQueries
    ) -> None:
        await post(unit_of_work, *(transfer(f"a:{n:02}", (CLEARING, WALLET, n)) for n in range(1, 8)))
        seen: list[str] = []
        listing = await queries.entries(ADA, EntryFilter(), Page(3))
        seen += [one.reference for one in listing.results]
        for _ in range(2):
            listing = await queries.entries(ADA, EntryFilter(), Page(3, listing.next))
            seen += [one.reference for one in listing.results]
        assert seen == [f"a:{n:02}" for n in range(7, 0, -1)]
        assert listing.next is None
        back = await queries.entries(ADA, EntryFilter(), Page(3, listing.previous))
        assert [one.reference for one in back.results] == ["a:04", "a:03", "a:02"]
        with pytest.raises(Invalid):
            await queries.entries(ADA, EntryFilter(), Page(3, "nonsense"))


async def test_earnings_are_net_by_area_and_counted_once_though_they_waited(
    unit_of_work: Units, queries: PostgresWalletQueries
) -> None:
    def earned(reference: str, area: str, kind: TransferKind, *, hold: bool, owed: int = 0) -> Transfer:
        legs = pay_earnings(
            source=AccountRef("operating:platform"), payee=ADA, amount=Money(100_00), fee_basis_points=1500,
            owed=Money(owed), hold=hold,
        )  # fmt: skip
        return replace(transfer(reference, (CLEARING, WALLET, 1)), legs=legs, area=area, kind=kind)

    await post(unit_of_work, transfer("a:0", (CLEARING, AccountRef("operating:platform"), 1000_00)))
    await post(unit_of_work, transfer("a:1", (AccountRef.owed(ADA), CLEARING, 10_00)))
    await post(
        unit_of_work,
        earned("a:2", "assignments", TransferKind.PAYMENT_RELEASE, hold=False, owed=-10_00),
        earned("a:3", "gigs", TransferKind.EARNING, hold=True),
        replace(transfer("a:4", (PENDING, WALLET, 50_00)), area="gigs", kind=TransferKind.EARNING),
        transfer("a:5", (CLEARING, WALLET, 500_00), kind=TransferKind.TOPUP),
        transfer("a:6", (WALLET, ESCROW, 25_00)),
    )
    found = await queries.earnings(ADA, "KES")
    assert found.total == Money(170_00)
    assert found.by_area == {"assignments": Money(85_00), "gigs": Money(85_00)}
    assert (found.pending, found.available, found.held) == (Money(35_00), Money(600_00), Money(25_00))
    nothing = await queries.earnings(ADA, "USD")
    assert (nothing.total, nothing.by_area) == (Money(0, "USD"), {})


async def test_a_page_of_a_crowded_wallet_reads_its_own_rows_only(
    database_dsn: str, queries: PostgresWalletQueries
) -> None:
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(
        "INSERT INTO ledger_transfers (id, reference, kind, area, subject, posted_at)"
        " SELECT lpad(to_hex(n), 32, '0')::uuid, 'seed:' || n, 'TOPUP', 'payments', 's', now()"
        " FROM generate_series(1, 60000) AS n"
    )
    await connection.execute(
        "INSERT INTO ledger_postings SELECT id, 0, 'clearing:lipana', $1, 100, 'KES' FROM ledger_transfers", WALLET.name
    )
    await connection.execute("ANALYZE ledger_transfers, ledger_postings")
    first = await queries.entries(ADA, EntryFilter(), Page(20))
    assert len(first.results) == 20
    statement = wallet_queries._ENTRIES.pages.after
    values = {
        "limit_rows": 21,
        "edge": UUID(int=30_000),
        "wallet": WALLET.name,
        "kinds": list(TransferKind),
        "currencies": ["KES"],
    }
    plan = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.sql}", *statement.arguments(values))
    await connection.close()
    assert _rows_read(plan) < 1_000


def _rows_read(plan: str) -> int:
    def walk(node: dict[str, object]) -> int:
        loops, rows = node.get("Actual Loops", 1), node.get("Actual Rows", 0)
        assert isinstance(loops, int | float)
        assert isinstance(rows, int | float)
        children = node.get("Plans", [])
        assert isinstance(children, list)
        return int(loops * rows) + sum(walk(child) for child in children)

    return walk(json.loads(plan)[0]["Plan"])
