"""The people of the gigs market, their orders at any point of an order's life, and a look at all that is stored."""

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from tests.e2e.market import Market, Person

TABLES = (
    "audit_entries",
    "earnings_holds",
    "gigs_job_offers",
    "gigs_order_events",
    "gigs_orders",
    "ledger_balances",
    "ledger_postings",
    "notices",
    "outbox_messages",
    "payment_attempts",
    "payment_intents",
    "payment_refunds",
    "reviews",
)
"""Where a request about an order may leave something."""

_STORED = " UNION ALL ".join(
    f"SELECT '{table}' AS name, count(*) AS rows, md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) AS hash"
    f" FROM {table} AS t"
    for table in TABLES
)
GOOD_CARD, EMPTY_CARD, LOST_CARD = "4242424242424242", "4000000000009995", "4000000000000119"


def card(number: str = GOOD_CARD) -> dict[str, str]:
    return {
        "payment_method": "card",
        "card_number": number,
        "card_expiry": "12/29",
        "card_cvv": "123",
        "card_holder": "C",
    }


@dataclass(slots=True, kw_only=True)
class GigsStage:
    """A client, a worker with a service at 2500.00, a second worker who does it too, an administrator."""

    market: Market
    client: Person
    worker: Person
    rival: Person
    admin: Person
    service: str

    @property
    def now(self) -> datetime:
        return self.market.clock.now()

    def advance(self, by: timedelta) -> None:
        self.market.clock.advance(by)

    # -- requests --

    async def done(self, request: Awaitable[httpx.Response], expect: int = 200) -> dict[str, Any]:
        """Return the body of a request that succeeds."""
        reply = await request
        assert reply.status_code == expect, reply.text
        return dict(reply.json())

    async def stored(self) -> tuple[object, ...]:
        """Return a picture of everything that a request may change."""
        rows = await self.market.rows(_STORED)
        return tuple((row["name"], row["rows"], row["hash"]) for row in rows)

    async def refused(self, request: Awaitable[httpx.Response], status: int, code: str) -> dict[str, Any]:
        """Hold that a request is refused in the one error form and leaves everything as it was."""
        before = await self.stored()
        reply = await request
        body = dict(reply.json())
        assert (reply.status_code, body.get("code")) == (status, code), reply.text
        assert await self.stored() == before
        return body

    def wanted(self, *, quantity: int = 1, ahead: timedelta = timedelta(days=3), **more: object) -> dict[str, object]:
        """Return what is sent to order the service."""
        return {
            "service": self.service,
            "description": "2 flats",
            "address": "Market Street 1",
            "scheduled_date": (self.now + ahead).isoformat(),
            "quantity": quantity,
            **more,
        }

    async def placed(self, *, quantity: int = 1, ahead: timedelta = timedelta(days=3), **more: object) -> str:
        """Place an order and return its id."""
        body = self.wanted(quantity=quantity, ahead=ahead, **more)
        return str((await self.done(self.market.post(self.client, "/api/orders/create", body), 201))["id"])

    async def pay(self, order: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        """Pay an order, by a good card unless said otherwise."""
        path = f"/api/payments/order/{order}/pay"
        paid = await self.done(self.market.post(self.client, path, body or card()), 201)
        await self.market.drain()
        return paid

    async def paid(self, **wanted: Any) -> str:
        """Place an order and pay it by card; return its id."""
        order = await self.placed(**wanted)
        await self.pay(order)
        return order

    async def assigned(self, **wanted: Any) -> str:
        """Have the worker on a paid order; return its id."""
        order = await self.paid(**wanted)
        await self.act(self.worker, order, "assign")
        return order

    async def delivered(self, **wanted: Any) -> str:
        """Have a paid order delivered; return its id."""
        order = await self.assigned(**wanted)
        await self.act(self.worker, order, "deliver")
        return order

    async def completed(self, **wanted: Any) -> str:
        """Have a paid order completed; return its id."""
        order = await self.delivered(**wanted)
        await self.act(self.client, order, "accept")
        return order

    async def act(self, person: Person, order: str, step: str, **body: object) -> dict[str, Any]:
        """Take one step of an order that succeeds."""
        return await self.done(self.market.post(person, f"/api/orders/{order}/{step}", body))

    def step(self, person: Person, order: str, step: str, **body: object) -> Awaitable[httpx.Response]:
        """Try one step of an order."""
        return self.market.post(person, f"/api/orders/{order}/{step}", body)

    def word(self, person: Person, order: str, status: str, comment: str = "") -> Awaitable[httpx.Response]:
        """Try a status word."""
        return self.market.post(person, f"/api/orders/{order}/status", {"status": status, "comment": comment})

    async def order(self, order: str, person: Person | None = None) -> dict[str, Any]:
        """Return an order as somebody sees it, an administrator unless said otherwise."""
        return await self.done(self.market.get(person or self.admin, f"/api/orders/{order}"))

    async def stages(self, order: str) -> list[str]:
        """Return the stages of an order's history."""
        return [step["stage"] for step in (await self.order(order))["status_history"]]

    # -- money, in cents of KES --

    async def escrow(self, order: str) -> int:
        return await self.market.balance(f"escrow:order:{order}")

    async def pending(self, person: Person) -> int:
        return await self.market.balance(f"pending:user:{person.id}")

    async def fees(self) -> int:
        return await self.market.balance("revenue:fees")


async def set_gigs_stage(market: Market) -> GigsStage:
    """Have the people there, the worker's service listed, and the second worker specialised in it."""
    admin = await market.register("abdi", "admin")
    client = await market.register("njeri", "client")
    worker = await market.register("kamau", "worker")
    rival = await market.register("atieno", "worker")
    heading = await market.post(admin, "/api/services/categories", {"name": "Cleaning", "description": "Homes"})
    assert heading.status_code == 201, heading.text
    offer = {
        "name": "Deep clean",
        "description": "Per flat",
        "category_id": heading.json()["id"],
        "base_price": "2500.00",
        "duration_hours": 2,
    }
    listed = await market.post(worker, "/api/services", offer)
    assert listed.status_code == 201, listed.text
    service = listed.json()["id"]
    profile = await market.patch(rival, "/api/auth/worker-profile", {"specializations": [service]})
    assert profile.status_code == 200, profile.text
    await market.drain()
    return GigsStage(market=market, client=client, worker=worker, rival=rival, admin=admin, service=service)
