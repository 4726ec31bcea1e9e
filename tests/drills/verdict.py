"""The oracle's word after a drill: the books, what clients and the provider know of them, the processes, the logs.

O1 to O4 and O7 to O10 are asked of the database in tests/oracle.py. Here are those that compare it with somebody else:
O5 every operation that a client knows was done has exactly one effect, every refused one none, every unknown one at
most one. O6 the provider's books match ours one to one. O10 the processes hold no connection and left no file half
written. O11 no secret and nothing personal stands in logs, figures, messages or errors.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx

from infrastructure.postgres.database import Database
from infrastructure.system.clock import SystemClock
from tests.drills.installation import DATABASE, Installation, until
from tests.drills.journal import Entry, Journal, Kind, Outcome
from tests.drills.load import CANARIES
from tests.drills.provider import API_KEY, CONTROL_KEY, WEBHOOK_SECRET
from tests.oracle import AT_REST, BOOKS, assert_sound, broken_rules

SETTLED_WITHIN_S: Final = 150.0
QUIET_WITHIN_S: Final = 5.0
SHILLING_MINOR: Final = 100

EFFECTS: Final[Mapping[Kind, str]] = {
    Kind.TOP_UP: "SELECT phone, count(*) FROM payment_attempts GROUP BY phone",
    Kind.PLAN: "SELECT phone, count(*) FROM payment_attempts GROUP BY phone",
    Kind.POST: "SELECT k.title, count(t.id) FROM tasks AS k LEFT JOIN ledger_transfers AS t"
    " ON t.subject = 'task:' || k.id AND t.kind = 'HOLD' GROUP BY k.title",
    Kind.CANCEL: "SELECT split_part(reference, ':', 2), count(*) FROM ledger_transfers"
    " WHERE kind = 'HOLD_RELEASE' GROUP BY 1",
    Kind.REJECT: "SELECT split_part(reference, ':', 2), count(*) FROM ledger_transfers"
    " WHERE kind = 'HOLD_RELEASE' GROUP BY 1",
    Kind.APPROVE: "SELECT split_part(target, ':', 2), count(*) FROM audit_entries"
    " WHERE action = 'APPROVE_ASSIGNMENT' GROUP BY 1",
    Kind.CLAIM: "SELECT task_id || ':' || writer_id, count(*) FROM claims GROUP BY 1",
    Kind.SUBMIT: "SELECT s.task_id::text, count(*) FROM submissions AS s"
    " JOIN submission_versions AS v ON v.submission_id = s.id GROUP BY 1",
    Kind.RELEASE: "SELECT split_part(reference, ':', 2), count(*) FROM ledger_transfers"
    " WHERE kind = 'PAYMENT_RELEASE' GROUP BY 1",
    Kind.WITHDRAW: "SELECT w.destination, count(t.id) FROM withdrawals AS w LEFT JOIN ledger_transfers AS t"
    " ON t.reference = 'withdrawal:' || w.id || ':reserve' GROUP BY 1",
    Kind.PAY_OUT: "SELECT split_part(target, ':', 2), count(*) FROM audit_entries"
    " WHERE action = 'WITHDRAWAL_ACTION' GROUP BY 1",
}
"""For each kind of operation: how often the books hold the effect that a marker stands for."""

PHONES: Final = frozenset({Kind.TOP_UP, Kind.PLAN, Kind.WITHDRAW})

RECEIPTS: Final = "SELECT key, effect_at IS NOT NULL AS has_effect FROM receipts WHERE key = any($1::text[])"

OURS: Final = (
    "SELECT 'stk_push' AS kind, a.transaction_id, i.amount, i.currency, i.reference, a.phone,"
    " a.status = 'succeeded' AS is_done, false AS is_in_doubt,"
    " (SELECT count(*) FROM ledger_transfers AS t WHERE t.subject = 'payment:' || i.reference) AS transfers"
    " FROM payment_attempts AS a JOIN payment_intents AS i ON i.id = a.intent_id WHERE a.gateway = 'lipana'"
    " UNION ALL"
    " SELECT 'payout', w.transaction_id, w.amount, w.currency, NULL, w.destination,"
    " w.stage = 'completed', w.stage = 'processing' AND w.transaction_id IS NULL,"
    " (SELECT count(*) FROM ledger_transfers AS t WHERE t.subject = 'withdrawal:' || w.id"
    "  AND t.reference NOT LIKE '%:reserve') FROM withdrawals AS w WHERE w.sent_at IS NOT NULL"
)

UNSETTLED: Final = (
    "SELECT 'attempt ' || a.id || ' ' || a.status FROM payment_attempts AS a"
    # one that the provider never saw stays unknown for half an hour; O6 looks whether he has seen it
    " WHERE a.status IN ('created', 'sending', 'pending') OR (a.status = 'unknown' AND a.transaction_id IS NOT NULL)"
    # a payout whose answer was lost has no name to ask by: its money stays set aside until staff look (O6 looks too)
    " UNION ALL SELECT 'withdrawal ' || id || ' ' || stage FROM withdrawals"
    " WHERE stage = 'approved' OR (stage = 'processing' AND transaction_id IS NOT NULL)"
    " UNION ALL SELECT 'outbox ' || subscriber FROM outbox_messages WHERE done_at IS NULL AND dead_at IS NULL"
    " UNION ALL SELECT 'event ' || id FROM gateway_events WHERE look_at IS NOT NULL"
    " UNION ALL SELECT 'mail ' || id FROM mail_queue WHERE sent_at IS NULL AND dead_at IS NULL"
)
HURRY: Final = (
    # whoever waits to be asked about waits a minute or more; a drill has less time than a payer
    "UPDATE payment_attempts SET next_check_at = now() WHERE next_check_at > now()",
    "UPDATE payment_attempts SET sent_at = sent_at - interval '75 s' WHERE status = 'sending'",
    "UPDATE withdrawals SET payable_at = now() WHERE stage = 'approved' AND payable_at > now()",
    "UPDATE withdrawals SET next_step_at = now() WHERE next_step_at > now()",
    "UPDATE withdrawals SET sent_at = sent_at - interval '75 s' WHERE stage = 'processing'",
    "UPDATE outbox_messages SET due_at = now() WHERE done_at IS NULL AND attempts > 1",
    "UPDATE gateway_events SET look_at = now() WHERE look_at > now()",
    "UPDATE mail_queue SET due_at = now() WHERE sent_at IS NULL AND dead_at IS NULL AND due_at > now()",
    "INSERT INTO job_runs (id, job, due_at) SELECT gen_random_uuid(), j, clock_timestamp() FROM unnest(ARRAY["
    "'payments.reconcile', 'payments.expire_attempts', 'payments.apply_events', 'payments.run_payouts']) AS j"
    " WHERE NOT EXISTS (SELECT FROM job_runs AS r WHERE r.job = j AND r.finished_at IS NULL)",
)
"""What makes everything that waits for its time due now, as if a minute had passed."""


Broken = dict[str, list[str]]


async def settle(installation: Installation, *, within_s: float = SETTLED_WITHIN_S) -> list[str]:
    """Wait until nothing is under way, making what waits for its time due; return what is left."""
    left: list[str] = []
    hurried_at = 0.0

    async def is_settled() -> bool:
        nonlocal left, hurried_at
        async with installation.superuser() as connection:
            left = [str(row[0]) for row in await connection.fetch(UNSETTLED)]
            ours = [dict(row) for row in await connection.fetch(OURS)]
            left += provider_and_books(await provider_books(installation), ours).get("O6", [])
            if left and time.monotonic() - hurried_at > 5:
                hurried_at = time.monotonic()
                for statement in HURRY:
                    await connection.execute(statement)
        return not left

    try:
        await until("everything is settled", is_settled, within_s=within_s, every_s=0.3)
    except TimeoutError:
        return left
    return []


async def judge(
    installation: Installation, journal: Journal, *, settled_within_s: float = SETTLED_WITHIN_S, was_killed: bool = True
) -> Broken:
    """Return what breaks which rule, after everything has come to rest; empty is what is wanted."""
    left = await settle(installation, within_s=settled_within_s)
    found: Broken = {"at rest": left} if left else {}
    found |= await processes_at_rest(installation, was_killed=was_killed)
    async with installation.superuser() as connection:
        found |= await broken_rules(connection, BOOKS | AT_REST)
        found |= clients_and_books(journal.entries, await effects(connection), await receipts(connection, journal))
        ours = [dict(row) for row in await connection.fetch(OURS)]
        found |= provider_and_books(await provider_books(installation), ours)
        stored = await stored_texts(connection)
    database = Database(installation.postgres.url(DATABASE))
    try:
        await assert_sound(database, SystemClock())
    except AssertionError as error:
        found["O9"] = [str(error)[:300]]
    finally:
        await database.close()
    figures = {f"figures of {api.name}": await _metrics(installation, api.port) for api in installation.apis}
    errors = {f"error {number}": body for number, body in enumerate(journal.error_bodies)}
    found |= canaries_in(installation.logs() | figures | errors | stored)
    return found


# -- O5 --


async def effects(connection: asyncpg.Connection) -> dict[Kind, dict[str, int]]:
    """Return how often each marker has its effect."""
    return {kind: {row[0] or "": row[1] for row in await connection.fetch(sql)} for kind, sql in EFFECTS.items()}


async def receipts(connection: asyncpg.Connection, journal: Journal) -> dict[str, bool]:
    """Return for each key that is remembered whether an effect was committed under it."""
    rows = await connection.fetch(RECEIPTS, [entry.key for entry in journal.entries])
    return {row["key"]: row["has_effect"] for row in rows}


def clients_and_books(
    entries: Iterable[Entry], done: Mapping[Kind, Mapping[str, int]], kept: Mapping[str, bool]
) -> Broken:
    """Compare what clients know with what the books hold."""
    wrong = []
    for entry in entries:
        marker = f"+254{entry.marker[1:]}" if entry.kind in PHONES else entry.marker
        count, has_effect = done[entry.kind].get(marker, 0), kept.get(entry.key, False)
        match entry.outcome:
            case Outcome.OK:
                is_right = count == 1 and has_effect
            case Outcome.FAIL:
                is_right = count == 0 and not has_effect
            case _:
                is_right = count in {0, 1}
        if not is_right:
            told = f"{entry.kind.value} {entry.marker} {entry.outcome.value} ({entry.status} {entry.code})"
            wrong.append(f"{told}: {count} effects, under its key {int(has_effect)}")
    return {"O5": wrong} if wrong else {}


# -- O6 --


async def provider_books(installation: Installation) -> list[dict[str, Any]]:
    """Ask the provider for its books."""
    port = installation.processes["provider"].port
    reply = await installation.http.get(
        f"http://127.0.0.1:{port}/control/books", headers={"x-control-key": CONTROL_KEY}
    )
    found: list[dict[str, Any]] = json.loads(reply.content)
    return found


def provider_and_books(theirs: Sequence[Mapping[str, Any]], ours: Sequence[Mapping[str, Any]]) -> Broken:
    """Compare the provider's movements with our payments and payouts, one to one.

    A payout that is in doubt with us, since its answer was lost, is one that he may have made.
    """
    wrong = []
    doubts = Counter((row["kind"], row["phone"], row["amount"]) for row in ours if row["is_in_doubt"])
    known = Counter(row["transaction_id"] for row in ours if row["transaction_id"] is not None)
    by_id = {row["transaction_id"]: row for row in ours}
    for movement in theirs:
        named, row = f"{movement['kind']} {movement['id']}", by_id.get(movement["id"])
        doubt = (movement["kind"], movement["phone"], movement["amount"] * SHILLING_MINOR)
        if row is None and doubts[doubt] > 0:
            doubts[doubt] -= 1
            continue
        if known[movement["id"]] != 1 or row is None:
            wrong.append(f"{named}: {known[movement['id']]} of ours")
            continue
        facts = (row["kind"], row["amount"], row["currency"])
        if facts != (movement["kind"], movement["amount"] * SHILLING_MINOR, movement["currency"]):
            wrong.append(f"{named}: other facts with us: {facts}")
        if movement["reference"] is not None and movement["reference"] != row["reference"]:
            wrong.append(f"{named}: another reference with us: {row['reference']}")
        has_moved = movement["steps"][-1]["status"] == "success"
        if (row["is_done"], row["transfers"]) != (has_moved, int(has_moved)):
            wrong.append(f"{named}: moved {has_moved}, with us {row['is_done']} in {row['transfers']} transfers")
    listed = {movement["id"] for movement in theirs}
    wrong += [
        f"{row['kind']} {row['transaction_id']}: the provider knows of none"
        for row in ours
        if row["is_done"] and row["transaction_id"] not in listed
    ]
    return {"O6": wrong} if wrong else {}


# -- O10 --


async def processes_at_rest(installation: Installation, *, was_killed: bool) -> Broken:
    """Give the processes five seconds to let go of all connections, and look for files half written.

    Who is killed while it writes a file leaves it behind; the job for that takes what is older than a day.
    """
    lent: dict[str, float] = {}

    async def is_quiet() -> bool:
        for api in installation.apis:
            lent[api.name] = figure(await _metrics(installation, api.port), "soko_connections_borrowed")
        return not any(lent.values())

    found: Broken = {}
    try:
        await until("no connection is lent", is_quiet, within_s=QUIET_WITHIN_S)
    except TimeoutError:
        found["O10 connections"] = [f"{name}: {count:.0f}" for name, count in lent.items() if count]
    if was_killed:
        await _a_day_passes(installation)
    left = half_written(installation.data)
    if left:
        found["O10 files"] = left
    return found


def half_written(data: Path) -> list[str]:
    """Return the files that somebody began and nobody finished."""
    return sorted(path.name for path in (data / "files" / "incoming").glob("*"))


async def _a_day_passes(installation: Installation) -> None:
    """Let what lies half written be two days old, and have the job run that looks for it."""
    two_days_ago = time.time() - timedelta(days=2).total_seconds()
    for name in half_written(installation.data):
        os.utime(installation.data / "files" / "incoming" / name, (two_days_ago, two_days_ago))
    run = "INSERT INTO job_runs (id, job, due_at) VALUES (gen_random_uuid(), 'files.clean_orphans', $1)"
    async with installation.superuser() as connection:
        due_at = await connection.fetchval("SELECT clock_timestamp()")
        await connection.execute(run, due_at)

        async def is_done() -> bool:
            return bool(
                await connection.fetchval(
                    "SELECT finished_at IS NOT NULL FROM job_runs WHERE job = 'files.clean_orphans' AND due_at = $1",
                    due_at,
                )
            )

        await until("orphans are cleaned", is_done, within_s=30)


def figure(metrics: bytes, name: str) -> float:
    """Return one figure of a process. Raises KeyError."""
    for line in metrics.decode().splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[1])
    raise KeyError(name)


async def _metrics(installation: Installation, port: int) -> bytes:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:  # its own connection: drills cut the others
        return (await client.get(f"http://127.0.0.1:{port}/metrics")).content


# -- O11 --


async def stored_texts(connection: asyncpg.Connection) -> dict[str, bytes]:
    """Return what waits for others, or is kept of what went wrong: nobody's secret or address belongs there."""
    queries = {
        "payloads of events": "SELECT string_agg(payload::text, ' ') FROM outbox_messages",
        "errors of deliveries": "SELECT string_agg(last_error, ' ') FROM outbox_messages",
        "errors of jobs": "SELECT string_agg(last_error, ' ') FROM job_runs",
    }
    return {name: (await connection.fetchval(sql) or "").encode() for name, sql in queries.items()}


def canaries_in(texts: Mapping[str, bytes]) -> Broken:
    """Look for what may stand nowhere."""
    ours = [API_KEY.encode(), WEBHOOK_SECRET.encode(), b"eyJ", b"@example.test", *CANARIES]
    # what a task is called is part of its events, and of nothing else
    shown = {"payloads of events": {b"canary-work"}}
    wrong = [
        f"{canary.decode()} in {name}"
        for name, text in texts.items()
        for canary in ours
        if canary in text and canary not in shown.get(name, set())
    ]
    return {"O11": sorted(set(wrong))} if wrong else {}
