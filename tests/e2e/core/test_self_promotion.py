"""Goal Z3: nobody makes himself more than he is, and nobody pays himself."""

import asyncio
from pathlib import Path
from typing import Any

from tests.e2e.market import OPENING, PASSWORD, Market, open_market
from tests.fakes.core.system import FixedClock

NAME = {"first_name": "Amina", "last_name": "Otieno"}
PROMOTIONS: dict[str, Any] = {
    "roles": ["admin"], "Role": "admin", "ROLE": "ADMIN", "role_states": ["active"], "grants": [{"role": "admin"}],
    "is_admin": True, "isAdmin": True, "is_staff": True, "is_superuser": True, "is_verified": True, "is_active": True,
    "email_verified": True, "verified_email": "a@example.test", "epoch": 7,
    "id": "00000000-0000-0000-0000-000000000001",
    "user": {"role": "admin", "roles": ["admin"]}, "user.role": "admin", "balance": "1000.00", "password_hash": "x",
    "__class__": {"role": "admin"}, "$set": {"role": "admin"},
}  # fmt: skip
REGISTRATIONS: dict[str, dict[str, Any]] = {
    "/api/auth/register": {"username": "amina", "email": "a@example.test"},
    "/api/auth/signup": {"email": "a@example.test", "name": "Amina"},
    "/api/v1/auth/register/student": {"email": "a@example.test", **NAME},
    "/api/users/register": {"username": "brian", "email": "a@example.test"},
}
EDITS = [
    ("PATCH", "/api/users/me"),
    ("PUT", "/api/users/profile"),
    ("PATCH", "/api/users/profile"),
    ("PUT", "/api/users/{id}"),
    ("PATCH", "/api/users/{id}"),
    ("PUT", "/api/auth/users/{id}"),
    ("PATCH", "/api/auth/users/{id}"),
]
KEPT = "roles, role_states, is_active, verified_email, claimed_email, verified_phone, password_hash, epoch, username"


async def test_registering_with_every_word_of_power_gives_none(market: Market) -> None:
    """Goal Z3: what is not in the schema changes nothing, in whatever spelling."""
    for path, fields in REGISTRATIONS.items():
        reply = await market.post(None, path, fields | {"password": PASSWORD} | PROMOTIONS)
        assert reply.status_code == 201, reply.text
        assert reply.json()["id"] != PROMOTIONS["id"]
        headers = {"authorization": f"Bearer {reply.json()['access']}"}
        assert (await market.http.get("/api/admin/users", headers=headers)).status_code == 403
    rows = await market.rows("SELECT roles, verified_email FROM accounts ORDER BY id")
    assert [(row["roles"], row["verified_email"]) for row in rows] == [
        ([], None), ([], None), (["student"], None), ([], None)
    ]  # fmt: skip


async def test_no_edit_of_oneself_changes_what_one_may(market: Market) -> None:
    """Goal Z3: the owner's word about role, state, proof and money is not read."""
    amina = await market.register("amina", "writer")
    before = await market.rows(f"SELECT {KEPT} FROM accounts")
    for number, (method, path) in enumerate(EDITS):
        body = PROMOTIONS | {"role": "admin", "bio": f"I write {number}."}
        reply = await market.http.request(method, path.format(id=amina.id), json=body, headers=market.headers(amina))
        assert (reply.status_code, reply.json()["bio"]) == (200, f"I write {number}."), reply.text
        assert reply.json()["role"] in {"writer", "WRITER"}
        assert await market.rows(f"SELECT {KEPT} FROM accounts") == before
    assert (await market.get(amina, "/api/admin/users")).status_code == 403


async def test_a_person_neither_takes_nor_gives_the_grant_of_an_administrator(market: Market) -> None:
    """Goal Z3: choosing roles, and the doors of administrators from outside."""
    amina, brian = await market.register("amina"), await market.register("brian")
    for word in ("admin", "ADMIN", "Admin "):
        refused = await market.post(amina, "/api/users/me/roles", {"role": word})
        assert (refused.status_code, refused.json()["code"]) == (403, "identity.role_not_offered")
    for whom in (amina, brian):
        assert (await market.patch(amina, f"/api/admin/users/{whom.id}", {"role": "admin"})).status_code == 403
    assert (await market.patch(amina, f"/api/users/{brian.id}", {"role": "admin"})).status_code == 403
    body = {"email": "c@example.test", "password": PASSWORD, **NAME}
    for caller, status in ((None, 401), (amina, 403)):
        assert (await market.post(caller, "/api/v1/auth/admin/register", body)).status_code == status
    assert await market.rows("SELECT id FROM accounts WHERE 'admin' = ANY(roles)") == []
    assert len(await market.rows("SELECT id FROM accounts")) == 2


async def test_administrators_who_put_each_other_out_at_once_always_leave_one(
    database_url: str, tmp_path: Path
) -> None:
    """Goal Z3: three of them, on two processes, by demotion and suspension, again and again."""
    clock = FixedClock(OPENING)
    async with (
        open_market(database_url, tmp_path, pool_size=4, clock=clock) as one,
        open_market(database_url, tmp_path, pool_size=4, clock=clock) as two,
    ):
        for turn in range(6):
            admins = [await one.register(f"{name}{turn}", "admin") for name in ("ada", "ben", "eve")]
            how = [{"role": "member"}, {"is_active": False}, {"role": "client"}]
            replies = await asyncio.gather(
                *(
                    (one, two)[number % 2].patch(
                        admins[number], f"/api/admin/users/{admins[(number + 1) % 3].id}", how[(number + turn) % 3]
                    )
                    for number in range(3)
                )
            )
            assert sorted(reply.status_code for reply in replies) == [200, 200, 409]
            [refused] = [reply for reply in replies if reply.status_code == 409]
            assert refused.json()["code"] == "identity.last_admin"
            left = await one.rows("SELECT id FROM accounts WHERE is_active AND 'admin' = ANY(roles)")
            assert len(left) == 1
            await one.execute("UPDATE accounts SET is_active = false")


async def test_nobody_approves_a_payout_or_a_release_of_his_own(market: Market) -> None:
    """Goal Z3: an administrator who is paid is paid by another one."""
    boss = await market.register("boss", "writer", "student", "admin")
    other = await market.register("other", "admin")
    await market.top_up(boss, 1000)
    body = {"writer_id": str(boss.id), "amount": 500}
    refused = await market.post(boss, "/api/admin/payments/release", body)
    assert (refused.status_code, refused.json()["code"]) == (403, "assignments.own_work")
    asked = {"amount": 400, "destination": {"phone": "0712345678"}}
    payout = (await market.post(boss, "/api/withdrawals/request", asked)).json()
    path = f"/api/admin/withdrawals/{payout['id']}/action"
    for action in ({"action": "approve"}, {"action": "reject", "note": "mine"}):
        refused = await market.post(boss, path, action)
        assert (refused.status_code, refused.json()["code"]) == (403, "payments.own_withdrawal")
    assert await market.rows("SELECT id FROM releases") == []
    assert await market.wallet(boss) == 600_00
    [shown] = (await market.get(boss, "/api/withdrawals")).json()["results"]
    assert (shown["id"], shown["status"]) == (payout["id"], "PENDING")
    assert (await market.post(other, path, {"action": "approve"})).status_code == 200
