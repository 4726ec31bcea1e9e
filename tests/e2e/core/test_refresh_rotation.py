"""Goal A1: refresh tokens that race on a real PostgreSQL, over two processes of the server."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.e2e.core.identity_app import IdentityApp, identity_app
from tests.fakes.core.system import FixedClock

Processes = tuple[IdentityApp, IdentityApp]
FAMILIES = 1_000 if os.environ.get("SOKO_DRILL") else 24
ROUNDS = 6
AT_ONCE = 6
GRACE = timedelta(seconds=10)


@pytest.fixture
async def processes(database_url: str) -> AsyncIterator[Processes]:
    clock = FixedClock()
    async with identity_app(database_url, clock=clock) as one, identity_app(database_url, clock=clock) as two:
        yield one, two


@dataclass(slots=True)
class Family:
    """What a sign-in should be."""

    id: UUID
    tokens: list[str]
    """Refresh tokens in their order; the last one lives."""
    access: str
    used_at: list[datetime] = field(default_factory=list)
    is_ended: bool = False

    def is_stale(self, generation: int, now: datetime) -> bool:
        return generation < len(self.used_at) and now - self.used_at[generation] > GRACE


async def race(family: Family, processes: Processes, chance: random.Random) -> None:
    """Send some of the family's tokens at one moment and hold the replies against the model."""
    one, two = processes
    now, live = one.clock.now(), len(family.tokens) - 1
    presented = [max(0, live - chance.choice([0, 0, 0, 0, 0, 1, 1, 2])) for _ in range(chance.randint(2, AT_ONCE))]
    replies: list[httpx.Response] = await asyncio.gather(
        *(
            chance.choice(processes).post("/api/auth/refresh", {"refresh": family.tokens[generation]})
            for generation in presented
        )
    )
    fresh = {reply.json()["refresh"] for reply in replies if reply.status_code == 200} - set(family.tokens)
    assert len(fresh) <= 1
    if family.is_ended:
        assert {reply.status_code for reply in replies} == {401}
    elif any(family.is_stale(generation, now) for generation in presented):
        family.is_ended = True
        stale = [family.is_stale(generation, now) for generation in presented]
        assert all(reply.status_code == 401 for reply, is_stale in zip(replies, stale, strict=True) if is_stale)
        assert "identity.refresh_reused" in {reply.json().get("code") for reply in replies}
        for process in processes:
            await process.revocations.refresh()
            assert (await process.get("/api/auth/devices", token=family.access)).status_code == 401
    else:
        assert {reply.status_code for reply in replies} == {200}
        assert len(fresh) == (live in presented)
    if fresh:
        family.used_at.append(now)
        family.tokens += fresh
    if fresh and not family.is_ended:
        family.access = next(r.json()["access"] for r in replies if r.json().get("refresh") in fresh)
        assert (await two.get("/api/auth/devices", token=family.access)).status_code == 200


async def test_families_that_race_have_one_live_successor_each_and_end_when_one_is_reused(processes: Processes) -> None:
    """Goal A1, at the size of every run; each family is played against a model of it."""
    one, _ = processes
    chance = random.Random(7)
    families = []
    for number in range(FAMILIES):
        first = await one.register(f"person{number}")
        [row] = await one.rows("SELECT id FROM sign_ins WHERE account_id = $1", UUID(first["id"]))
        families.append(Family(row["id"], [first["refresh"]], first["access"]))
    for _ in range(ROUNDS):
        one.clock.advance(timedelta(seconds=chance.choice([0, 1, 4, 9, 11])))
        await asyncio.gather(*(race(family, processes, random.Random(chance.random())) for family in families))
    ended = [family for family in families if family.is_ended]
    assert 0 < len(ended) < FAMILIES
    stored = await one.rows("SELECT id, generation, ended_at, end_reason FROM sign_ins")
    said: dict[UUID, Any] = {row["id"]: row for row in stored}
    for family in families:
        row = said[family.id]
        assert (row["ended_at"] is not None, row["end_reason"]) == (
            family.is_ended,
            "reuse" if family.is_ended else None,
        )
        assert row["generation"] == len(family.tokens) - 1
    audited = await one.rows("SELECT id FROM audit_entries WHERE action = 'refresh_reused'")
    assert len(audited) == len(ended)


async def test_a_family_ends_in_ninety_days_however_often_it_is_refreshed(processes: Processes) -> None:
    """Goal A1: the absolute end, and the seven days of a token that nobody uses."""
    one, two = processes
    unused, token = await one.register("amina"), (await one.register("brian"))["refresh"]
    for _ in range(14):
        one.clock.advance(timedelta(days=6))
        reply = await two.post("/api/auth/refresh", {"refresh": token})
        assert reply.status_code == 200
        token = reply.json()["refresh"]
    one.clock.advance(timedelta(days=6) - timedelta(seconds=1))
    last = await one.post("/api/auth/refresh", {"refresh": token})
    assert last.status_code == 200
    one.clock.advance(timedelta(seconds=1))
    for gone in (token, last.json()["refresh"], unused["refresh"]):
        reply = await one.post("/api/auth/refresh", {"refresh": gone})
        assert (reply.status_code, reply.json()["code"]) == (401, "identity.refresh_invalid")
