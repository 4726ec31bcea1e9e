"""Signing in over HTTP."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.e2e.core.identity_app import PASSWORD, IdentityApp, identity_app


@pytest.fixture
async def soko(database_url: str) -> AsyncIterator[IdentityApp]:
    async with identity_app(database_url) as app:
        yield app


async def test_registering_answers_the_union_that_all_clients_read(soko: IdentityApp) -> None:
    body = {
        "username": "Writer_One",
        "email": "W1@example.test",
        "password": PASSWORD,
        "role": "WRITER",
        "is_staff": True,
    }
    reply = await soko.post("/api/auth/register", body)
    said = reply.json()
    assert reply.status_code == 201
    assert said["role"] == said["user"]["role"] == "WRITER"
    assert said["id"] == said["user"]["id"]
    assert said["username"] == "writer_one"
    assert said["email"] == "w1@example.test"
    assert said["roles"] == [{"role": "writer", "status": "active"}]
    assert said["tokens"] == {"access": said["access"], "refresh": said["refresh"]}
    assert said["is_verified"] is False


async def test_refresh_within_the_grace_answers_again_and_after_it_ends_the_family(soko: IdentityApp) -> None:
    first = await soko.register("writer_one")
    one = await soko.post("/api/auth/refresh", {"refresh": first["refresh"]})
    soko.clock.advance(timedelta(seconds=9))
    two = await soko.post("/api/auth/token/refresh", {"refresh": first["refresh"]})
    assert (one.status_code, two.status_code) == (200, 200)
    soko.clock.advance(timedelta(seconds=2))
    three = await soko.post("/api/users/token/refresh", {"refresh": first["refresh"]})
    assert (three.status_code, three.json()["code"]) == (401, "identity.refresh_reused")
    four = await soko.post("/api/auth/refresh", {"refresh": one.json()["refresh"]})
    assert four.status_code == 401
    assert (await soko.get("/api/auth/me", token=one.json()["access"])).status_code == 401
