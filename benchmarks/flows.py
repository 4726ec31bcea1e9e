"""The flows: what is asked, what must have happened afterwards, and how near to the floor soko has to be."""

import hashlib
import hmac
import random
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from uuid import UUID

import msgspec

from application.core.identity.security import AccessClaims
from benchmarks.data import (
    PAGE,
    PASSWORD,
    PAYMENT_MINOR,
    Kind,
    Scale,
    phone_of,
    reference_of,
    row_id,
    transaction_of,
)
from benchmarks.load.generators import Call
from domain.core.kernel.ids import AccountId
from infrastructure.security.jwt import JwtAccessTokens

CALLERS_MAX = 2_000
"""People who call in turn. Fewer than the verified tokens that a server remembers, as in an hour of a real market."""

SEED = 20_240_229


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What clients know: who they are, and what there is to ask for."""

    scale: Scale
    secret: str
    issuer: str
    callback_secret: str

    def as_caller(self, kind: Kind, number: int) -> dict[str, str]:
        """Return the header of somebody who is signed in."""
        return {"Authorization": f"Bearer {_token(self.secret, self.issuer, kind, number)}"}


@cache
def _issuer(secret: str, issuer: str) -> JwtAccessTokens:
    return JwtAccessTokens(algorithm="HS256", key=secret, issuer=issuer, audience="soko")


@cache
def _token(secret: str, issuer: str, kind: Kind, number: int) -> str:
    now = datetime.now(UTC)
    account = row_id(kind, number)
    claims = AccessClaims(
        account_id=AccountId(account),
        family_id=account,
        epoch=0,
        roles=frozenset({kind.name.lower()}),
        expires_at=now + timedelta(hours=2),
    )
    return _issuer(secret, issuer).issue(claims, token_id=account, issued_at=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One endpoint under load.

    `calls(market, first, count)` makes requests about subjects number `first` and on, counted from 1. `effects` are the
    rows that one answered request adds, by table, and what it adds to the sum of a column; the first is a table and
    counts the requests. `faults` are queries that count
    what must never be.
    """

    key: str
    title: str
    target: float
    """Of the floor's requests a second."""
    calls: Callable[[Market, int, int], Sequence[Call]]
    supply: Callable[[Scale], int] | None = None
    """How many subjects there are, where each can be used once; None where requests may be repeated."""
    effects: Mapping[str, int] = field(default_factory=dict)
    reset: Sequence[str] = ()
    """What is done before each round, so that every round starts from the same state."""
    faults: Mapping[str, str] = field(default_factory=dict)
    is_crowded: bool = True
    """Whether it is also measured with many connections; not where hashing is the limit by intent."""


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


def cursor_after(edge: UUID) -> str:
    """Return the cursor that a client has after a row."""
    return urlsafe_b64encode(b"a" + edge.bytes).decode().rstrip("=")


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


BOOKS = {
    "balances that are not the sum of their postings": """
        SELECT count(*) FROM ledger_balances AS b
        LEFT JOIN (
            SELECT account, currency, sum(amount) AS moved FROM (
                SELECT destination AS account, currency, amount FROM ledger_postings
                UNION ALL SELECT source, currency, -amount FROM ledger_postings
            ) AS legs GROUP BY 1, 2
        ) AS m USING (account, currency)
        WHERE b.balance <> coalesce(m.moved, 0)
    """,
    "transfers without postings": """
        SELECT count(*) FROM ledger_transfers AS t
        WHERE NOT EXISTS (SELECT FROM ledger_postings AS p WHERE p.transfer_id = t.id)
    """,
}

_CLAIMING = "account_id IN (SELECT claim_writer_id FROM tasks WHERE stage = 'working')"

FLOWS = (
    Flow(
        key="P1",
        title="GET available tasks, first and deep pages in turn",
        target=0.65,
        calls=_pages,
    ),
    Flow(key="P2", title="GET wallet", target=0.6, calls=_wallets),
    Flow(
        key="P8",
        title="POST login",
        target=0.9,
        calls=_logins,
        effects={"sign_ins": 1, "audit_entries": 1, "audit_unsealed": 1},
        is_crowded=False,
        faults={"attempts that were not given back": "SELECT count(*) FROM attempt_counters WHERE attempts > 0"},
    ),
    Flow(
        key="P3",
        title="POST claim",
        target=0.7,
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
        target=0.7,
        calls=_callbacks,
        supply=lambda scale: scale.payments,
        effects={
            "gateway_events": 1,
            "ledger_transfers": 1,
            "ledger_postings": 1,
            "ledger_unsealed": 1,
            "outbox_messages": 2,
        },
        faults={
            "attempts, events and transfers that disagree": """
                SELECT (SELECT count(*) FROM payment_attempts WHERE status = 'succeeded')
                    - (SELECT count(*) FROM gateway_events WHERE result = 'processed')
            """,
            **BOOKS,
        },
    ),
    Flow(
        key="P5",
        title="POST approve submission",
        target=0.7,
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
)
