"""Clients of sockets, and servers on real ports for them."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from domain.core.kernel.ids import AccountId
from domain.core.notifications.notice import Category, Notice
from infrastructure.postgres.realtime import PostgresRealtime
from interface.bootstrap.background import Background, Loop, every
from interface.bootstrap.runtime import REFRESH_EVERY
from tests.contract.core.notices import delivery
from tests.e2e.edge.served import Served, served
from tests.e2e.market import Market, Person

WITHIN_S = 10.0


@dataclass(slots=True)
class Client:
    """One socket as a client has it."""

    connection: ClientConnection

    async def frame(self) -> dict[str, Any]:
        """Return the next frame."""
        async with asyncio.timeout(WITHIN_S):
            return dict(json.loads(await self.connection.recv()))

    async def frames(self, count: int) -> list[dict[str, Any]]:
        return [await self.frame() for _ in range(count)]

    async def say(self, **fields: object) -> None:
        await self.connection.send(json.dumps(fields))

    async def closed(self) -> int:
        """Return the code with which the server closes; what it says before is left out."""
        async with asyncio.timeout(WITHIN_S):
            try:
                while True:
                    await self.connection.recv()
            except ConnectionClosed as error:
                return error.rcvd.code if error.rcvd is not None else 1006

    async def nothing_more(self) -> bool:
        """Tell whether nothing was said before the answer to a ping, which comes after all that was said before it."""
        await self.say(type="ping")
        return await self.frame() == {"type": "pong"}


@dataclass(slots=True)
class Socketed:
    """One process of the server on a port, with its loops."""

    market: Market
    served: Served

    def address(self, parameters: Mapping[str, object], path: str) -> str:
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"ws://127.0.0.1:{self.served.port}{path}?{query}"

    async def open_sockets(self) -> int:
        """Return how many sockets the process says are open."""
        async with httpx.AsyncClient(trust_env=False) as http:
            figures = (await http.get(f"http://127.0.0.1:{self.served.port}/metrics")).text
        found = re.search(r'^soko_sockets_open\{route="/ws/notifications"\} (\d+)\.0$', figures, re.MULTILINE)
        assert found is not None
        return int(found[1])

    @asynccontextmanager
    async def connect(
        self,
        *,
        person: Person | None = None,
        protocols: Any = None,
        headers: Mapping[str, str] | None = None,
        origin: str | None = None,
        path: str = "/ws/notifications",
        **parameters: object,
    ) -> AsyncIterator[Client]:
        """Open a socket; with a person, by a token of his."""
        if person is not None:
            parameters["token"] = token_of(self.market, person)
        async with connect(
            self.address(parameters, path),
            subprotocols=protocols,
            additional_headers=headers,
            origin=origin,  # type: ignore[arg-type]  # a string of its own type
            proxy=None,
            close_timeout=1,
        ) as connection:
            yield Client(connection)


def token_of(market: Market, person: Person) -> str:
    return market.headers(person)["authorization"].removeprefix("Bearer ")


@asynccontextmanager
async def socketed(market: Market, **settings: Any) -> AsyncIterator[Socketed]:
    """Serve a market on a port, with the loops that a process of the API has."""
    loops = [*market.server.loops, every(REFRESH_EVERY, "refresh", market.refresh)]
    if isinstance(market.adapters.realtime, PostgresRealtime):
        loops.append(Loop("realtime", market.adapters.realtime.run))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(Background(tuple(loops)))
        yield Socketed(market, await stack.enter_async_context(served(market, **settings)))


async def tell(market: Market, person: AccountId, *numbers: int, **fields: Any) -> None:
    """Write one notice for each number, each in a transaction of its own."""
    for number in numbers:
        async with market.adapters.notices_units() as uow:
            uow.notices.add(delivery(number), notice(person, number, **fields))
            await uow.commit()


def notice(person: AccountId, number: int, **fields: Any) -> Notice:
    facts: dict[str, Any] = {"category": Category.GENERAL, "title": f"number {number}", "message": "Something."}
    return Notice(recipient=person, mail=False, **(facts | fields))


async def ticket(market: Market, pair: dict[str, Any]) -> str:
    reply = await market.http.post("/api/ws/ticket", headers={"authorization": f"Bearer {pair['access']}"})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["ticket"])
