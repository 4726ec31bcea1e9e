"""The server's sign-in over a real PostgreSQL, with a clock that the test moves."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import httpx
from litestar import Litestar

from application.core.identity.authenticate import Authenticate
from application.core.identity.desk import CodeDesk
from application.core.operations.figures import Figures
from infrastructure.postgres.core.identity import PostgresAttemptCounter, PostgresTickets
from infrastructure.postgres.core.identity_housekeeping import PostgresIdentityHousekeeping
from infrastructure.postgres.core.identity_queries import PostgresIdentityQueries
from infrastructure.postgres.core.revocations import PostgresRevocations
from infrastructure.postgres.core.unit_of_work import PostgresCoreUnitOfWork
from infrastructure.postgres.database import Database
from infrastructure.security.jwt import JwtAccessTokens
from infrastructure.security.passwords import HmacCodeHasher
from infrastructure.security.sealing import AesGcmSealer
from infrastructure.system.ids import UuidV7Source
from infrastructure.system.phones import GooglePhoneNumbers
from interface.bootstrap.adapters import Adapters
from interface.bootstrap.area import SubscriptionList
from interface.bootstrap.asgi import create_app
from interface.bootstrap.container import Server
from interface.bootstrap.core.identity import identity_area
from tests.fakes.core.policies import DefaultPolicies
from tests.fakes.core.security import CountedPasswords, PlainPasswordHasher
from tests.fakes.core.system import FixedClock, SeededRandomness

SECRET = "a secret for tests, 32 bytes or more"
PASSWORD = "Tall-trees-7"


@dataclass(slots=True)
class IdentityApp:
    """One process of the server."""

    app: Litestar
    adapters: Any
    database: Database
    clock: FixedClock
    http: httpx.AsyncClient
    hasher: PlainPasswordHasher
    revocations: PostgresRevocations
    code_desk: CodeDesk
    use_cases: Any

    async def post(self, path: str, body: object = None, *, token: str | None = None, **more: Any) -> httpx.Response:
        return await self.http.post(path, json=body, headers=bearer(token), **more)

    async def get(self, path: str, *, token: str | None = None, **more: Any) -> httpx.Response:
        return await self.http.get(path, headers=bearer(token), **more)

    async def patch(self, path: str, body: object, *, token: str | None = None) -> httpx.Response:
        return await self.http.patch(path, json=body, headers=bearer(token))

    async def put(self, path: str, body: object, *, token: str | None = None) -> httpx.Response:
        return await self.http.put(path, json=body, headers=bearer(token))

    async def delete(self, path: str, *, token: str | None = None) -> httpx.Response:
        return await self.http.delete(path, headers=bearer(token))

    async def register(self, username: str, *, role: str | None = None, email: str | None = None) -> dict[str, Any]:
        body = {"username": username, "email": email or f"{username}@example.test", "password": PASSWORD, "role": role}
        reply = await self.post("/api/auth/register", body)
        assert reply.status_code == 201, reply.text
        return dict(reply.json())

    async def make_admin(self, account_id: str) -> None:
        """Make somebody an administrator as the command line would, without the command line."""
        await self.execute(
            "UPDATE accounts SET roles = ARRAY['admin'], role_states = ARRAY['active'] WHERE id = $1", UUID(account_id)
        )

    async def log_in(self, login: str, password: str = PASSWORD) -> dict[str, Any]:
        reply = await self.post("/api/auth/login", {"username": login, "password": password})
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def use_case(self, name: str) -> Any:
        return getattr(self.use_cases, name)

    async def rows(self, sql: str, *arguments: object) -> list[Any]:
        async with self.database.connection() as connection:
            return list(await connection.fetch(sql, *arguments))

    async def execute(self, sql: str, *arguments: object) -> None:
        async with self.database.connection() as connection:
            await connection.execute(sql, *arguments)

    async def newest_code(self, account_id: str, purpose: str = "verify_email") -> str:
        """Return the six digits of the last code, as the mail would show them."""
        return self.code_desk.digits(await self._newest(account_id, purpose))

    async def newest_link(self, account_id: str, purpose: str = "verify_email") -> str:
        return self.code_desk.link_token(await self._newest(account_id, purpose))

    async def _newest(self, account_id: str, purpose: str) -> Any:
        rows = await self.rows(
            "SELECT id FROM one_time_codes WHERE account_id = $1 AND purpose = $2 ORDER BY id DESC LIMIT 1",
            UUID(account_id),
            purpose,
        )
        async with self.adapters.identity_units() as uow:
            return await uow.codes.get(rows[0]["id"])


def bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def identity_app(
    url: str,
    *,
    clock: FixedClock | None = None,
    passwords: Any = None,
    access_tokens: Any = None,
    administrators_prove: bool = False,
) -> AsyncIterator[IdentityApp]:
    """Open one process. Several over one URL are several processes, as far as the database can tell."""
    clock = clock or FixedClock()
    database = Database(url, pool_size=8)
    subscriptions = SubscriptionList()
    ids = UuidV7Source()
    hasher = passwords or PlainPasswordHasher()

    def units() -> PostgresCoreUnitOfWork:
        return PostgresCoreUnitOfWork(database, clock=clock, ids=ids, subscriptions=subscriptions)

    revocations = PostgresRevocations(database, clock, elapsed=lambda: 0.0)  # no background keeps it fresh here
    codes, policies = HmacCodeHasher(SECRET.encode()), DefaultPolicies()
    adapters = SimpleNamespace(
        clock=clock,
        figures=Figures(),
        vitals=None,
        ids=ids,
        randomness=SeededRandomness(),
        policies=policies,
        passwords=hasher,
        codes=codes,
        access_tokens=access_tokens
        or JwtAccessTokens(algorithm="HS256", key=SECRET, issuer="http://test", audience="soko"),
        administrators_prove=administrators_prove,
        one_time_passwords=CountedPasswords(),
        sealer=AesGcmSealer(SECRET.encode(), purpose="second-factor"),
        phones=GooglePhoneNumbers(),
        revocations=revocations,
        attempts=PostgresAttemptCounter(database),
        identity_queries=PostgresIdentityQueries(database, clock),
        identity_units=units,
        tickets=PostgresTickets(database),
        identity_housekeeping=PostgresIdentityHousekeeping(database),
        public_address="https://soko.test",
    )
    area = identity_area(cast("Adapters", adapters))
    server = Server(
        adapters=cast("Adapters", adapters),
        authenticate=Authenticate(
            tokens=adapters.access_tokens,
            revocations=revocations,
            policies=policies,
            clock=clock,
            administrators_prove=administrators_prove,
        ),
        areas=(area,),
    )
    subscriptions.fill(server.subscriptions)
    app = create_app(server)
    transport = httpx.ASGITransport(app=cast("Callable[..., Any]", app))
    try:
        await revocations.refresh()
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            yield IdentityApp(
                app=app,
                adapters=adapters,
                database=database,
                clock=clock,
                http=http,
                hasher=hasher,
                revocations=revocations,
                code_desk=CodeDesk(hasher=codes, ids=ids, policies=policies),
                use_cases=area.use_cases,
            )
    finally:
        await database.close()
