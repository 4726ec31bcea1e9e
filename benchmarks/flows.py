"""The flows: what is asked, what must have happened afterwards, and how near to the floor soko has to be."""

import hashlib
import hmac
import random

import msgspec

from benchmarks.data import PAGE, PASSWORD, PAYMENT_MINOR, Kind, phone_of, reference_of, row_id, transaction_of
from benchmarks.flow import BOOKS, CALLERS_MAX, SEED, Flow, Market, cursor_after
from benchmarks.gigs_flows import GIGS_FLOWS
from benchmarks.load.generators import Call


def page_calls(market: Market, *, deep: bool | None) -> list[Call]:
    """Ask for the first page of open tasks, for deep ones, or (None) for both in turn."""
    chance, calls = random.Random(SEED), []
    for number in range(CALLERS_MAX):
        path = f"/api/tasks/available?limit={PAGE}"
        if deep or (deep is None and number % 2):
            edge = row_id(Kind.OPEN_TASK, chance.randint(market.scale.open_tasks // 2, market.scale.open_tasks - PAGE))
            path += f"&cursor={cursor_after(edge)}"
        caller = market.as_caller(Kind.WRITER, 1 + number % market.scale.writers)
        calls.append(Call(method="GET", path=path, headers=caller))
    return calls


def calls_after(market: Market, number: int) -> list[Call]:
    """Ask for the page of open tasks that comes after so many of them."""
    path = f"/api/tasks/available?limit={PAGE}"
    if number:
        path += f"&cursor={cursor_after(row_id(Kind.OPEN_TASK, number))}"
    return [
        Call(method="GET", path=path, headers=market.as_caller(Kind.WRITER, 1 + caller % market.scale.writers))
        for caller in range(CALLERS_MAX)
    ]


def _pages(market: Market, _: int, __: int) -> list[Call]:
    return page_calls(market, deep=None)


def _wallets(market: Market, _: int, __: int) -> list[Call]:
    owners = random.Random(SEED).sample(range(1, market.scale.wallets + 1), min(CALLERS_MAX, market.scale.wallets))
    return [Call(method="GET", path="/api/wallet", headers=market.as_caller(Kind.STUDENT, number)) for number in owners]


def _claims(market: Market, first: int, count: int) -> list[Call]:
    return [
        Call(
            method="POST",
            path=f"/api/tasks/{row_id(Kind.OPEN_TASK, number)}/claim",
            headers=market.as_caller(Kind.WRITER, 1 + number % market.scale.writers),
        )
        for number in range(first, first + count)
    ]


def _callbacks(market: Market, first: int, count: int) -> list[Call]:
    calls = []
    for number in range(first, first + count):
        data = {
            "transactionId": transaction_of(number),
            "status": "success",
            "amount": f"{PAYMENT_MINOR // 100}.{PAYMENT_MINOR % 100:02d}",
            "phone": phone_of(number),
            "reference": reference_of(number),
            "mpesaReceiptNumber": f"BENCH{number:08d}",
        }
        body = msgspec.json.encode({"event": "payment.success", "data": data})
        signature = hmac.new(market.callback_secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "X-Lipana-Signature": signature}
        calls.append(Call(method="POST", path="/api/payments/lipana/callback", headers=headers, body=body))
    return calls


def _approvals(market: Market, first: int, count: int) -> list[Call]:
    caller = {**market.as_caller(Kind.ADMIN, 1), "Content-Type": "application/json"}
    return [
        Call(
            method="POST",
            path=f"/api/admin/submissions/{row_id(Kind.SUBMISSION, number)}/approve",
            headers=caller,
            body=b'{"version":1}',
        )
        for number in range(first, first + count)
    ]


def _logins(market: Market, _: int, __: int) -> list[Call]:
    names = random.Random(SEED).sample(range(1, market.scale.wallets + 1), min(CALLERS_MAX, market.scale.wallets))
    return [
        Call(
            method="POST",
            path="/api/auth/login",
            headers={"Content-Type": "application/json"},
            body=msgspec.json.encode({"username": f"student{number}", "password": PASSWORD}),
        )
        for number in names
    ]


CHANGES = {"drf": 4, "fastapi": 2.5}
"""The targets of flows that change something. What we first wanted of the floor, and of Django in P1 and P4, was more:
docs/adr/0032-speed-that-rules-cost.md has the figures and the reasons."""

_CLAIMING = "account_id IN (SELECT claim_writer_id FROM tasks WHERE stage = 'working')"

FLOWS = (
    Flow(
        key="P1",
        title="GET available tasks, first and deep pages in turn",
        targets={"floor": 0.6, "drf": 4, "fastapi": 2.5},
        calls=_pages,
    ),
    Flow(key="P2", title="GET wallet", targets={"floor": 0.3, "drf": 4, "fastapi": 2}, calls=_wallets),
    Flow(
        key="P8",
        title="POST login",
        targets={"floor": 0.9},
        calls=_logins,
        effects={"sign_ins": 1, "audit_entries": 1, "audit_unsealed": 1},
        is_crowded=False,
        faults={"attempts that were not given back": "SELECT count(*) FROM attempt_counters WHERE attempts > 0"},
    ),
    Flow(
        key="P3",
        title="POST claim",
        targets=CHANGES | {"floor": 0.45},
        calls=_claims,
        supply=lambda scale: scale.open_tasks,
        effects={"claims": 1, "outbox_messages": 1, "writers.used": 1, "writers.open_claims": 1},
        reset=(
            f"UPDATE writers SET used = 0, open_claims = 0 WHERE {_CLAIMING}",  # noqa: S608 - a constant of ours
            "VACUUM writers",
        ),
        faults={
            "tasks with two active claims": """
                SELECT count(*) FROM (
                    SELECT FROM claims WHERE ended_at IS NULL GROUP BY task_id HAVING count(*) > 1
                ) AS twice
            """,
            "tasks and claims that disagree": """
                SELECT count(*) FROM tasks AS t FULL JOIN (SELECT * FROM claims WHERE ended_at IS NULL) AS c
                    ON c.id = t.claim_id AND c.task_id = t.id AND c.writer_id = t.claim_writer_id
                WHERE (t.claim_id IS NOT NULL OR t.id IS NULL) AND (c.id IS NULL OR t.id IS NULL)
            """,
        },
    ),
    Flow(
        key="P4",
        title="POST Lipana callback",
        targets=CHANGES | {"floor": 0.35, "drf": 1.7},
        calls=_callbacks,
        supply=lambda scale: scale.payments,
        effects={
            "gateway_events": 1,
            "ledger_transfers": 1,
            "ledger_postings": 1,
            "ledger_unsealed": 1,
            "outbox_messages": 3,
        },
        faults={
            "attempts, events and transfers that disagree": """
                SELECT (SELECT count(*) FROM payment_attempts WHERE status = 'succeeded' AND gateway = 'lipana')
                    - (SELECT count(*) FROM gateway_events WHERE result = 'processed')
            """,
            **BOOKS,
        },
    ),
    Flow(
        key="P5",
        title="POST approve submission",
        targets=CHANGES | {"floor": 0.4},
        calls=_approvals,
        supply=lambda scale: scale.submissions,
        effects={
            "releases": 1,
            "ledger_transfers": 1,
            "ledger_postings": 2,
            "ledger_unsealed": 1,
            "points_entries": 1,
            "ratings.points": 5,
            "writers.open_claims": -1,
            "audit_entries": 2,
            "audit_unsealed": 2,
            "outbox_messages": 2,
        },
        faults={
            "paid tasks whose escrow is not empty": """
                SELECT count(*) FROM releases AS r JOIN ledger_balances AS b ON b.account = 'escrow:task:' || r.task_id
                WHERE b.balance <> 0
            """,
            "completed tasks without a release": """
                SELECT (SELECT count(*) FROM tasks WHERE status = 'COMPLETED') - (SELECT count(*) FROM releases)
            """,
            **BOOKS,
        },
    ),
    *GIGS_FLOWS,
)
