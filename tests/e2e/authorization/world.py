"""A small world in which everybody has something of everything, and which can be put back as it was.

Two of each role and two plain members; of each pair the first is the one who acts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from infrastructure.postgres.core.revocations import PostgresRevocations
from tests.e2e.market import PASSWORD, Market, Person

NOBODY = UUID("0195f3a0-7c00-7000-8000-00000000dead")
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
CATEGORY = UUID("0195f3a0-7c00-7000-8000-00000000ca7e")
"""The category that the document's example names."""
CARD = {
    "payment_method": "card",
    "card_number": "4242424242424242",
    "card_expiry": "12/29",
    "card_cvv": "123",
    "card_holder": "C",
}
ACTORS = ("anonymous", "member", "student", "writer", "client", "worker", "admin")
PAIRS = {
    "member": ("mwangi", "makena"),
    "student": ("amina", "brian"),
    "writer": ("wanjiru", "wafula"),
    "client": ("cheptoo", "chege"),
    "worker": ("njeri", "kamau"),
    "admin": ("achieng", "abdi"),
}


@dataclass(slots=True)
class World:
    market: Market
    document: dict[str, Any]
    owner: "asyncpg.Connection[asyncpg.Record]"
    """Whoever owns the database: the server itself may not touch the history."""
    people: dict[str, tuple[Person, Person]] = field(default_factory=dict)
    things: dict[str, dict[str, tuple[str | None, str]]] = field(default_factory=dict)
    """Of each kind, for each actor: what is his own, and what is another's."""
    refresh: str = ""
    """A refresh token that was not used yet."""
    tables: list[str] = field(default_factory=list)

    def actor(self, name: str) -> Person | None:
        return None if name == "anonymous" else self.people[name][0]

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield method, path and operation of everything in the document."""
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                yield method.upper(), path, operation

    async def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Return every row of every table."""
        return {
            table: [dict(row) for row in await self.owner.fetch(f"SELECT * FROM {table} ORDER BY {table}::text")]
            for table in self.tables
        }

    async def print_of_all(self) -> str:
        """Return a text that changes when any row does."""
        parts = [f"SELECT '{table}' AS t, {table}::text AS r FROM {table}" for table in self.tables]
        both = " UNION ALL ".join(parts)
        return str(
            await self.owner.fetchval(f"SELECT md5(string_agg(t || r, chr(10) ORDER BY t, r)) FROM ({both}) AS a")
        )

    async def secrets(self) -> dict[str, UUID]:
        """Return what only its owner and administrators may be told, by whose it is."""
        rows = await self.owner.fetch(
            "SELECT claimed_email AS told, id AS whose FROM accounts WHERE claimed_email IS NOT NULL"
            " UNION SELECT verified_email, id FROM accounts WHERE verified_email IS NOT NULL"
            " UNION SELECT phone, payer_id FROM payment_attempts a JOIN payment_intents i ON i.id = a.intent_id"
            " WHERE phone IS NOT NULL"
            " UNION SELECT card_token, payer_id FROM payment_attempts a JOIN payment_intents i ON i.id = a.intent_id"
            " WHERE card_token IS NOT NULL"
            " UNION SELECT id::text, account_id FROM sign_ins"
        )
        return {row["told"]: row["whose"] for row in rows}

    async def keep(self) -> None:
        """Remember every row as it is."""
        self.tables = [
            row["tablename"]
            for row in await self.owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        ]
        await self.owner.execute("CREATE SCHEMA kept")
        for table in self.tables:
            await self.owner.execute(f"CREATE TABLE kept.{table} AS TABLE public.{table}")

    async def put_back(self) -> None:
        """Make every row what it was, past the guards of the history."""
        deletes = "".join(f"DELETE FROM public.{table};" for table in self.tables)
        inserts = "".join(f"INSERT INTO public.{table} SELECT * FROM kept.{table};" for table in self.tables)
        await self.owner.execute(f"BEGIN; SET LOCAL session_replication_role = replica; {deletes}{inserts} COMMIT")
        self.market.mailer.sent.clear()
        revocations = self.market.adapters.revocations
        assert isinstance(revocations, PostgresRevocations)
        revocations._families.clear()  # the process remembers them beside the rows
        revocations._epochs.clear()


async def made(reply: httpx.Response) -> dict[str, Any]:
    assert reply.status_code in {200, 201}, reply.text
    return dict(reply.json())


async def open_world(market: Market, owner: "asyncpg.Connection[asyncpg.Record]") -> World:
    """Register everybody and have them do what gives each something of each kind."""
    world = World(market, (await market.http.get("/api/schema")).json(), owner)
    for number, (role, names) in enumerate(PAIRS.items()):
        roles = [] if role == "member" else [role]
        first, second = [await market.register(name, *roles) for name in names]
        world.people[role] = (first, second)
        await market.top_up(first, 5000, f"071200000{number}")
        await market.top_up(second, 5000, f"071200001{number}")
    for number, writer in enumerate(world.people["writer"]):
        await market.buy_plan(writer, "P5", f"072200000{number}")
    admin = world.people["admin"][0]
    tasks: dict[str, tuple[str, str]] = {}
    for kind in ("task_pending", "task_open", "task_held", "task_done"):
        pair = [await post_task(market, student, kind) for student in world.people["student"]]
        tasks[kind] = (pair[0], pair[1])
        for task, writer in zip(pair, world.people["writer"], strict=True):
            if kind != "task_pending":
                await made(await market.post(admin, f"/api/admin/assignments/{task}/approve", {}))
            if kind in {"task_held", "task_done"}:
                await made(await market.post(writer, f"/api/tasks/{task}/claim"))
            if kind == "task_done":
                await made(await submit(market, writer, task))
    for kind, (first_task, second_task) in tasks.items():
        world.things[kind] = {
            "student": (first_task, second_task),
            "writer": (first_task if kind in {"task_held", "task_done"} else None, second_task),
        }
    await open_catalogue(world)
    await open_orders(world)
    done = tasks["task_done"]
    subs = [await market.value("SELECT id::text FROM submissions WHERE task_id = $1", UUID(task)) for task in done]
    files = [
        (await market.get(student, f"/api/assignments/{task}")).json()["files"][0]["id"]
        for student, task in zip(world.people["student"], tasks["task_pending"], strict=True)
    ]
    world.things["submission"] = {"student": (subs[0], subs[1]), "writer": (subs[0], subs[1])}
    world.things["file"] = {"student": (files[0], files[1])}
    for kind, table, whose in (
        ("notice", "notices", "recipient"),
        ("device", "sign_ins", "account_id"),
        ("payment", "payment_intents", "payer_id"),
        ("intent", "payment_intents", "payer_id"),
    ):
        column = "reference" if kind == "payment" else "id"
        world.things[kind] = {}
        for role, pair_of_people in world.people.items():
            found = [
                await market.value(
                    f"SELECT {column}::text FROM {table} WHERE {whose} = $1 ORDER BY 1 LIMIT 1", person.id
                )
                for person in pair_of_people
            ]
            world.things[kind][role] = (found[0], found[1])
    world.things["upload"] = {}
    for role, pair_of_people in world.people.items():
        begun = [
            await made(await market.post(person, "/api/files/uploads", {"name": "essay.pdf", "size": 9}))
            for person in pair_of_people
        ]
        world.things["upload"][role] = (begun[0]["id"], begun[1]["id"])
    world.things["person"] = {role: (str(pair[0].id), str(pair[1].id)) for role, pair in world.people.items()}
    world.things["withdrawal"] = {}
    for role, pair_of_people in world.people.items():
        asked = [
            await made(
                await market.post(
                    person, "/api/withdrawals/request", {"amount": 500, "destination": {"phone": "0712345678"}}
                )
            )
            for person in pair_of_people
        ]
        world.things["withdrawal"][role] = (asked[0]["id"], asked[1]["id"])
    short = await market.post(world.people["member"][0], "/api/wallet/topup", {"amount": 700, "phone": "0733000000"})
    await market.lipana({"reference": (await made(short))["reference"], "status": "SUCCESS", "amount": 699})
    await market.drain()
    case = await market.value("SELECT id::text FROM payment_cases LIMIT 1")
    assert case is not None
    world.things["case"] = {"admin": (None, case)}
    world.things["job"] = {"admin": (None, "assignments.expire_claims")}
    policies = (await market.get(admin, "/api/admin/policies")).json()["results"]
    world.things["policy"] = {"admin": (None, policies[0]["name"])}
    body = {"username": "makena", "password": PASSWORD}
    world.refresh = (await made(await market.post(None, "/api/auth/login", body)))["refresh"]
    await market.drain()
    event = await market.value("SELECT id FROM outbox_messages WHERE done_at IS NOT NULL ORDER BY id LIMIT 1")
    await market.execute("UPDATE outbox_messages SET done_at = NULL, dead_at = now() WHERE id = $1", event)
    world.things["dead_letter"] = {"admin": (None, str(event))}
    await world.keep()
    return world


async def open_catalogue(world: World) -> None:
    """Have both workers list a service."""
    market, offered = world.market, []
    await market.execute(
        "INSERT INTO offering_categories VALUES ($1, 'Gardens', 'gardens', '', '', $2)", CATEGORY, market.clock.now()
    )
    for worker in world.people["worker"]:
        body = {"name": "Hedges", "description": "Cut", "category_id": str(CATEGORY), "base_price": 500}
        offered.append((await made(await market.post(worker, "/api/services", body)))["id"])
    world.things["service"] = {"worker": (offered[0], offered[1])}
    first, second = world.people["worker"]
    world.things["worker"] = {"worker": (str(first.id), str(second.id))}


async def open_orders(world: World) -> None:
    """Have each client order of one worker, once for each state that an order can be in."""
    market, admin = world.market, world.people["admin"][0]
    clients, workers = world.people["client"], world.people["worker"]
    found: dict[str, list[str]] = {}
    paid: list[dict[str, Any]] = []
    day = 1
    for kind in ("order_offered", "order_unpaid", "order_open", "order_held", "order_delivered", "order_done"):
        for number, (client, worker) in enumerate(zip(clients, workers, strict=True)):
            day += 1  # nobody is at two places at once
            body = {
                "service": world.things["service"]["worker"][number],
                "address": "Market Street 1",
                "scheduled_date": (market.clock.now() + timedelta(days=day)).isoformat(),
            }
            order = (await made(await market.post(client, "/api/orders", body)))["id"]
            found.setdefault(kind, []).append(order)
            if kind == "order_unpaid":
                continue
            paid.append(await made(await market.post(client, f"/api/payments/order/{order}/pay", CARD)))
            await market.drain()
            if kind in {"order_held", "order_delivered", "order_done"}:
                await made(await market.post(worker, f"/api/orders/{order}/assign", {}))
            if kind in {"order_delivered", "order_done"}:
                path = f"/api/orders/{order}/deliver"
                await made(await market.send_form(worker, path, {"note": "Done"}, ("files", "after.pdf", PDF)))
            if kind == "order_done":
                await made(await market.post(client, f"/api/orders/{order}/accept", {}))
        if kind == "order_offered":
            await market.run("gigs.assign_orders")
            offered = await market.rows("SELECT worker_id FROM gigs_orders WHERE stage = 'offered' ORDER BY id")
            assert [row["worker_id"] for row in offered] == [worker.id for worker in workers]
    for kind, (first, second) in found.items():
        world.things[kind] = {"client": (first, second), "worker": (first, second)}
    shown = [(await market.get(admin, f"/api/orders/{order}")).json() for order in found["order_delivered"]]
    files = [order["files"][0]["id"] for order in shown]
    for kind, pair in (
        ("order_payment", (paid[0]["id"], paid[1]["id"])),
        ("delivered_file", (files[0], files[1])),
    ):
        world.things[kind] = {"client": pair, "worker": pair}
    world.things["simulated"] = {"admin": (None, paid[1]["reference"])}


async def post_task(market: Market, student: Person, title: str) -> str:
    reply = await market.send_form(
        student,
        "/api/assignments",
        {"title": title, "description": "900 words", "budget": "500.00"},
        ("files", "brief.pdf", PDF),
    )
    return str((await made(reply))["id"])


async def submit(market: Market, writer: Person, task: str) -> httpx.Response:
    return await market.send_form(writer, "/api/submissions", {"assignment": task}, ("file", "essay.pdf", PDF))
