"""Goal A5: who is put out is out everywhere, on every process of the server."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from interface.bootstrap.background import Background, every
from interface.bootstrap.runtime import REFRESH_EVERY
from tests.e2e.market import OPENING, PASSWORD, Market, open_market
from tests.fakes.core.system import FixedClock

GONE_WITHIN_S = 5.0
LOOK_EVERY_S = 0.05
SOME_ID = "019cae6b-6600-7000-8000-000000000001"

Processes = tuple[Market, Market]
Operation = tuple[str, str]


@pytest.fixture
async def processes(database_url: str, tmp_path: Path) -> AsyncIterator[Processes]:
    """Two processes that follow what is revoked as often as real ones do."""
    clock = FixedClock(OPENING)
    async with (
        open_market(database_url, tmp_path, pool_size=4, clock=clock) as one,
        open_market(database_url, tmp_path, pool_size=4, clock=clock) as two,
        Background(tuple(every(REFRESH_EVERY, "refresh", market.refresh) for market in (one, two))),
    ):
        yield one, two


def bearer(pair: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {pair['access']}"}


async def sign_in(market: Market, username: str) -> dict[str, Any]:
    reply = await market.post(None, "/api/auth/login", {"username": username, "password": PASSWORD})
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


async def status(market: Market, path: str, pair: dict[str, Any]) -> int:
    return (await market.http.get(path, headers=bearer(pair))).status_code


async def suspend(market: Market, admin: dict[str, Any], person: dict[str, Any]) -> httpx.Response:
    path = f"/api/admin/users/{person['user']['id']}"
    return await market.http.patch(path, json={"is_active": False, "reason": "spam"}, headers=bearer(admin))


async def change_role(market: Market, admin: dict[str, Any], person: dict[str, Any]) -> httpx.Response:
    path = f"/api/admin/users/{person['user']['id']}"
    return await market.http.patch(path, json={"role": "member"}, headers=bearer(admin))


async def change_password(market: Market, _: dict[str, Any], person: dict[str, Any]) -> httpx.Response:
    body = {"old_password": PASSWORD, "new_password": "Deep-rivers-9"}
    return await market.http.post("/api/auth/password-change", json=body, headers=bearer(person))


async def sign_out_everywhere(market: Market, _: dict[str, Any], person: dict[str, Any]) -> httpx.Response:
    return await market.http.post("/api/auth/logout", json={"all": True}, headers=bearer(person))


CAUSES: dict[str, Callable[[Market, dict[str, Any], dict[str, Any]], Awaitable[httpx.Response]]] = {
    "suspended": suspend,
    "demoted": change_role,
    "changed": change_password,
    "left": sign_out_everywhere,
}


async def test_access_is_gone_on_every_process_within_five_seconds_whatever_ends_it(processes: Processes) -> None:
    """Goal A5: suspension, role change, password change and signing out everywhere, at the pace of real processes."""
    one, two = processes
    await one.register("chief", "admin")
    admin, before, other_device = await sign_in(one, "chief"), {}, {}
    for name in CAUSES:
        await one.register(name, "admin")
        before[name], other_device[name] = await sign_in(one, name), await sign_in(two, name)
    tokens = [*before.values(), *other_device.values()]
    for market in processes:
        assert [await status(market, "/api/admin/users", pair) for pair in tokens] == [200] * 8
    began = time.monotonic()
    for name, end in CAUSES.items():
        reply = await end(one, admin, before[name])
        assert reply.status_code == 200, (name, reply.text)
    assert [await status(one, "/api/admin/users", pair) for pair in tokens] == [401] * 8  # at once where it was done
    while [await status(two, "/api/admin/users", pair) for pair in tokens] != [401] * 8:
        assert time.monotonic() - began < GONE_WITHIN_S
        await asyncio.sleep(LOOK_EVERY_S)
    assert await status(two, "/api/admin/users", admin) == 200
    for name in CAUSES:
        pairs = (before[name], other_device[name])
        replies = [await two.post(None, "/api/auth/refresh", {"refresh": pair["refresh"]}) for pair in pairs]
        # a role ends what the token says and not the sign-in: a refresh brings the new role
        assert [reply.status_code for reply in replies] == ([200, 200] if name == "demoted" else [401, 401]), name
        for reply in replies:
            if reply.status_code == 200:
                assert await status(two, "/api/admin/users", reply.json()) == 403


async def test_an_ended_token_opens_no_operation_at_all(processes: Processes) -> None:
    """Goal A5: all access, on both processes; every operation that asks who one is refuses."""
    one, two = processes
    await one.register("chief", "admin")
    await one.register("amina", "writer", "student", "admin")
    admin, person = await sign_in(one, "chief"), await sign_in(one, "amina")
    guarded = await guarded_operations(one)
    assert len(guarded) >= 60
    assert (await suspend(one, admin, person)).status_code == 200
    await two.refresh()
    for market in processes:
        for method, path in guarded:
            reply = await market.http.request(method, path, headers=bearer(person), json={})
            assert (method, path, reply.status_code) == (method, path, 401)
            assert reply.json()["code"] == "identity.not_signed_in"


async def guarded_operations(market: Market) -> list[Operation]:
    """Return the operations that refuse somebody without a token; all of them are asked."""
    document = (await market.http.get("/api/schema", params={"format": "json"})).json()
    found = []
    for path, operations in document["paths"].items():
        filled = re.sub(r"\{[^}]*\}", SOME_ID, path)
        for method in operations.keys() & {"get", "post", "put", "patch", "delete"}:
            reply = await market.http.request(method.upper(), filled, json={})
            if reply.status_code == 401 and reply.json()["code"] == "identity.not_signed_in":
                found.append((method.upper(), filled))
    return sorted(found)
