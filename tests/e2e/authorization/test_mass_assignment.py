"""Fields that nobody asked for change nothing: each write is played plainly, and then with every field there is.

The extra fields are every column of every table and every field of every reply which the request does not have, with
values that would pay: flat, in other casings, and inside objects named like the things themselves.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import asyncpg
import pytest

from tests.e2e.authorization.matrix import MATRIX, YES
from tests.e2e.authorization.test_matrix import body_of, name_of, target_of
from tests.e2e.authorization.world import PDF, World, open_world
from tests.e2e.market import Market

ELSEWHERE = ("user", "account", "profile", "task", "assignment", "wallet", "data", "attributes", "__proto__")
"""Objects in which clients of other systems put fields."""

LEFT_OUT = {
    "refreshTokens",  # what it writes is new tokens
    "logIn",
    "finishLogIn",  # needs a challenge that is handed out once
    "setNotificationPreferences",  # its fields are the categories: others are refused
    "receiveLipanaCallback",  # signed by a provider, kept as they are
    "receiveDarajaCallback",
    "receivePayPalCallback",
    "receiveStripeCallback",
    "receivePaymentCallback",
}
WHO = ("anonymous", "student", "writer", "client", "worker", "member", "admin")
"""The first of them who may do a thing does it."""

Rows = Mapping[str, list[dict[str, Any]]]


@pytest.fixture
async def world(market: Market, database_dsn: str) -> AsyncIterator[World]:
    owner = await asyncpg.connect(database_dsn)
    yield await open_world(market, owner)
    await owner.close()


def fields_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    """Yield the names of all fields of a schema, at any depth."""
    name = schema.get("$ref", "").rpartition("/")[2]
    if name:
        schema = schemas[name]
    yield from schema.get("properties", {})
    if depth < 6:
        inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), schema.get("items", {})]
        for one in inner:
            yield from fields_of(one, schemas, depth + 1)


def tempting(name: str, world: World) -> object:
    """Return a value for a field that its sender would like to have."""
    if name.startswith(("is_", "has_")) or name in {
        "funded",
        "current",
        "verified",
        "email_verified",
        "phone_verified",
    }:
        return True
    if "role" in name:
        return ["admin"] if name.endswith("s") else "admin"
    if name.endswith("_at") or name in {"date_joined", "valid_from"}:
        return "2020-01-01T00:00:00Z"
    if name == "id" or name.endswith("_id") or name in {"owner", "payer", "student", "writer", "recipient", "account"}:
        return str(world.people["admin"][1].id)
    if name in {"status", "stage", "state"}:
        return "APPROVED"
    return 987654321


def casings(name: str) -> set[str]:
    camel = re.sub(r"_([a-z])", lambda found: found[1].upper(), name)
    return {name, camel, camel[:1].upper() + camel[1:], name.upper(), name.replace("_", "-")}


def extras(names: set[str], asked: set[str], world: World) -> dict[str, object]:
    """Return every field that is not asked for, in every casing, flat and nested."""
    flat = {cased: tempting(name, world) for name in sorted(names) for cased in sorted(casings(name) - asked)}
    plain = {name: tempting(name, world) for name in sorted(names)}
    return flat | {name: plain for name in ELSEWHERE if name not in asked}


async def written(world: World, before: Rows) -> dict[str, Any]:
    """Return what a request wrote: new rows, and old ones as they are now, without the ids of new things."""
    after = await world.rows()
    old_ids = {str(value) for rows in before.values() for row in rows for value in row.values()}
    found: dict[str, Any] = {}
    for table, rows in after.items():
        new = [row for row in rows if row not in before[table]]
        gone = len([row for row in before[table] if row not in rows])
        if new or gone:
            found[table] = gone, sorted(json.dumps(shown(row, old_ids), default=str) for row in new)
    return found


def shown(row: Mapping[str, Any], old: set[str]) -> dict[str, str]:
    return {column: "MADE" if isinstance(value, bytes) else masked(str(value), old) for column, value in row.items()}


UUID_TEXT = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
MADE = re.compile(
    r"\$plain\$v=1\$\d+|\buser-[a-z0-9]{8}\b|TXN\d{6}|\bSK[0-9A-Z]{10}\b|(?<=b')[^']{16,}(?=')|(?<=b\")[^\"]{16,}(?=\")|eyJ[\w.-]+|\b\d{6}\b|[\w-]{32,}"
)
"""What is made anew each time: references, digests, tokens, codes, and the counters of fakes."""


def masked(text: str, old: set[str]) -> str:
    without_ids = UUID_TEXT.sub(lambda found: found[0] if found[0] in old else "ID", text)
    return without_ids if without_ids in old else MADE.sub("MADE", without_ids)


async def test_fields_that_nobody_asked_for_change_nothing(world: World) -> None:
    schemas = world.document["components"]["schemas"]
    names = {name for schema in schemas.values() for name in fields_of(schema, schemas)}
    names |= {
        row["column_name"]
        for row in await world.owner.fetch(
            "SELECT DISTINCT column_name FROM information_schema.columns WHERE table_schema = 'public'"
        )
    }
    before, at_rest = await world.rows(), await world.print_of_all()
    wrong, succeeded, unplayed = [], set(), set()
    for method, path, operation in world.operations():
        name = name_of(operation)
        if method == "GET" or "requestBody" not in operation or name in LEFT_OUT:
            continue
        row = MATRIX[name]
        may = ((one, target) for one in WHO for target, cell in row.cells[one].items() if cell == YES)
        actor, target = next(may, (None, None))
        if actor is None or target is None:
            unplayed.add(name)
            continue
        thing = target_of(world, row, actor, target)
        person, address = world.actor(actor), re.sub(r"\{\w+\}", thing, path)
        headers = {} if person is None else world.market.headers(person)
        content = operation["requestBody"]["content"]
        kind = "application/json" if "application/json" in content and name != "submitWork" else "multipart/form-data"
        asked = set(fields_of(content[kind]["schema"], schemas))
        effects = []
        for more in ({}, extras(names, asked, world)):
            if kind == "multipart/form-data":
                fields = {"assignment": thing} | {one: str(value) for one, value in more.items()}
                files = {"file": ("essay.pdf", PDF)}
                # the form reader takes a bounded number of fields
                fields = dict(list(fields.items())[:80])
                reply = await world.market.http.request(method, address, data=fields, files=files, headers=headers)
            else:
                body = (body_of(world, name, content[kind].get("example"), thing) or {}) | more
                reply = await world.market.http.request(method, address, json=body, headers=headers)
            effects.append((reply.status_code, await written(world, before)))
            if await world.print_of_all() != at_rest:
                await world.put_back()
        if effects[0] != effects[1]:
            wrong.append(f"{method} {path} as {actor}:\n  {effects[0]}\n  {effects[1]}")
        if effects[0][0] < 300:
            succeeded.add(name)
    assert not wrong, "\n".join(wrong)
    assert succeeded >= {"register", "editUser", "editProfile", "postTask", "editTask", "submitWork", "approveTask"}
    assert succeeded >= {"addServiceCategory", "listService", "editService", "editWorkerProfile"}
    assert succeeded >= {"placeOrder", "editOrder", "payOrder", "assignWorker", "acceptOffer", "declineOffer"}
    assert succeeded >= {"startWork", "deliverWork", "withdrawFromOrder", "acceptDelivery", "requestChanges"}
    assert succeeded >= {"cancelOrder", "changeOrderStatus", "reviewOrder", "deliverSimulated"}
    assert unplayed == set()  # everything that takes a body can be done by somebody
    assert len(names) > 250
