"""The journey of an order through a running server: listed, ordered, paid, done, reviewed, refunded; and one canceled.

Four people, simulated cards and M-Pesa. Every amount is checked; the first thing that is not as it should be ends it.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx

from interface.cli.core.demo import Told
from interface.cli.core.visitor import PAID_WITHIN_S, Json, Visitor, check, paid, until, wallet_is

ADMIN_LOGIN: Final = "/api/v1/auth/admin/login"
EMPTY_CARD, GOOD_CARD = "4000000000009995", "4242424242424242"


@dataclass(slots=True)
class GigsJourney:
    """One run. Its people, services and phones are its own, so it works on a used server too."""

    client: httpx.AsyncClient
    admin_username: str
    admin_password: str
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    password: str = field(default_factory=lambda: f"Brooms-{secrets.token_hex(8)}")

    async def steps(self) -> AsyncIterator[Told]:  # noqa: PLR0915 - a story has an order, and no branches
        """Go the whole way and tell each step. Raises Surprise."""
        nobody, admin = Visitor(self.client, "Nobody"), Visitor(self.client, "The administrator")
        client, worker, rival = (Visitor(self.client, name) for name in ("The client", "The worker", "The rival"))
        await admin.log_in(ADMIN_LOGIN, self.admin_username, self.admin_password)
        for visitor, name, role in (
            (client, "njeri", "client"),
            (worker, "kamau", "worker"),
            (rival, "atieno", "worker"),
        ):
            await visitor.register("/api/auth/register", self._person(name, role))
        yield Told(1, f"A client and two workers joined (run {self.run})")

        heading = {"name": f"Cleaning {self.run}", "description": "Homes and offices", "icon": "broom"}
        await worker.post("/api/services/categories", heading, expect=(403, "identity.role_required"))
        category = await admin.post("/api/services/categories", heading, expect=201)
        again = heading | {"name": heading["name"].upper()}
        await admin.post("/api/services/categories", again, expect=(409, "gigs.category_exists"))
        yield Told(2, f"The administrator opened the category {heading['name']!r}; its name in capitals is refused")

        offer = {
            "name": f"Spring clean {self.run}",
            "description": "Per flat",
            "category_id": category["id"],
            "base_price": "2500.00",
            "duration_hours": 2,
        }
        await client.post("/api/services", offer, expect=(403, "identity.role_required"))
        service = await worker.post("/api/services", offer, expect=201)
        check("The price", (service["base_price"], service["currency"]), ("2500.00", "KES"))
        listed = await nobody.get(f"/api/services?search={self.run}")
        check("Listed for everybody", [one["id"] for one in listed["results"]], [service["id"]])
        await rival.post(f"/api/orders/{service['id']}/start", {}, expect=(404, "gigs.order_not_found"))
        yield Told(3, "The worker lists “Spring clean” for KES 2500.00 a flat; anybody finds it without signing in")

        wanted = self._order(service, days=3, quantity=2)
        past = wanted | {"scheduled_date": _instant(timedelta(hours=-1))}
        await client.post("/api/orders/create", past, expect=(422, "gigs.schedule_in_past"))
        order = await client.post("/api/orders/create", wanted | {"expected_total": "5000.00"}, expect=201)
        check("The order", (order["status"], order["total_price"]), ("pending", "5000.00"))
        here = f"/api/orders/{order['id']}"
        said = await client.try_post(f"{here}/status", {"status": "paid"})
        check("Paid by a word", (said[0], said[1]["code"], said[1]["allowed"]), _REFUSED_PAID)
        await worker.post(f"{here}/assign", {}, expect=(409, "gigs.order_not_paid"))
        yield Told(
            4, "The client orders two flats for KES 5000.00; no word makes it paid, and unpaid nobody can take it"
        )

        pay = f"/api/payments/order/{order['id']}/pay"
        declined = await client.try_post(pay, _card(EMPTY_CARD))
        check("An empty card", (declined[0], declined[1]["code"], declined[1]["attempts_left"]), _DECLINED)
        payment = await client.post(pay, _card(GOOD_CARD), expect=201)
        found = payment["status"], payment["gateway_response"]["fee"]
        check("The payment (status, fee)", found, ("completed", "150.00"))
        await client.post(pay, _card(GOOD_CARD), expect=(409, "gigs.already_paid"))
        yield Told(
            5, "An empty card is declined, 4 attempts left; a good one pays 5000.00, of which the provider keeps 150.00"
        )

        seen = await worker.get(here)
        check("What the worker sees (status, address)", (seen["status"], seen["address"]), ("paid", None))
        await admin.post("/api/admin/jobs/gigs.assign_orders/run", expect=202)
        await self._stage(client, here, "offered")
        await self._told(worker, "worker_assigned")
        taken = await worker.post(f"{here}/offer/accept", {})
        check("Taken (status, address)", (taken["status"], taken["address"]), ("in_progress", "Market Street 1"))
        await rival.post(f"{here}/assign", {}, expect=(403, "gigs.not_specialised"))
        yield Told(6, "The matcher offers the order to the worker, who takes it and sees the address only now")

        started = await worker.post(f"{here}/status", {"status": "in_progress", "comment": "arrived"}, expect=201)
        delivered = await worker.post(f"{here}/status", {"status": "completed", "comment": "done"}, expect=201)
        check("Started, delivered", (started["stage"], delivered["stage"]), ("started", "delivered"))
        await client.post(f"{here}/cancel", {}, expect=(409, "gigs.cancel_needs_admin"))
        changes = await client.post(f"{here}/request-changes", {"reason": "the oven"})
        check("Changes", changes["stage"], "changes")
        await worker.post(f"{here}/deliver", {"comment": "oven done"})
        done = await client.post(f"{here}/accept", {})
        check("Accepted", done["status"], "completed")
        await wallet_is(worker, "0.00", pending="4250.00")
        yield Told(
            7, "Started, delivered, the oven once more, accepted: 4250.00 wait three days for the worker, 750.00 fee"
        )

        review = {"rating": 5, "comment": "spotless"}
        await client.post(f"{here}/review", review, expect=201)
        await client.post(f"{here}/review", review, expect=(409, "reputation.already_reviewed"))
        check("The worker's rating", (await nobody.get(f"/api/workers/{worker.id}"))["rating"], "5.00")
        yield Told(8, "The client rates the work 5, once; the worker's rating is 5.00")

        refund = f"/api/payments/{payment['id']}/refund"
        partial = {"amount": "1000.00", "reason": "one room missed"}
        await client.post(refund, partial, expect=(403, "identity.role_required"))
        given = await admin.post(refund, partial)
        check("The payment", (given["status"], given["refunded_amount"]), ("partially_refunded", "1000.00"))
        await wallet_is(worker, "0.00", pending="3400.00")
        await admin.post(refund, {"amount": "4500.00"}, expect=(409, "payments.refund_exceeds_payment"))
        yield Told(
            9,
            "The administrator gives 1000.00 back to the card: 850.00 of the worker's, 150.00 of the fee",
        )

        await self._late_cancellation(client, worker, admin, service)
        yield Told(
            10,
            "An order for tomorrow, paid from the wallet, is canceled late: half is back, 1062.50 for the worker",
        )

        await self._two_at_once(client, worker, rival, service)
        yield Told(
            11,
            "Two workers took one order at the same moment: one has it, the other 409; canceled in time, all is back",
        )

        yield Told(12, await self._proof(admin))

    async def _late_cancellation(self, client: Visitor, worker: Visitor, admin: Visitor, service: Json) -> None:
        topup = await client.post("/api/wallet/topup", {"amount": 2500, "phone": self._phone("0712")}, expect=201)
        await paid(client, admin, topup["reference"])
        order = await client.post("/api/orders", self._order(service, hours=10), expect=201)
        here = f"/api/orders/{order['id']}"
        payment = await client.post(f"/api/payments/order/{order['id']}/pay", {"payment_method": "wallet"}, expect=201)
        check("Paid from the wallet", payment["status"], "completed")
        await wallet_is(client, "0.00", held="2500.00")
        await worker.post(f"{here}/assign", {})
        canceled = await client.post(f"{here}/cancel", {"reason": "plans changed"})
        check("The refund", canceled["refund"], {"amount": "1250.00", "currency": "KES"})
        await wallet_is(client, "1250.00")
        await wallet_is(worker, "0.00", pending="4462.50")

    async def _two_at_once(self, client: Visitor, worker: Visitor, rival: Visitor, service: Json) -> None:
        await rival.patch("/api/auth/worker-profile", {"specializations": [service["id"]]})
        order = await client.post("/api/orders", self._order(service, days=5), expect=201)
        here = f"/api/orders/{order['id']}"
        await client.post(f"/api/payments/order/{order['id']}/pay", _card(GOOD_CARD), expect=201)
        replies = await asyncio.gather(worker.try_post(f"{here}/assign", {}), rival.try_post(f"{here}/assign", {}))
        check("Two at once", sorted(status for status, _ in replies), [200, 409])
        refused = next(body for status, body in replies if status == httpx.codes.CONFLICT)
        check("The other's refusal", refused["code"], "gigs.already_assigned")
        canceled = await client.post(f"{here}/cancel", {})
        check("The refund", canceled["refund"]["amount"], "2500.00")
        await wallet_is(client, "3750.00")

    async def _stage(self, visitor: Visitor, order: str, stage: str) -> None:
        async def is_there() -> bool:
            return bool((await visitor.get(order))["stage"] == stage)

        await until(f"The order is {stage}", is_there, within_s=PAID_WITHIN_S)

    async def _told(self, visitor: Visitor, event: str) -> None:
        """Wait for a notice. Notices are written after what they are about, and those of two events in any order."""

        async def is_there() -> bool:
            notices = (await visitor.get("/api/notifications?category=order"))["results"]
            return any(one["metadata"]["event"] == event for one in notices)

        await until(f"{visitor.name} is told {event}", is_there, within_s=PAID_WITHIN_S)

    async def _proof(self, admin: Visitor) -> str:
        proof = await admin.get("/api/admin/ledger/proof")
        check("The proof", (proof["balanced"], proof["broken"]), (True, []))
        sums = ", ".join(f"{one['asset']} {one['sum']}" for one in proof["assets"])
        return f"The books are balanced (all accounts together: {sums})"

    def _person(self, name: str, role: str) -> Json:
        username = f"{name}.{self.run}"
        return {
            "username": username,
            "email": f"{username}@demo.example",
            "password": self.password,
            "role": role,
            "first_name": name.capitalize(),
            "last_name": "Demo",
        }

    def _order(self, service: Json, *, days: int = 0, hours: int = 0, quantity: int = 1) -> Json:
        return {
            "service": service["id"],
            "description": f"{quantity} flats",
            "address": "Market Street 1",
            "scheduled_date": _instant(timedelta(days=days, hours=hours)),
            "quantity": quantity,
        }

    def _phone(self, prefix: str) -> str:
        return f"{prefix}{secrets.randbelow(10**6):06}"


_REFUSED_PAID: Final = (httpx.codes.CONFLICT, "gigs.transition_not_allowed", ["canceled"])
_DECLINED: Final = (httpx.codes.UNPROCESSABLE_ENTITY, "payments.declined", 4)


def _card(number: str) -> Json:
    year = datetime.now(UTC).year % 100 + 3
    card = {"number": number, "expiry": f"12/{year:02}", "cvv": "123", "holder": "N. Demo"}
    return {"payment_method": "card", "card": card}


def _instant(ahead: timedelta) -> str:
    return (datetime.now(UTC) + ahead).replace(microsecond=0).isoformat().replace("+00:00", "Z")
