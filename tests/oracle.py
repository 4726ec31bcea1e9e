"""The oracle: what must be true of the books after whatever happened, asked of the database itself.

O1 each transfer moves something, in one currency, from somewhere to somewhere. O2 all accounts of a currency sum to
zero. O3 each stored balance is the sum of its postings. O4 no balance below its floor, and what is held is exactly what
is still to be decided about: withdrawals under way, earnings that wait, budgets of tasks that have not ended.
O9 the hash chains of the ledger and of the trail verify.

The statements are written apart from those of the server, so that one mistake is not made on both sides.
"""

from typing import Final

import asyncpg

from application.core.kernel.ports import Clock
from infrastructure.postgres.core.audit import PostgresAuditTrailChain
from infrastructure.postgres.core.ledger_proof import PostgresLedgerBooks
from infrastructure.postgres.core.ledger_seals import PostgresLedgerSeals
from infrastructure.postgres.database import Database
from infrastructure.postgres.statements import Connection

_MOVED: Final = (
    "moved AS (SELECT account, currency, sum(amount) AS total FROM ("
    " SELECT destination AS account, currency, amount FROM ledger_postings"
    " UNION ALL SELECT source, currency, -amount FROM ledger_postings) AS m GROUP BY account, currency)"
)
_FLOORLESS: Final = r"'^(clearing|revenue|costs|funding|promotion)(:|$)'"

BOOKS: Final = {
    "O1": "SELECT t.reference FROM ledger_transfers AS t LEFT JOIN ledger_postings AS p ON p.transfer_id = t.id"
    " GROUP BY t.id HAVING count(p.leg) = 0 OR count(DISTINCT p.currency) <> 1 OR min(p.amount) < 1"
    " OR bool_or(p.source = p.destination)",
    "O2": f"WITH {_MOVED} SELECT currency FROM ("
    f" SELECT currency, total FROM moved WHERE account ~ {_FLOORLESS}"
    " UNION ALL SELECT currency, balance FROM ledger_balances) AS everywhere GROUP BY currency HAVING sum(total) <> 0",
    "O3": f"WITH {_MOVED} SELECT account FROM moved FULL JOIN ledger_balances AS b USING (account, currency)"
    f" WHERE coalesce(total, 0) <> coalesce(balance, 0) AND account !~ {_FLOORLESS}",
    "O4 floor": "SELECT account FROM ledger_balances"
    " WHERE CASE WHEN account LIKE 'owed:%' THEN balance > 0 ELSE balance < 0 END",
    "O4 reserved": "SELECT coalesce(b.account, 'reserved:user:' || w.owner_id) FROM"
    " (SELECT owner_id, currency, sum(amount) AS amount FROM withdrawals"
    "  WHERE stage IN ('pending', 'approved', 'processing') GROUP BY owner_id, currency) AS w"
    " FULL JOIN (SELECT * FROM ledger_balances WHERE account LIKE 'reserved:user:%') AS b"
    " ON b.account = 'reserved:user:' || w.owner_id AND b.currency = w.currency"
    " WHERE coalesce(w.amount, 0) <> coalesce(b.balance, 0)",
    "O4 pending": "SELECT coalesce(b.account, 'pending:user:' || h.payee_id) FROM"
    " (SELECT payee_id, currency, sum(amount - taken_back) AS amount FROM earnings_holds"
    "  WHERE released_at IS NULL GROUP BY payee_id, currency) AS h"
    " FULL JOIN (SELECT * FROM ledger_balances WHERE account LIKE 'pending:user:%') AS b"
    " ON b.account = 'pending:user:' || h.payee_id AND b.currency = h.currency"
    " WHERE coalesce(h.amount, 0) <> coalesce(b.balance, 0)",
    "O4 escrow": "SELECT coalesce(b.account, 'escrow:task:' || t.id) FROM"
    " (SELECT id, currency, budget FROM tasks WHERE budget IS NOT NULL"
    "  AND status NOT IN ('COMPLETED', 'CANCELLED', 'EXPIRED', 'REJECTED')) AS t"
    " FULL JOIN (SELECT * FROM ledger_balances WHERE account LIKE 'escrow:task:%') AS b"
    " ON b.account = 'escrow:task:' || t.id AND b.currency = t.currency"
    " WHERE coalesce(t.budget, 0) <> coalesce(b.balance, 0)",
    # an order's money is held from its payment on until it ends, less what was given back of it
    "O4 orders": "SELECT coalesce(b.account, 'escrow:order:' || o.id) FROM"
    " (SELECT o.id, o.currency, o.unit_price * o.quantity - max(i.refunded) AS held FROM gigs_orders AS o"
    "  JOIN payment_intents AS i ON i.subject = o.id AND i.purpose = 'order' AND i.status = 'succeeded'"
    "  WHERE o.status NOT IN ('completed', 'canceled') GROUP BY o.id) AS o"
    " FULL JOIN (SELECT * FROM ledger_balances WHERE account LIKE 'escrow:order:%') AS b"
    " ON b.account = 'escrow:order:' || o.id AND b.currency = o.currency"
    " WHERE coalesce(o.held, 0) <> coalesce(b.balance, 0)",
}
"""By the name of the rule: a query that finds the names of what breaks it."""


async def broken_rules(connection: Connection | asyncpg.Connection) -> dict[str, list[str]]:
    """Return what breaks O1 to O4, by rule; ask inside one transaction where others write at the same time."""
    found = {rule: [str(row[0]) for row in await connection.fetch(sql)] for rule, sql in BOOKS.items()}
    return {rule: names for rule, names in found.items() if names}


async def assert_sound(database: Database, clock: Clock) -> None:
    """Seal what waits for it, then hold the database to O1 to O4 and O9."""
    async with database.transaction() as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        assert await broken_rules(connection) == {}
    trail = PostgresAuditTrailChain(database, clock)
    for seals in (PostgresLedgerSeals(database, clock), trail):
        while await seals.seal(1_000):
            pass
    proof = await PostgresLedgerBooks(database).prove(now=clock.now())
    assert proof.is_balanced, proof
    assert (await trail.verify(lambda *_: None)).broken == ()
