"""Goal G4: how often a request speaks with the database. More is slower: whoever needs more changes a number here.

A unit of work begins, loads what it locks, writes all in one statement and commits: four, where one load will do.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.e2e.assignments.stage import Stage, set_stage
from tests.e2e.gigs.stage import set_gigs_stage
from tests.e2e.market import PASSWORD, open_market


@dataclass(slots=True)
class Counter:
    """What was sent over the one connection of the server."""

    sent: list[str] = field(default_factory=list)

    def note(self, record: Any) -> None:
        self.sent.append(" ".join(record.query.split()))

    async def count(self, request: Awaitable[httpx.Response], status: int = 200) -> int:
        await asyncio.sleep(0)  # the driver tells its loggers on the next turn of the loop, of the last request too
        self.sent.clear()
        reply = await request
        assert reply.status_code == status, reply.text
        await asyncio.sleep(0)
        return len(self.sent)


@pytest.fixture
async def stage(database_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """Give the test a server with one connection: a request that needs two of them at once would be refused."""
    async with open_market(database_url, tmp_path, pool_size=1) as market:
        yield await set_stage(market)


@pytest.fixture
async def counter(stage: Stage) -> Counter:
    counter = Counter()
    async with stage.market.database.connection() as connection:
        connection.add_query_logger(counter.note)
    return counter


BUDGET = {
    "what needs no data": 0,
    "who is not signed in": 0,
    "available tasks": 1,
    "wallet": 1,
    "payments": 1,
    "payment": 1,
    "claim": 4,
    "claim under a key": 7,  # take the key; begin, load, mark the key, write, commit; keep the reply
    "claim under the same key": 1,
    "approve a submission": 4,
    # begin, lock the phone, its pushes, what is open, write, commit; begin, load, write the answer, commit
    "top up": 10,
    "callback": 6,  # the event; begin, load, lock the wallet, write, commit
    "callback again": 1,
    "log in": 10,  # the account; three counters; begin, load, the second factor, write, commit; give the attempt back
    "refresh": 5,  # begin, the sign-in, the account, write, commit
}


async def test_no_request_speaks_with_the_database_more_often_than_its_budget(stage: Stage, counter: Counter) -> None:
    market, login = stage.market, {"username": "student_s", "password": PASSWORD}
    await stage.pay_in(10_000)
    await stage.give_plan(stage.writer, stage.rival)

    async def counted() -> dict[str, int]:
        task, other = await stage.open(), await stage.open()
        claim = f"/api/tasks/{other}/claim"
        needed = {
            "what needs no data": await counter.count(market.get(stage.writer, "/api/nothing"), 404),
            "who is not signed in": await counter.count(market.get(None, "/api/wallet"), 401),
            "available tasks": await counter.count(market.get(stage.writer, "/api/tasks/available")),
            "wallet": await counter.count(market.get(stage.writer, "/api/wallet")),
            "payments": await counter.count(market.get(stage.writer, "/api/payments", status="completed")),
            "payment": await counter.count(market.get(stage.writer, f"/api/payments/{UUID(int=1)}"), 404),
            "claim": await counter.count(stage.claim(task)),
            "claim under a key": await counter.count(market.post(stage.rival, claim, key=other)),
            "claim under the same key": await counter.count(market.post(stage.rival, claim, key=other)),
        }
        work = str((await stage.done(stage.submit(task), 201))["id"])
        needed["approve a submission"] = await counter.count(stage.accept(work))
        push = {"amount": 100, "phone": "0712345678"}
        needed["top up"] = await counter.count(market.post(stage.student, "/api/wallet/topup", push), 201)
        paid = {"reference": market.gateway.collections[-1].reference, "status": "SUCCESS", "amount": 100}
        needed["callback"] = await counter.count(market.lipana(paid))
        needed["callback again"] = await counter.count(market.lipana(paid))
        needed["log in"] = await counter.count(market.post(None, "/api/auth/login", login))
        token = (await stage.done(market.post(None, "/api/auth/login", login)))["refresh"]
        needed["refresh"] = await counter.count(market.post(None, "/api/auth/refresh", {"refresh": token}))
        return needed

    await counted()  # the driver asks once a connection what some types are
    assert await counted() == BUDGET


async def test_who_is_signed_in_is_known_without_asking(stage: Stage, counter: Counter) -> None:
    assert await counter.count(stage.market.get(stage.writer, "/api/wallet")) == 1
    assert "ledger_balances" in counter.sent[0]


CATALOGUE = {
    "categories": 1,
    "services": 1,
    "services in another order": 1,
    "services with a word": 1,
    "service": 1,
    "workers": 1,
    "workers with a word": 1,
    "worker": 1,
    "own profile": 1,
    "list a service": 4,  # begin, write, commit; read it
    "edit a service": 5,  # begin, load, write, commit; read it
    "edit a profile": 5,
}


async def test_no_request_about_services_needs_more_than_its_budget(stage: Stage, counter: Counter) -> None:
    market = stage.market
    worker, admin = await market.register("wanja", "worker"), await market.register("ann", "admin")
    category = (await stage.done(market.post(admin, "/api/services/categories", {"name": "Cleaning"}), 201))["id"]
    body = {"name": "Deep clean", "description": "Per flat", "category_id": category, "base_price": 2500}

    async def counted() -> dict[str, int]:
        listed = await counter.count(market.post(worker, "/api/services", body), 201)
        service = (await market.get(None, "/api/services")).json()["results"][0]["id"]
        profile = "/api/auth/worker-profile"
        return {
            "categories": await counter.count(market.get(None, "/api/services/categories")),
            "services": await counter.count(market.get(None, "/api/services", category=category)),
            "services in another order": await counter.count(market.get(None, "/api/services", ordering="-name")),
            "services with a word": await counter.count(market.get(None, "/api/services", search="deep")),
            "service": await counter.count(market.get(None, f"/api/services/{service}")),
            "workers": await counter.count(market.get(None, "/api/workers", service=service)),
            "workers with a word": await counter.count(market.get(None, "/api/workers", search="wan")),
            "worker": await counter.count(market.get(None, f"/api/workers/{worker.id}")),
            "own profile": await counter.count(market.get(worker, profile)),
            "list a service": listed,
            "edit a service": await counter.count(market.patch(worker, f"/api/services/{service}", {"name": "New"})),
            "edit a profile": await counter.count(market.patch(worker, profile, {"specializations": [service]})),
        }

    await counted()  # the driver asks once a connection what some types are
    assert await counted() == CATALOGUE


ORDERS = {
    "place an order": 4,
    "order": 1,
    "orders": 1,
    "pay an order from the wallet": 5,  # begin, load, lock the wallet and the escrow, write, commit
    "accept work": 6,  # begin, load, lock the escrow and what the worker has, write, commit; read it
    "payments": 1,
}


async def test_no_request_about_orders_needs_more_than_its_budget(stage: Stage, counter: Counter) -> None:
    market = stage.market
    gigs = await set_gigs_stage(market)
    push = {"amount": 10_000, "phone": "0712345678"}
    await gigs.done(market.post(gigs.client, "/api/wallet/topup", push), 201)
    topped_up = {"reference": market.gateway.collections[-1].reference, "status": "SUCCESS", "amount": 10_000}
    await gigs.done(market.lipana(topped_up))
    await market.drain()

    async def counted() -> dict[str, int]:
        placed = await counter.count(market.post(gigs.client, "/api/orders/create", gigs.wanted()), 201)
        order = (await market.get(gigs.client, "/api/orders")).json()["results"][0]["id"]
        from_wallet = {"payment_method": "wallet"}
        paid = await counter.count(market.post(gigs.client, f"/api/payments/order/{order}/pay", from_wallet), 201)
        await gigs.act(gigs.worker, order, "assign")
        await gigs.act(gigs.worker, order, "deliver")
        return {
            "place an order": placed,
            "order": await counter.count(market.get(gigs.client, f"/api/orders/{order}")),
            "orders": await counter.count(market.get(gigs.client, "/api/orders")),
            "pay an order from the wallet": paid,
            "accept work": await counter.count(gigs.step(gigs.client, order, "accept")),
            "payments": await counter.count(market.get(gigs.client, "/api/payments", purpose="order")),
        }

    await counted()  # the driver asks once a connection what some types are
    assert await counted() == ORDERS
