"""The oracle: what must be true of the books after whatever happened, asked of the database itself.

O1 each transfer moves something, in one currency, from somewhere to somewhere. O2 all accounts of a currency sum to
zero. O3 each stored balance is the sum of its postings. O4 no balance below its floor, and what is held is exactly what
is still to be decided about: withdrawals under way, earnings that wait, budgets of tasks that have not ended.
O7 at most one writer has a task, and nobody claims more in a day than his plan allows. O8 every committed event is
delivered and has its effect once, and no effect is without its event. O9 the hash chains of the ledger and of the trail
verify. O10 nobody holds on to the database who has nothing to do.

O5, O6, O11 and what O10 says of processes and files compare the database with what clients, the provider, the logs and
the disk say: tests/drills/verdict.py.

The statements are written apart from those of the server, so that one mistake is not made on both sides.
"""

from collections.abc import Mapping
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
    "O7 holder": "SELECT coalesce(c.task_id, t.id) FROM"
    " (SELECT task_id, (array_agg(id))[1] AS id, count(*) FROM claims WHERE ended_at IS NULL GROUP BY task_id) AS c"
    " FULL JOIN (SELECT id, claim_id FROM tasks WHERE claim_id IS NOT NULL) AS t ON t.id = c.task_id"
    " WHERE c.count > 1 OR c.id IS DISTINCT FROM t.claim_id",
}
"""By the name of the rule: a query that finds the names of what breaks it."""

AT_REST: Final = {
    # by the best plan that was bought; what was given back may have been free of charge
    "O7 daily limit": "SELECT c.writer_id || ' on ' || c.day FROM claims AS c"
    " WHERE c.end_reason IS DISTINCT FROM 'returned' GROUP BY c.writer_id, c.day HAVING count(*) >"
    " (SELECT coalesce(max(CASE s.plan WHEN 'P2' THEN 5 WHEN 'P5' THEN 9 ELSE 1000000 END), 0)"
    "  FROM writer_subscriptions AS s WHERE s.writer_id = c.writer_id AND s.starts_at IS NOT NULL)",
    "O8 undelivered": "SELECT subscriber || ' ' || event_id FROM outbox_messages WHERE done_at IS NULL",
    "O8 without effect": "SELECT o.subscriber || ' ' || o.event_id FROM outbox_messages AS o"
    r" WHERE o.done_at IS NOT NULL AND (o.subscriber LIKE 'notifications.tell\_%' OR o.subscriber IN ("
    "'assignments.task_posted.tell_people', 'assignments.task_approved.tell_people',"
    " 'assignments.task_claimed.tell_people', 'assignments.work_submitted.tell_people',"
    " 'assignments.work_approved.tell_people', 'assignments.payment_released.tell_people'))"
    " AND NOT EXISTS (SELECT FROM notices AS n WHERE n.event_id = o.event_id)",
    "O8 without event": "SELECT n.event_id FROM notices AS n"
    " WHERE NOT EXISTS (SELECT FROM outbox_messages AS o WHERE o.event_id = n.event_id)",
    "O8 twice": "SELECT event_id FROM notices GROUP BY event_id, recipient HAVING count(*) > 1",
    "O8 gap": "SELECT n.recipient FROM notices AS n LEFT JOIN notice_counters AS c ON c.account_id = n.recipient"
    " GROUP BY n.recipient HAVING count(*) <> max(n.seq) OR max(n.seq) IS DISTINCT FROM max(c.last_seq)",
    "O8 plans": "SELECT i.reference FROM payment_intents AS i"
    " LEFT JOIN writer_subscriptions AS s ON s.intent_id = i.id AND s.starts_at IS NOT NULL"
    " LEFT JOIN ledger_transfers AS t ON t.reference = 'writer_plan:' || s.id || ':activate'"
    " WHERE i.purpose = 'WRITER_PLAN' GROUP BY i.id HAVING count(t.id) <> (i.status = 'succeeded')::int",
    "O10 in transaction": "SELECT application_name || ' ' || pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
    "O10 advisory lock": "SELECT objid FROM pg_locks WHERE locktype = 'advisory'"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
}
"""The same for rules that hold once nothing is under way any more."""


async def broken_rules(
    connection: Connection | asyncpg.Connection, rules: Mapping[str, str] = BOOKS
) -> dict[str, list[str]]:
    """Return what breaks the rules, by rule; ask inside one transaction where others write at the same time."""
    found = {rule: [str(row[0]) for row in await connection.fetch(sql)] for rule, sql in rules.items()}
    return {rule: names for rule, names in found.items() if names}


async def assert_sound(database: Database, clock: Clock) -> None:
    """Seal what waits for it, then hold the database to O1 to O4, O7 and O9."""
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
