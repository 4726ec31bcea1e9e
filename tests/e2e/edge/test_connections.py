"""F7 and the graceful stop: clients that hang up leave nothing behind, and a stop waits for those being served."""

import asyncio
import json
import random
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.e2e.edge.served import Served, read_reply, served
from tests.e2e.market import PASSWORD, Market

CUT_REQUESTS = 250


@pytest.fixture
async def server(market: Market) -> AsyncIterator[Served]:
    async with served(market) as opened:
        yield opened


@pytest.fixture
async def owner(database_dsn: str) -> "AsyncIterator[asyncpg.Connection]":
    """Look from outside as who owns the database: the server's own role does not see what its sessions do."""
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


def login(username: str) -> bytes:
    body = json.dumps({"username": username, "password": PASSWORD}).encode()
    head = b"POST /api/auth/login HTTP/1.1\r\nhost: soko.test\r\ncontent-type: application/json\r\n"
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


async def test_clients_that_hang_up_leave_no_connection_and_no_transaction_behind(
    server: Served, owner: asyncpg.Connection
) -> None:
    market, chance = server.market, random.Random(9)
    person = await market.register("pupil", "student")
    token = market.headers(person)["authorization"].encode()
    gets = [
        b"GET %s HTTP/1.1\r\nhost: soko.test\r\nauthorization: %s\r\n\r\n" % (path, token)
        for path in (b"/api/wallet", b"/api/wallet/entries", b"/api/notifications", b"/api/users/me")
    ]

    async def cut() -> None:
        raw = chance.choice([login("pupil"), *gets])
        _, writer = await server.connect()
        writer.write(raw[: chance.randint(1, len(raw))] if chance.random() < 0.2 else raw)
        for _ in range(chance.randint(0, 60)):
            await asyncio.sleep(0)
        writer.transport.abort()

    for _ in range(CUT_REQUESTS // 25):
        await asyncio.gather(*(cut() for _ in range(25)))
    await until_at_rest(market, owner)
    assert (await server.send(login("pupil"))).status == 200


async def until_at_rest(market: Market, owner: asyncpg.Connection) -> None:
    async with asyncio.timeout(5):
        while True:
            if market.database.borrowed == 0 and not await sessions(owner, "state <> 'idle'"):
                return
            await asyncio.sleep(0.01)


async def sessions(owner: asyncpg.Connection, which: str) -> int:
    """Count the sessions of the server for which something holds."""
    return int(
        await owner.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            f" AND backend_type = 'client backend' AND {which}"
        )
    )


async def test_a_stop_answers_who_is_being_served_and_takes_nobody_new(
    server: Served, owner: asyncpg.Connection
) -> None:
    await server.market.register("pupil")
    reader, writer = await server.connect()
    try:
        async with owner.transaction():
            await owner.execute("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")  # the sign-in stands still
            writer.write(login("pupil"))
            await until_waiting(owner)
            server.serving.stop()
            await until_refused(server)
            await asyncio.wait({server.running}, timeout=0.5)
            assert not server.running.done()  # it waits for the sign-in
        assert (await read_reply(reader)).status == 200
    finally:
        writer.close()
    async with asyncio.timeout(10):
        await server.running


async def until_waiting(owner: asyncpg.Connection) -> None:
    async with asyncio.timeout(10):
        while True:
            if await sessions(owner, "wait_event_type = 'Lock'"):
                return
            await asyncio.sleep(0.01)


async def until_refused(server: Served) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await server.connect()
            except ConnectionRefusedError:
                return
            except ConnectionResetError:  # the port was closed between our call and its being taken
                continue
            writer.close()
            await asyncio.sleep(0.01)
