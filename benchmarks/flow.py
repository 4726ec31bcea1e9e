"""What a flow is, and what clients know of the market."""

from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from uuid import UUID

from application.core.identity.security import AccessClaims
from benchmarks.data import Kind, Scale, row_id
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
    targets: Mapping[str, float]
    """Who else answers this flow, and how many times his requests a second soko is to answer."""
    calls: Callable[[Market, int, int], Sequence[Call]]
    compared: int = 1
    """So many of the first calls are compared between the servers, where requests may be repeated."""
    supply: Callable[[Scale], int] | None = None
    """How many subjects there are, where each can be used once; None where requests may be repeated."""
    effects: Mapping[str, int] = field(default_factory=dict)
    reset: Sequence[str] = ()
    """What is done before each round, so that every round starts from the same state."""
    faults: Mapping[str, str] = field(default_factory=dict)
    is_crowded: bool = True
    """Whether it is also measured with many connections; not where hashing is the limit by intent."""


def cursor_after(edge: UUID) -> str:
    """Return the cursor that a client has after a row."""
    return urlsafe_b64encode(b"a" + edge.bytes).decode().rstrip("=")


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
