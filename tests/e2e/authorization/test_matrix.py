"""The authorization matrix, played: every cell of every operation, and nothing written where somebody is denied."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from tests.e2e.authorization.fields import Shown, complaints, differences, documented
from tests.e2e.authorization.matrix import FORBIDDEN, HIDDEN, MATRIX, MORE, NOTHING, UNSIGNED, YES, Row, rows_of
from tests.e2e.authorization.world import ACTORS, NOBODY, PAIRS, PDF, World, open_world
from tests.e2e.market import PASSWORD, Market

SAME_HANDLER = re.compile(r"(By(Put|Patch))?(At[A-Z].*)?$")
DENIALS = {401, 403, 404}
REGISTRATIONS = ("register", "registerAdministrator", "registerMember", "registerStudent", "signUp")


@pytest.fixture
async def world(market: Market, database_dsn: str) -> AsyncIterator[World]:
    owner = await asyncpg.connect(database_dsn)
    yield await open_world(market, owner)
    await owner.close()


def name_of(operation: dict[str, Any]) -> str:
    """Return under which name an operation stands in the matrix."""
    return SAME_HANDLER.sub("", operation["operationId"])


def target_of(world: World, row: Row, actor: str, target: str) -> str:
    """Return the id of what a cell is about."""
    if target == "none" or row.kind is None:
        return "nothing.has.this_name" if row.kind in {"job", "policy"} else str(NOBODY)
    pairs = world.things[row.kind]
    own, other = pairs.get(actor) or (None, next(iter(pairs.values()))[1])
    if target == "own" and own is None:  # who may never do it, whosever it is, need not own one
        assert row.cells[actor][target] == FORBIDDEN, (row.kind, actor)
    return own if target == "own" and own is not None else other


WITH_UPLOADS = ("postTask", "editTask", "deliverWork")


def body_of(world: World, name: str, example: Any, thing: str) -> Any:
    """Return what to send: the example of the document, about the target."""
    without_uploads = {field: value for field, value in (example or {}).items() if field != "uploads"}
    newcomer = {"email": "new@example.test"} | ({"username": "newcomer"} if "username" in (example or {}) else {})
    return {
        "logIn": {"username": "makena", "password": PASSWORD},
        "logInAsAdministrator": {"username": "abdi", "password": PASSWORD},
        "changePassword": {"old_password": "not it", "new_password": PASSWORD + "8"},
        "blockUser": {"user_id": thing},
        "releasePayment": {"assignment": thing},
        "administerUser": {"is_verified": True},
        "placeOrder": (example or {}) | {"service": thing, "expected_total": "1000.00"},
        "assignWorker": {},
        "deliverSimulated": {"reference": thing},
        "changeOrderStatus": {"status": "completed", "comment": "Done."},
        **{one: (example or {}) | newcomer for one in REGISTRATIONS},
        **dict.fromkeys(WITH_UPLOADS, without_uploads),  # this world has none of those that the example names
    }.get(name, example)


async def send(
    world: World, actor: str, method: str, path: str, operation: dict[str, Any], thing: str
) -> httpx.Response:
    market, person, name = world.market, world.actor(actor), name_of(operation)
    address = re.sub(r"\{\w+\}", thing, path)
    parameters = {one["name"]: "2026-03-01" for one in operation.get("parameters", ()) if one["name"] == "date"}
    headers = {} if person is None else market.headers(person)
    if name == "submitWork":
        return await market.send_form(person, address, {"assignment": thing}, ("file", "essay.pdf", PDF))
    if name == "refreshTokens":
        body: Any = {"refresh": world.refresh}
    else:
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        body = body_of(world, name, content.get("example"), thing)
    sent = None if body is None else json.dumps(body)
    typed = {} if body is None else {"content-type": "application/json"}
    return await market.http.request(method, address, content=sent, params=parameters, headers=headers | typed)


def told(reply: httpx.Response, thing: str) -> object:
    """Return what a refusal says, without what is of this one request: its trace and the id that was asked for."""
    body = {name: value for name, value in reply.json().items() if name not in {"trace_id", "instance"}}
    headers = sorted(reply.headers.keys() - {"date", "content-length"})
    return reply.status_code, json.dumps(body, sort_keys=True).replace(thing, "ID"), headers


PROVES_WHO = {"logIn", "logInAsAdministrator"}
"""Their bodies carry the password of somebody else than the actor, who is told what is his."""


def complaints_about_the_reply(
    world: World, name: str, actor: str, expected: str, reply: httpx.Response, secrets: dict[str, UUID]
) -> Iterator[str]:
    """Yield what is wrong with a reply by itself; secrets are for their owner and administrators alone."""
    if reply.status_code >= 500 or reply.status_code in {400, 405, 413, 415}:
        yield f"{reply.status_code} {reply.text[:200]}"
    if (expected == UNSIGNED) != ("www-authenticate" in reply.headers):
        yield f"WWW-Authenticate does not go with {reply.status_code}"
    if expected == HIDDEN and any(one in reply.text for pair in PAIRS.values() for one in pair):
        yield "the denial tells of somebody"
    person = world.actor(actor)
    own = None if person is None else person.id
    if actor != "admin" and name not in PROVES_WHO:
        yield from (f"it tells {one}" for one, whose in secrets.items() if whose != own and one in reply.text)


def test_a_field_that_nobody_allowed_is_noticed_for_whom_it_is_shown() -> None:
    kept = {"getTask": {"id": "student/own writer/own", "notes": "nobody"}}
    assert differences(kept, kept) == []
    for shown, told in (
        ({"getTask": {**kept["getTask"], "phone": "writer/own"}}, "getTask: phone is shown to writer/own, who may"),
        ({"getTask": {**kept["getTask"], "notes": "writer/other"}}, "getTask: notes is shown to writer/other, who"),
        ({"getTask": {**kept["getTask"], "id": "student/own"}}, "getTask: id is shown to nobody more"),
        ({**kept, "getUser": {"email": "anybody"}}, "getUser: email is shown to anybody, who may"),
    ):
        (found,) = differences(kept, shown)
        assert found.startswith(told)


async def test_every_operation_has_a_row_and_every_row_an_operation(market: Market) -> None:
    document = (await market.http.get("/api/schema")).json()
    named = {name_of(operation) for methods in document["paths"].values() for operation in methods.values()}
    assert sorted(named - MATRIX.keys()) == []
    assert sorted(MATRIX.keys() - named) == []
    assert MORE.keys() <= MATRIX.keys()
    for row in [row for name in MATRIX for row in rows_of(name)]:
        assert row.cells.keys() == set(ACTORS)


async def test_every_cell_is_met_and_shows_what_it_may_and_a_denial_changes_nothing(world: World) -> None:
    wrong: list[str] = []
    played = 0
    shown = Shown()
    secrets = await world.secrets()
    assert len(set(secrets.values())) > 10
    at_rest = await world.print_of_all()
    for method, path, operation, row in [
        (*each, row) for each in world.operations() for row in rows_of(name_of(each[2]))
    ]:
        for actor, cells in row.cells.items():
            hidden: dict[str, object] = {}
            for target, expected in cells.items():
                if expected == NOTHING:
                    continue
                thing = target_of(world, row, actor, target)
                reply = await send(world, actor, method, path, operation, thing)
                met = str(reply.status_code) if reply.status_code in DENIALS else YES
                where = f"{method} {path} as {actor}, {target} {row.kind}"
                played += 1
                shown.note(name_of(operation), actor, target, reply)
                tells = complaints_about_the_reply(world, name_of(operation), actor, expected, reply, secrets)
                wrong += [f"{where}: {one}" for one in tells]
                if met != expected:
                    wrong.append(f"{where}: {expected} expected, {reply.status_code} met: {reply.text[:200]}")
                if expected != YES and await world.print_of_all() != at_rest:
                    wrong.append(f"{where}: denied, and something was written")
                if expected == HIDDEN:  # another's and nobody's are told apart by nothing (goal Z4)
                    hidden[target] = told(reply, thing)
                if method != "GET" and await world.print_of_all() != at_rest:
                    await world.put_back()
            if len({repr(one) for one in hidden.values()}) > 1:
                wrong.append(f"{method} {path} as {actor}: what is another's is told from what is not there: {hidden}")
    for _, _, operation in world.operations():
        shown.note_document(name_of(operation), documented(world.document, operation))
    wrong += complaints(shown.as_allowed())
    assert not wrong, "\n".join(wrong)
    assert played > 1000
