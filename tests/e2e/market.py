"""The whole server over a real PostgreSQL and a real disk, with a clock that the test moves and a provider in memory.

Everything is wired as in production (`real_adapters`, `build`, `create_edge`); replaced are time, password hashing, the
mail server and the payment provider. `drain` delivers what waits in the outbox, `run` runs a job by its name.
"""

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast
from uuid import UUID, uuid4

import httpx

from application.core.identity.security import AccessClaims, PasswordHasher
from domain.core.kernel.ids import AccountId
from infrastructure.lipana import callback
from infrastructure.postgres.core.outbox import PostgresOutbox
from infrastructure.postgres.core.revocations import PostgresRevocations
from infrastructure.postgres.database import Database
from infrastructure.postgres.replica import LaggingReads
from infrastructure.queue.delivery import DeliverMessage
from infrastructure.system.ids import UuidV7Source
from interface.bootstrap.adapters import Adapters
from interface.bootstrap.area import SubscriptionList
from interface.bootstrap.asgi import create_edge
from interface.bootstrap.container import Server, build
from interface.bootstrap.core.payment_gateways import BoundGateways
from interface.bootstrap.runtime import real_adapters
from interface.bootstrap.settings import read_settings
from tests.e2e.transactions import AskedOutside, CountedDatabase
from tests.fakes.core.mailer import InMemoryMailer
from tests.fakes.core.payment_gateway import InMemoryPaymentGateway
from tests.fakes.core.policies import DefaultPolicies
from tests.fakes.core.security import PlainPasswordHasher
from tests.fakes.core.system import FixedClock

LIPANA_SECRET = "lipana_test_secret_0123456789abcdef"
PASSWORD = "Tall-trees-7"
OPENING = datetime.fromisoformat("2026-03-02T08:00:00+00:00")
"""A Monday; 11:00 in Nairobi."""

REGISTERED_WORDS = {"student": "STUDENT", "writer": "WRITER"}


class LipanaInMemory(AskedOutside, InMemoryPaymentGateway):
    """The provider in memory with Lipana's callbacks."""

    async def verify(self, body: bytes, headers: Mapping[str, str], *, now: datetime, path: str = "") -> None:
        callback.verify(body, headers.get(callback.SIGNATURE_HEADER), [LIPANA_SECRET])

    def parse(self, body: bytes, path: str = "") -> Any:
        return callback.parse(body)


class MailerInMemory(AskedOutside, InMemoryMailer):
    """The mail server in memory."""


@dataclass(slots=True)
class Person:
    """Somebody with an account; `roles` are what his token says."""

    id: AccountId
    username: str
    roles: frozenset[str]


@dataclass(slots=True, kw_only=True)
class Market:
    """One process of the server, the hands that move what is around it, and the eyes that look into its database."""

    server: Server
    adapters: Adapters
    subscriptions: SubscriptionList
    database: Database
    clock: FixedClock
    policies: DefaultPolicies
    gateway: LipanaInMemory
    mailer: InMemoryMailer
    app: Callable[..., Any]
    """What is served, for requests from another address than that of `http`."""
    http: httpx.AsyncClient
    files: Path
    """Where uploads are stored."""
    lagging: LaggingReads | None = None
    """The way to the replica, for a market with one; its test looks at the replica by hand."""
    people: dict[str, Person] = field(default_factory=dict)

    # -- people --

    async def register(self, username: str, *roles: str) -> Person:
        """Register over HTTP; further roles are chosen afterwards, `admin` is given as the command line gives it."""
        chosen = [role for role in roles if role != "admin"]
        body = {"username": username, "email": f"{username}@example.test", "password": PASSWORD}
        if chosen:
            body["role"] = REGISTERED_WORDS.get(chosen[0], chosen[0])
        reply = await self.http.post("/api/auth/register", json=body)
        assert reply.status_code == 201, reply.text
        person = Person(AccountId(UUID(reply.json()["id"])), username, frozenset(roles))
        if chosen[1:] or "admin" in roles:
            await self.execute(
                "UPDATE accounts SET roles = $2, role_states = $3 WHERE id = $1",
                person.id,
                list(roles),
                ["active"] * len(roles),
            )
        self.people[username] = person
        return person

    def headers(self, person: Person) -> dict[str, str]:
        """Return the headers of a person whose token was issued just now."""
        claims = AccessClaims(
            account_id=person.id,
            family_id=UuidV7Source().new(),  # with its time in it: a restore ends all that began before
            epoch=0,
            roles=person.roles,
            expires_at=self.clock.now() + timedelta(minutes=30),
        )
        token = self.adapters.access_tokens.issue(claims, token_id=uuid4(), issued_at=self.clock.now())
        return {"authorization": f"Bearer {token}"}

    # -- requests --

    async def get(self, person: Person | None, path: str, **parameters: Any) -> httpx.Response:
        return await self.http.get(path, params=parameters, headers=self._sign(person))

    async def post(
        self, person: Person | None, path: str, body: object = None, *, key: str | None = None
    ) -> httpx.Response:
        headers = self._sign(person) | ({} if key is None else {"idempotency-key": key})
        return await self.http.post(path, json=body, headers=headers)

    async def patch(self, person: Person | None, path: str, body: object) -> httpx.Response:
        return await self.http.patch(path, json=body, headers=self._sign(person))

    async def send_form(
        self,
        person: Person | None,
        path: str,
        fields: Mapping[str, Any],
        *files: tuple[str, str, bytes],
        method: str = "POST",
    ) -> httpx.Response:
        """Send a multipart form; each file is (field, name, bytes)."""
        parts = [(field, (name, content, "application/octet-stream")) for field, name, content in files]
        if not parts:  # httpx sends a form without files as urlencoded
            parts = [("unasked", ("empty", b"", "application/octet-stream"))]
        return await self.http.request(method, path, data=dict(fields), files=parts, headers=self._sign(person))

    def client_at(self, address: str) -> httpx.AsyncClient:
        """Return a client whose requests come from a network address."""
        transport = httpx.ASGITransport(app=self.app, client=(address, 40_000))
        return httpx.AsyncClient(transport=transport, base_url="http://soko.test")

    def _sign(self, person: Person | None) -> dict[str, str]:
        return {} if person is None else self.headers(person)

    async def lipana(self, fields: Mapping[str, Any]) -> httpx.Response:
        """Post a signed callback."""
        body = json.dumps(fields, separators=(",", ":")).encode()
        headers = {callback.SIGNATURE_HEADER: callback.signature(body, LIPANA_SECRET)}
        return await self.http.post("/api/payments/lipana/callback", content=body, headers=headers)

    async def top_up(self, person: Person, amount: int, phone: str = "0712345678") -> None:
        """Have money in a wallet, by a payment and its callback."""
        reply = await self.post(person, "/api/wallet/topup", {"amount": amount, "phone": phone})
        assert reply.status_code == 201, reply.text
        paid = await self.lipana({"reference": reply.json()["reference"], "status": "SUCCESS", "amount": amount})
        assert paid.status_code == 200, paid.text
        await self.drain()

    async def buy_plan(self, person: Person, plan: str = "P2", phone: str = "0722000111") -> None:
        """Have a plan, by a payment and its callback."""
        reply = await self.post(person, "/api/subscriptions/pay", {"plan": plan, "phone": phone})
        assert reply.status_code == 201, reply.text
        amount = float(reply.json()["amount"])
        await self.lipana({"reference": reply.json()["reference"], "status": "SUCCESS", "amount": amount})
        await self.drain()

    # -- what happens beside requests --

    async def drain(self) -> int:
        """Deliver what waits in the outbox, and what that causes; mails too. Return how many messages there were."""
        outbox = PostgresOutbox(self.database, self.clock)
        deliver = DeliverMessage(outbox, self.subscriptions)
        delivered = 0
        while taken := await outbox.take(100):
            for message in taken:
                await deliver.taken(message)
            delivered += len(taken)
        deliver_mails = next(use_case for name, use_case in self.server.named_use_cases() if name == "deliver_mails")
        while await deliver_mails(100):
            pass
        await self.refresh()
        failed = await self.rows("SELECT event_name, last_error FROM outbox_messages WHERE done_at IS NULL")
        assert failed == [], failed
        return delivered

    async def refresh(self) -> None:
        """Follow what was revoked, as the loop of the server does."""
        revocations = self.adapters.revocations
        assert isinstance(revocations, PostgresRevocations)
        await revocations.refresh()

    async def run(self, job: str) -> int:
        """Run a job once and return how many things it handled."""
        found = next(one for one in self.server.jobs if one.name == job)
        return await found.run(found.batch_max)

    # -- looking --

    async def rows(self, sql: str, *arguments: object) -> list[dict[str, Any]]:
        async with self.database.connection() as connection:
            return [dict(row) for row in await connection.fetch(sql, *arguments)]

    async def value(self, sql: str, *arguments: object) -> Any:
        async with self.database.connection() as connection:
            return await connection.fetchval(sql, *arguments)

    async def execute(self, sql: str, *arguments: object) -> None:
        async with self.database.connection() as connection:
            await connection.execute(sql, *arguments)

    async def balance(self, account: str, currency: str = "KES") -> int:
        """Return a balance in minor units, from the postings themselves."""
        return int(
            await self.value(
                "SELECT COALESCE(sum(CASE WHEN destination = $1 THEN amount ELSE -amount END), 0)::bigint"
                " FROM ledger_postings WHERE currency = $2 AND $1 IN (source, destination)",
                account,
                currency,
            )
        )

    async def wallet(self, person: Person) -> int:
        """Return what a person can spend, in cents of KES; the stored balance says the same."""
        name = f"wallet:user:{person.id}"
        posted = await self.balance(name)
        stored = await self.value("SELECT balance FROM ledger_balances WHERE account = $1 AND currency = 'KES'", name)
        assert posted == (stored or 0)
        return posted

    async def escrow(self, task_id: str) -> int:
        """Return what is held for a task, in cents of KES."""
        return await self.balance(f"escrow:task:{task_id}")

    async def told(self, person: Person) -> list[tuple[str, str]]:
        """Return title and message of what a person was told, oldest first."""
        rows = await self.rows("SELECT title, message FROM notices WHERE recipient = $1 ORDER BY seq", person.id)
        return [(row["title"], row["message"]) for row in rows]

    def stored_files(self) -> list[str]:
        """Return what lies in the storage."""
        return sorted(str(path.relative_to(self.files)) for path in self.files.rglob("*") if path.is_file())


@asynccontextmanager
async def open_market(
    url: str,
    folder: Path,
    *,
    pool_size: int = 8,
    replica_url: str = "",
    replica_elapsed: Callable[[], float] = time.monotonic,
    clock: FixedClock | None = None,
    passwords: PasswordHasher | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[Market]:
    """Open one process of the server over a database and a folder for its files; several share a clock."""
    clock, policies, mailer = clock or FixedClock(OPENING), DefaultPolicies(), MailerInMemory()
    gateway = LipanaInMemory(clock)
    settings = read_settings(
        {
            "SOKO_ENVIRONMENT": "test",
            "SECRET_KEY": "a secret for tests, 32 bytes or more",
            "SOKO_DATA_DIR": str(folder),
            "SOKO_PUBLIC_URL": "http://soko.test",
            "LIPANA_BASE_URL": "http://127.0.0.1:9",  # the real gateway is replaced below and never called
            "LIPANA_API_KEY": "unused",
            "LIPANA_CALLBACK_SECRET": LIPANA_SECRET,
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_USE_TLS": "off",
            **environment,
        }
    )
    async with AsyncExitStack() as resources:
        database = CountedDatabase(url, pool_size=pool_size)
        resources.push_async_callback(database.close)
        lagging = None
        if replica_url:
            replica = Database(replica_url, pool_size=pool_size)
            resources.push_async_callback(replica.close)
            lagging = LaggingReads(database, replica, lag_max_s=5.0, elapsed=replica_elapsed)
        subscriptions = SubscriptionList()
        real = await real_adapters(
            settings,
            database=database,
            lagging=lagging,
            subscriptions=subscriptions,
            resources=resources,
            clock=clock,
        )
        assert isinstance(real.gateways, BoundGateways)
        adapters = replace(
            real,
            gateways=BoundGateways({**real.gateways.by_method, "mpesa": gateway}),
            mailer=mailer,
            passwords=passwords or PlainPasswordHasher(),
            policies=policies,
            revocations=PostgresRevocations(database, clock, elapsed=lambda: 0.0),
        )
        server = build(adapters, subscriptions)
        edge = create_edge(server, address="http://soko.test", trusted_proxies=settings.trusted_proxies)
        app = cast("Callable[..., Any]", edge)
        transport = httpx.ASGITransport(app=app)
        http = await resources.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://soko.test"))
        market = Market(
            server=server,
            adapters=adapters,
            subscriptions=subscriptions,
            database=database,
            clock=clock,
            policies=policies,
            gateway=gateway,
            mailer=mailer,
            app=app,
            http=http,
            files=folder / "files",
            lagging=lagging,
        )
        await market.refresh()
        yield market
        assert database.borrowed == 0
        assert gateway.asked_inside == []
        assert mailer.asked_inside == []
