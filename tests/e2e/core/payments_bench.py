"""Payments over HTTP and a real PostgreSQL, with a provider in memory."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import httpx
from litestar import Litestar

from application.core.identity.authenticate import Authenticate
from application.core.identity.security import AccessClaims
from application.core.operations.figures import Figures
from application.core.payments.gateway import PaymentGateway
from application.core.payments.refund_ports import RefundPurposes
from application.core.payments.simulation import PaymentSimulator
from domain.core.kernel.ids import AccountId
from domain.core.payments.gateway import PROMPT_CHECKS_AFTER, Answer, Collection
from infrastructure.lipana import callback
from infrastructure.lipana.callback import signature
from infrastructure.postgres.core.payments import PostgresCallbackInbox
from infrastructure.postgres.core.payments_queries import PostgresPayerPhones, PostgresPaymentQueries
from infrastructure.postgres.core.unit_of_work import PostgresCoreUnitOfWork
from infrastructure.postgres.core.withdrawals import PostgresWithdrawalQueries
from infrastructure.postgres.database import Database
from infrastructure.security.soko_callbacks import SokoCallbacks
from interface.bootstrap.area import SubscriptionList
from interface.bootstrap.asgi import create_app
from interface.bootstrap.container import Server
from interface.bootstrap.core.payment_gateways import BoundGateways
from interface.bootstrap.core.payments import payments_area
from interface.bootstrap.core.withdrawals import withdrawals_area
from tests.fakes.core.payment_gateway import InMemoryPaymentGateway
from tests.fakes.core.security import PlainAccessTokens
from tests.fakes.core.system import FixedClock, SeededRandomness, SequentialIds

LIPANA_SECRET = "lipana_test_secret_0123456789abcdef"
"""Also the secret of the published test vector."""
SOKO_SECRET = "soko_test_secret_0123456789abcdef"
PAYER = AccountId(UUID("01900000-0000-7000-8000-000000000001"))
OTHER = AccountId(UUID("01900000-0000-7000-8000-000000000002"))
ADMIN = AccountId(UUID("01900000-0000-7000-8000-000000000009"))


class WatchedGateway(InMemoryPaymentGateway):
    """The provider in memory with Lipana's callbacks, which sees whether a connection is borrowed while it is asked."""

    database: Database | None = None
    borrowed: list[int]

    async def collect(self, collection: Collection) -> Answer:
        self._look()
        return await InMemoryPaymentGateway.collect(self, collection)

    async def query(self, references: Any) -> Answer:
        self._look()
        return await InMemoryPaymentGateway.query(self, references)

    async def verify(self, body: bytes, headers: Mapping[str, str], *, now: datetime, path: str = "") -> None:
        callback.verify(body, headers.get(callback.SIGNATURE_HEADER), [LIPANA_SECRET])

    def parse(self, body: bytes, path: str = "") -> Any:
        return callback.parse(body)

    def _look(self) -> None:
        assert self.database is not None
        self.borrowed.append(self.database.borrowed)


class DefaultPolicies:
    """Every policy at its default, unless a test sets it."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def value(self, policy: Any) -> Any:
        return self.values.get(policy.name, policy.default)

    def default_of(self, policy: Any) -> Any:
        return policy.default


class NothingRevoked:
    def covers(self, claims: AccessClaims) -> bool:
        return False


@dataclass(slots=True, kw_only=True)
class BenchAdapters:
    callback_inbox: Any
    clock: Any
    daily_figures: Any
    gateways: Any
    ids: Any
    payer_phones: Any
    payment_queries: Any
    payment_simulator: Any
    payments_units: Any
    policies: Any
    randomness: Any
    refund_purposes: RefundPurposes = field(default_factory=RefundPurposes)
    soko_callbacks: Any
    withdrawal_queries: Any
    withdrawals_units: Any


@dataclass(slots=True, kw_only=True)
class PaymentsBench:
    """The server, the hands that move what is around it, and the eyes that look into the books."""

    app: Litestar
    client: httpx.AsyncClient
    database: Database
    gateway: WatchedGateway
    clock: FixedClock
    policies: DefaultPolicies
    tokens: PlainAccessTokens
    adapters: BenchAdapters
    use_cases: Any
    jobs: dict[str, Any]
    issued: dict[tuple[AccountId, bool], str] = field(default_factory=dict)

    def headers(self, account: AccountId = PAYER, *, is_admin: bool = False) -> dict[str, str]:
        """Return the headers of a signed-in account."""
        roles = frozenset({"admin"} if is_admin else {"student"})
        claims = AccessClaims(
            account_id=account,
            family_id=UUID(int=7),
            epoch=0,
            roles=roles,
            expires_at=self.clock.now() + timedelta(days=30),
        )
        token = self.tokens.issue(claims, token_id=UUID(int=account.int ^ int(is_admin)), issued_at=self.clock.now())
        return {"authorization": f"Bearer {token}"}

    async def top_up(self, amount: Any, *, phone: str | None = "0712345678", account: AccountId = PAYER) -> Any:
        body = {"amount": amount} | ({} if phone is None else {"phone": phone})
        return await self.client.post("/api/wallet/topup", json=body, headers=self.headers(account))

    async def started(self, amount: Any, *, phone: str = "0712345678", account: AccountId = PAYER) -> str:
        """Start a top-up and return its reference."""
        reply = await self.top_up(amount, phone=phone, account=account)
        assert reply.status_code == 201, reply.text
        reference: str = reply.json()["reference"]
        return reference

    async def callback(self, fields: Any, *, signed_as: str | None = None) -> Any:
        """Post a Lipana callback with a signature."""
        body = fields if isinstance(fields, bytes) else json.dumps(fields, separators=(",", ":")).encode()
        headers = {"x-lipana-signature": signed_as or signature(body, LIPANA_SECRET)}
        return await self.client.post("/api/payments/lipana/callback", content=body, headers=headers)

    async def status(self, reference: str, *, account: AccountId = PAYER) -> Any:
        reply = await self.client.get(f"/api/transactions/status/{reference}", headers=self.headers(account))
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def balance(self, account: str, currency: str = "KES") -> int:
        """Return a balance in minor units, from the postings themselves."""
        query = (
            "SELECT COALESCE(sum(CASE WHEN destination = $1 THEN amount ELSE -amount END), 0)::bigint"
            " FROM ledger_postings WHERE currency = $2 AND $1 IN (source, destination)"
        )
        async with self.database.connection() as connection:
            return int(await connection.fetchval(query, account, currency))

    async def wallet(self, account: AccountId = PAYER) -> int:
        name = f"wallet:user:{account}"
        balance = await self.balance(name)
        async with self.database.connection() as connection:
            stored = await connection.fetchval("SELECT balance FROM ledger_balances WHERE account = $1", name)
        assert balance == (stored or 0)
        return balance

    async def rows(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        async with self.database.connection() as connection:
            return [dict(row) for row in await connection.fetch(query, *arguments)]

    async def run(self, job: str) -> int:
        """Run a job until it finds no full batch."""
        handled: int = await self.jobs[job](200)
        return handled

    async def pass_time(self, until: timedelta = PROMPT_CHECKS_AFTER[-1]) -> None:
        """Let time pass as the scheduler sees it: at every step of the ladder the jobs run."""
        start = self.clock.now()
        for step in sorted({*PROMPT_CHECKS_AFTER, timedelta(minutes=1), timedelta(minutes=15), timedelta(minutes=20)}):
            if step <= until:
                self.clock.set(start + step + timedelta(seconds=1))
                for job in ("payments.apply_events", "payments.reconcile", "payments.expire_attempts"):
                    while await self.run(job) >= 200:
                        pass


@asynccontextmanager
async def payments_bench(
    database_url: str,
    *,
    pool_size: int = 5,
    clock: FixedClock | None = None,
    provider: PaymentGateway | None = None,
    simulator: PaymentSimulator | None = None,
) -> AsyncIterator[PaymentsBench]:
    """Open the payments of the server; `provider` takes the place of the gateway in memory, `simulator` directs it."""
    database = Database(database_url, pool_size=pool_size)
    clock, ids, policies = clock or FixedClock(), SequentialIds(start=1 << 50), DefaultPolicies()
    gateway = WatchedGateway(clock)
    gateway.database, gateway.borrowed = database, []
    queries = PostgresPaymentQueries(database)
    subscriptions = SubscriptionList()

    def units() -> PostgresCoreUnitOfWork:
        return PostgresCoreUnitOfWork(database, clock=clock, ids=ids, subscriptions=subscriptions)

    adapters = BenchAdapters(
        callback_inbox=PostgresCallbackInbox(database),
        clock=clock,
        daily_figures=queries,
        gateways=BoundGateways({"mpesa": provider or gateway}),
        ids=ids,
        payer_phones=PostgresPayerPhones(database),
        payment_queries=queries,
        payment_simulator=simulator,
        payments_units=units,
        policies=policies,
        randomness=SeededRandomness(),
        soko_callbacks=SokoCallbacks(secret=SOKO_SECRET),
        withdrawal_queries=PostgresWithdrawalQueries(database),
        withdrawals_units=units,
    )
    area, withdrawals = payments_area(adapters), withdrawals_area(adapters)
    tokens = PlainAccessTokens()
    nobody: Any = NothingRevoked()
    adapters_of_core: Any = SimpleNamespace(figures=Figures(), vitals=None)
    server = Server(
        adapters=adapters_of_core,
        authenticate=Authenticate(tokens=tokens, revocations=nobody, policies=policies, clock=clock),
        areas=(area, withdrawals),
    )
    app = create_app(server)
    # on the loop of the test itself, so that the pool and the provider live on one loop
    asgi: Any = app
    transport = httpx.ASGITransport(asgi)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://soko.test") as client:
            yield PaymentsBench(
                app=app,
                client=client,
                database=database,
                gateway=gateway,
                clock=clock,
                policies=policies,
                tokens=tokens,
                adapters=adapters,
                use_cases=area.use_cases,
                jobs={job.name: job.run for job in (*area.jobs, *withdrawals.jobs)},
            )
        assert database.borrowed == 0
    finally:
        await database.close()
