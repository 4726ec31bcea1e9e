"""People over HTTP: roles, profiles, blocks, devices, passwords, and what ends access."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest

from domain.core.kernel.errors import NotSignedIn
from tests.e2e.core.identity_app import PASSWORD, IdentityApp, identity_app

NEW_PASSWORD = "Deep-rivers-9"


@pytest.fixture
async def soko(database_url: str) -> AsyncIterator[IdentityApp]:
    async with identity_app(database_url) as app:
        yield app


async def an_admin(soko: IdentityApp) -> dict[str, str]:
    person = await soko.register("chief_one")
    await soko.make_admin(person["id"])
    return {"id": person["id"], "access": (await soko.log_in("chief_one"))["access"]}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/auth/register", {"username": "boss", "email": "b@example.test", "password": PASSWORD}),
        ("/api/auth/signup", {"email": "b@example.test", "name": "B", "password": PASSWORD}),
        (
            "/api/v1/auth/register/student",
            {"email": "b@example.test", "password": PASSWORD, "first_name": "B", "last_name": "B"},
        ),
        ("/api/users/register", {"username": "boss", "email": "b@example.test", "password": PASSWORD}),
    ],
)
@pytest.mark.parametrize("word", ["admin", "ADMIN", " Admin ", "superuser"])
async def test_no_way_of_registering_makes_an_administrator(
    soko: IdentityApp, path: str, body: dict[str, str], word: str
) -> None:
    """Goal Z3: a role of power never comes from the client."""
    reply = await soko.post(path, {**body, "role": word, "roles": ["admin"], "is_superuser": True})
    assert (reply.status_code, reply.json()["code"]) == (403, "identity.role_not_offered")
    assert await soko.rows("SELECT id FROM accounts") == []


async def test_every_way_of_registering_answers_alike(soko: IdentityApp) -> None:
    bodies = {
        "/api/auth/register": {"username": "one", "email": "1@example.test", "password": PASSWORD, "role": "student"},
        "/api/auth/signup/": {"email": "2@example.test", "name": "Amina W. Otieno", "password": PASSWORD},
        "/api/v1/auth/register/student": {
            "email": "3@example.test", "password": PASSWORD, "first_name": "A", "last_name": "B"
        },
        "/api/users/register/": {
            "username": "four", "email": "4@example.test", "password": PASSWORD, "phone_number": "0712 345 678",
            "location": {"city": "Kisumu"},
        },
    }  # fmt: skip
    replies = [(await soko.post(path, body)) for path, body in bodies.items()]
    assert [reply.status_code for reply in replies] == [201] * 4
    said = [reply.json() for reply in replies]
    assert len({tuple(one) for one in said}) == 1
    assert [one["role"] for one in said] == ["STUDENT", "member", "student", "member"]
    assert said[1]["name"] == "Amina W. Otieno"
    assert said[1]["username"].startswith("user-")
    assert said[3]["phone"] == said[3]["phone_number"] == "+254712345678"
    assert said[3]["location"]["city"] == "Kisumu"


async def test_a_taken_user_name_is_refused_whatever_its_case(soko: IdentityApp) -> None:
    await soko.register("amina")
    body = {"username": "AMINA", "email": "x@example.test", "password": PASSWORD}
    reply = await soko.post("/api/auth/register", body)
    assert (reply.status_code, reply.json()["code"]) == (409, "identity.username_taken")
    assert len(await soko.rows("SELECT id FROM accounts")) == 1


async def test_login_by_name_address_and_phone_means_the_same_person(soko: IdentityApp) -> None:
    body = {"username": "amina", "email": "a@example.test", "password": PASSWORD, "phone": "0712345678"}
    account_id = (await soko.post("/api/auth/register", body)).json()["id"]
    for said in (
        {"username": "AMINA"},
        {"email": "A@Example.test"},
        {"phone": "+254712345678"},
        {"phone": "0712345678"},
    ):
        reply = await soko.post("/api/auth/login", {**said, "password": PASSWORD})
        assert (reply.status_code, reply.json()["user"]["id"]) == (200, account_id)


async def test_a_wrong_password_and_an_unknown_name_are_refused_alike_at_one_hash_each(soko: IdentityApp) -> None:
    await soko.register("amina")
    replies = []
    for name in ("amina", "nobody"):
        before = soko.hasher.hashes_computed
        reply = await soko.post("/api/auth/login", {"username": name, "password": "Wrong-password-1"})
        assert soko.hasher.hashes_computed - before == 1
        replies.append((reply.status_code, {**reply.json(), "trace_id": ""}))
    assert replies[0] == replies[1]
    assert replies[0][1]["code"] == "identity.bad_credentials"


async def test_after_ten_failures_even_the_right_password_waits_until_the_window_ends(soko: IdentityApp) -> None:
    await soko.register("amina", email="a@example.test")
    for number in range(10):
        name = "amina" if number % 2 else "a@example.test"
        reply = await soko.post("/api/auth/login", {"username": name, "password": "Wrong-password-1"})
        assert reply.status_code == 401
    computed = soko.hasher.hashes_computed
    reply = await soko.post("/api/auth/login", {"username": "amina", "password": PASSWORD})
    assert (reply.status_code, reply.json()["code"]) == (429, "identity.too_many_attempts")
    assert 0 < int(reply.headers["Retry-After"]) <= 900
    assert soko.hasher.hashes_computed == computed
    soko.clock.advance(timedelta(minutes=15))
    assert (await soko.post("/api/auth/login", {"username": "amina", "password": PASSWORD})).status_code == 200


async def test_only_administrators_sign_in_as_administrators(soko: IdentityApp) -> None:
    await soko.register("amina")
    refused = await soko.post("/api/v1/auth/admin/login", {"username": "amina", "password": PASSWORD})
    assert (refused.status_code, refused.json()["code"]) == (401, "identity.bad_credentials")
    await an_admin(soko)
    reply = await soko.post("/api/v1/auth/admin/login", {"username": "chief_one", "password": PASSWORD})
    assert (reply.status_code, reply.json()["user"]["role"]) == (200, "admin")


async def test_an_owner_cannot_change_his_role_by_editing_himself(soko: IdentityApp) -> None:
    person = await soko.register("amina", role="client")
    body = {"role": "admin", "is_verified": True, "first_name": "Amina"}
    reply = await soko.put(f"/api/users/{person['id']}", body, token=person["access"])
    assert reply.status_code == 200
    assert (reply.json()["role"], reply.json()["is_verified"], reply.json()["first_name"]) == ("client", False, "Amina")


async def test_others_see_no_contacts_and_cannot_write(soko: IdentityApp) -> None:
    one, two = await soko.register("amina"), await soko.register("brian")
    seen = (await soko.get(f"/api/users/{one['id']}", token=two["access"])).json()
    assert seen["username"] == "amina"
    assert not {"email", "phone", "phone_number"} & seen.keys()
    refused = await soko.put(f"/api/users/{one['id']}", {"bio": "x"}, token=two["access"])
    assert refused.status_code == 403
    missing = await soko.get(f"/api/users/{uuid4()}", token=two["access"])
    assert (missing.status_code, missing.json()["code"]) == (404, "identity.user_not_found")


async def test_choosing_a_role_ends_the_old_access_token_and_a_refresh_brings_the_role(soko: IdentityApp) -> None:
    person = await soko.register("amina", role="client")
    reply = await soko.post("/api/users/me/roles", {"role": "Worker"}, token=person["access"])
    assert reply.status_code == 201
    assert reply.json()["roles"] == [
        {"role": "client", "status": "active"}, {"role": "worker", "status": "active"}
    ]  # fmt: skip
    assert (await soko.get("/api/auth/me", token=person["access"])).status_code == 401
    fresh = (await soko.post("/api/auth/refresh", {"refresh": person["refresh"]})).json()["access"]
    again = await soko.post("/api/users/me/roles", {"role": "worker"}, token=fresh)
    assert again.status_code == 200
    for word, status in (("admin", 403), ("wizard", 422)):
        assert (await soko.post("/api/users/me/roles", {"role": word}, token=fresh)).status_code == status


async def test_a_suspended_person_is_out_at_once_and_on_other_processes_after_they_follow(
    soko: IdentityApp, database_url: str
) -> None:
    admin, person = await an_admin(soko), await soko.register("amina")
    async with identity_app(database_url, clock=soko.clock) as other:
        assert (await other.get("/api/auth/me", token=person["access"])).status_code == 200
        body = {"is_active": False, "reason": "spam"}
        assert (await soko.patch(f"/api/admin/users/{person['id']}", body, token=admin["access"])).status_code == 200
        assert (await soko.get("/api/auth/me", token=person["access"])).status_code == 401
        await other.revocations.refresh()
        assert (await other.get("/api/auth/me", token=person["access"])).status_code == 401
    assert (await soko.post("/api/auth/refresh", {"refresh": person["refresh"]})).status_code == 401
    wrong = await soko.post("/api/auth/login", {"username": "amina", "password": "Wrong-password-1"})
    assert wrong.json()["code"] == "identity.bad_credentials"
    right = await soko.post("/api/auth/login", {"username": "amina", "password": PASSWORD})
    assert (right.status_code, right.json()["code"]) == (403, "identity.account_suspended")
    entries = await soko.rows("SELECT before, after, reason FROM audit_entries WHERE action = 'PATCH_USER'")
    assert [(row["before"]["is_active"], row["after"]["is_active"], row["reason"]) for row in entries] == [
        (True, False, "spam")
    ]


async def test_a_changed_password_keeps_this_device_and_ends_the_others(soko: IdentityApp) -> None:
    await soko.register("amina")
    here, there = await soko.log_in("amina"), await soko.log_in("amina")
    body = {"old_password": "Wrong-password-1", "new_password": NEW_PASSWORD}
    wrong = await soko.post("/api/auth/password-change", body, token=here["access"])
    assert (wrong.status_code, wrong.json()["code"]) == (422, "identity.old_password_wrong")
    reply = await soko.post(
        "/api/auth/password-change", {"old_password": PASSWORD, "new_password": NEW_PASSWORD}, token=here["access"]
    )
    assert reply.status_code == 200
    for old in (here, there):
        assert (await soko.get("/api/auth/me", token=old["access"])).status_code == 401
    assert (await soko.post("/api/auth/refresh", {"refresh": there["refresh"]})).status_code == 401
    assert (await soko.get("/api/auth/me", token=reply.json()["access"])).status_code == 200
    assert (await soko.post("/api/auth/refresh", {"refresh": reply.json()["refresh"]})).status_code == 200


async def test_a_reset_proves_the_mailbox_ends_every_family_and_works_once(soko: IdentityApp) -> None:
    person = await soko.register("amina", email="a@example.test")
    rival = await soko.register("brian", email="a@example.test")
    await soko.post("/api/auth/password-reset", {"email": "a@example.test"})
    code = await soko.newest_code(person["id"], "reset")
    link = await soko.newest_link(person["id"], "reset")
    assert len(link) == 48
    without = await soko.post("/api/users/password/reset/confirm", {"code": code, "new_password": NEW_PASSWORD})
    assert (without.status_code, without.json()["code"]) == (422, "identity.address_required")
    body = {"token": link, "new_password": NEW_PASSWORD, "confirm_password": NEW_PASSWORD}
    reply = await soko.post("/api/auth/password-reset-confirm", body)
    assert reply.status_code == 200, reply.text
    again = {"email": "a@example.test", "code": code, "new_password": "Other-waters-3"}
    for used in (body, again):
        refused = await soko.post("/api/auth/password-reset-confirm", used)
        assert (refused.status_code, refused.json()["code"]) == (422, "identity.code_invalid")
    assert (await soko.get("/api/auth/me", token=person["access"])).status_code == 401
    assert (await soko.log_in("amina", NEW_PASSWORD))["user"]["is_verified"] is True
    mine = (await soko.get("/api/auth/me", token=rival["access"])).json()["user"]
    assert mine["email"] is None


async def test_a_new_address_waits_until_it_is_proved(soko: IdentityApp) -> None:
    person = await soko.register("amina", email="old@example.test")
    await soko.post("/api/auth/verify-email", {"token": await soko.newest_link(person["id"])})
    path = f"/api/users/{person['id']}"
    changed = await soko.put(path, {"email": "new@example.test"}, token=person["access"])
    assert (changed.json()["email"], changed.json()["is_verified"]) == ("old@example.test", True)
    code = await soko.newest_code(person["id"])
    proved = await soko.post("/api/auth/verify-email", {"email": "new@example.test", "code": code})
    assert (proved.status_code, proved.json()["user"]["email"]) == (200, "new@example.test")
    ignored = await soko.put("/api/users/profile", {"email": "x@example.test", "bio": "hi"}, token=person["access"])
    assert (ignored.json()["email"], ignored.json()["bio"]) == ("new@example.test", "hi")


async def test_blocks_can_be_set_listed_repeated_and_taken_back(soko: IdentityApp) -> None:
    one, two = await soko.register("amina"), await soko.register("brian")
    body = {"blocked_email": "brian@example.test", "reason": "rude"}
    first = await soko.post("/api/users/block", body, token=one["access"])
    again = await soko.post("/api/users/block", {"user_id": two["id"]}, token=one["access"])
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["user"]["id"] == two["id"]
    listed = (await soko.get("/api/users/blocked", token=one["access"])).json()
    assert [row["user"]["id"] for row in listed["results"]] == [two["id"]]
    self_block = await soko.post("/api/users/block", {"user_id": one["id"]}, token=one["access"])
    assert (self_block.status_code, self_block.json()["code"]) == (422, "identity.cannot_block_self")
    assert (await soko.delete(f"/api/users/unblock/{two['id']}", token=one["access"])).status_code == 204
    gone = await soko.delete(f"/api/users/unblock/{two['id']}", token=one["access"])
    assert (gone.status_code, gone.json()["code"]) == (404, "identity.not_blocked")


async def test_addresses_cannot_be_tried_by_the_list_for_who_has_them(soko: IdentityApp) -> None:
    one, two = await soko.register("amina"), await soko.register("brian")
    for number in range(10):
        body = {"blocked_email": f"nobody-{number}@example.test"}
        assert (await soko.post("/api/users/block", body, token=one["access"])).status_code == 404
    named = {"blocked_email": "brian@example.test"}
    refused = await soko.post("/api/users/block", named, token=one["access"])
    assert (refused.status_code, refused.json()["code"]) == (429, "identity.too_many_attempts")
    assert (await soko.get("/api/users/blocked", token=one["access"])).json()["results"] == []
    assert (await soko.post("/api/users/block", {"user_id": two["id"]}, token=one["access"])).status_code == 201


async def test_people_are_found_by_name_except_administrators_and_blocked_pairs(soko: IdentityApp) -> None:
    admin = await an_admin(soko)
    me, other = await soko.register("seeker"), await soko.register("chief_two")
    found = (await soko.get("/api/users?search=CHIEF", token=me["access"])).json()
    assert [one["username"] for one in found] == ["chief_two"]
    assert (await soko.get("/api/users?search=c%25", token=me["access"])).json() == []
    assert (await soko.get("/api/users", token=me["access"])).status_code == 422
    await soko.post("/api/users/block", {"user_id": me["id"]}, token=other["access"])
    assert (await soko.get("/api/users?search=chief", token=me["access"])).json() == []
    listed = await soko.get("/api/users?limit=2", token=admin["access"])
    assert listed.status_code == 200, listed.text
    everybody = listed.json()
    assert [one["username"] for one in everybody["results"]] == ["chief_two", "seeker"]
    rest = (await soko.get(everybody["next"], token=admin["access"])).json()
    assert [one["username"] for one in rest["results"]] == ["chief_one"]
    assert (await soko.get("/api/admin/users?role=ADMIN", token=admin["access"])).json()["results"][0][
        "role"
    ] == "ADMIN"
    assert (await soko.get("/api/admin/users", token=me["access"])).status_code == 403


async def test_devices_are_listed_and_signed_out(soko: IdentityApp) -> None:
    await soko.register("amina")
    here, there = await soko.log_in("amina"), await soko.log_in("amina")
    devices = (await soko.get("/api/auth/devices", token=here["access"])).json()["results"]
    assert len(devices) == 3
    assert [device["current"] for device in devices] == [False, True, False]
    assert (await soko.delete(f"/api/auth/devices/{devices[0]['id']}", token=here["access"])).status_code == 204
    assert (await soko.get("/api/auth/me", token=there["access"])).status_code == 401
    assert (await soko.delete(f"/api/auth/devices/{devices[0]['id']}", token=here["access"])).status_code == 404
    assert (await soko.get("/api/auth/me", token=here["access"])).status_code == 200


async def test_signing_out_is_idempotent_and_can_mean_everywhere(soko: IdentityApp) -> None:
    await soko.register("amina")
    here, there, third = [await soko.log_in("amina") for _ in range(3)]
    for _ in range(2):
        assert (await soko.post("/api/auth/logout", {"refresh": here["refresh"]})).status_code == 200
    assert (await soko.get("/api/auth/me", token=here["access"])).status_code == 401
    nonsense = await soko.post("/api/auth/logout", {"refresh": "nonsense"}, token=there["access"])
    assert (nonsense.status_code, nonsense.json()["code"]) == (422, "kernel.invalid")
    assert (await soko.post("/api/auth/logout", {})).status_code == 401
    assert (await soko.post("/api/auth/logout", {"all": True}, token=there["access"])).status_code == 200
    for one in (there, third):
        assert (await soko.get("/api/auth/me", token=one["access"])).status_code == 401
        assert (await soko.post("/api/auth/refresh", {"refresh": one["refresh"]})).status_code == 401


async def test_a_ticket_opens_one_socket_within_30_seconds(soko: IdentityApp) -> None:
    person = await soko.register("amina")
    reply = await soko.post("/api/ws/ticket", token=person["access"])
    assert (reply.status_code, reply.json()["expires_in"]) == (201, 30)
    redeem = soko.use_case("socket_access").by_ticket
    assert str((await redeem(reply.json()["ticket"])).account_id) == person["id"]
    late = (await soko.post("/api/ws/ticket", token=person["access"])).json()["ticket"]
    used = reply.json()["ticket"]
    soko.clock.advance(timedelta(seconds=30))
    for ticket in (used, late):
        with pytest.raises(NotSignedIn):
            await redeem(ticket)


async def test_the_administrator_may_register_another_and_nobody_else_may(soko: IdentityApp) -> None:
    admin, person = await an_admin(soko), await soko.register("amina")
    body = {"email": "c@example.test", "password": PASSWORD, "first_name": "C", "last_name": "D"}
    assert (await soko.post("/api/v1/auth/admin/register", body, token=person["access"])).status_code == 403
    assert (await soko.post("/api/v1/auth/admin/register", body)).status_code == 401
    reply = await soko.post("/api/v1/auth/admin/register", body, token=admin["access"])
    assert (reply.status_code, reply.json()["roles"]) == (201, [{"role": "admin", "status": "active"}])


async def test_strange_text_is_refused_and_never_a_failure_of_ours(soko: IdentityApp) -> None:
    for text in ("a\x00b", "x" * 5000, "'; drop table accounts; --", "😀" * 20):
        for body in ({"username": text, "password": text}, {"email": text, "password": text}):
            assert (await soko.post("/api/auth/login", body)).status_code in {400, 401, 422}
        body = {"username": text, "email": "a@example.test", "password": PASSWORD}
        assert (await soko.post("/api/auth/register", body)).status_code in {400, 422}
        assert (await soko.post("/api/auth/refresh", {"refresh": text})).status_code in {400, 401, 422}
    raw = b'{"username": "\\ud800", "password": "x"}'
    reply = await soko.http.post("/api/auth/login", content=raw, headers={"Content-Type": "application/json"})
    assert reply.status_code in {400, 401, 422}


async def test_the_admin_page_names_the_api(soko: IdentityApp) -> None:
    reply = await soko.get("/admin")
    assert reply.status_code == 200
    assert "/api/admin" in reply.text
    assert "/api/docs" in reply.text
