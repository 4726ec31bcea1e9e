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


async def test_the_account_journey(soko: IdentityApp) -> None:
    one = await soko.register("writer_one", role="WRITER", email="w1@example.test")
    assert one["role"] == "WRITER"
    assert one["user"]["id"] == one["id"]
    assert one["tokens"]["access"] == one["access"]
    two = await soko.register("writer_two", role="WRITER", email="w1@example.test")
    assert two.keys() == one.keys()
    body = {"username": "boss", "email": "boss@example.test", "password": PASSWORD, "role": "Admin"}
    refused = await soko.post("/api/auth/register", body)
    assert (refused.status_code, refused.json()["code"]) == (403, "identity.role_not_offered")
    assert await soko.rows("SELECT id FROM accounts WHERE username = 'boss'") == []
    by_address = await soko.post("/api/users/login", {"email": "w1@example.test", "password": PASSWORD})
    assert (by_address.status_code, by_address.json()["user"]["username"]) == (200, "writer_one")
    right = await soko.newest_code(one["id"])
    wrong = "000000" if right != "000000" else "000001"
    for code in [wrong] * 5 + [right]:
        reply = await soko.post("/api/users/verify/email", {"code": code}, token=one["access"])
        assert (reply.status_code, reply.json()["code"]) == (422, "identity.code_invalid")
    reply = await soko.post("/api/users/verify/resend", {"verification_type": "email"}, token=one["access"])
    assert reply.status_code == 200
    code = await soko.newest_code(one["id"])
    for _ in range(2):
        reply = await soko.post("/api/users/verify/email", {"code": code}, token=one["access"])
        assert (reply.status_code, reply.json()["user"]["is_verified"]) == (200, True)
    late = await soko.post("/api/users/verify/email", {"code": await soko.newest_code(two["id"])}, token=two["access"])
    assert (late.status_code, late.json()["code"]) == (422, "identity.code_invalid")
    known = await soko.post("/api/auth/password-reset", {"email": "w1@example.test"})
    unknown = await soko.post("/api/users/password/reset", {"email": "nobody@example.test"})
    assert known.status_code == unknown.status_code == 200
    assert known.content == unknown.content
    await soko.make_admin(one["id"])
    admin = await soko.log_in("writer_one")
    last = await soko.patch(f"/api/admin/users/{one['id']}", {"is_active": False}, token=admin["access"])
    assert (last.status_code, last.json()["code"]) == (409, "identity.last_admin")
    assert (await soko.rows("SELECT is_active FROM accounts WHERE username = 'writer_one'"))[0]["is_active"] is True
