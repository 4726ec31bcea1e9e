"""People who do the same thing at the same moment, on a real PostgreSQL and over two processes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.e2e.core.identity_app import PASSWORD, IdentityApp, identity_app
from tests.fakes.core.system import FixedClock

WRONG = "Wrong-password-1"


@pytest.fixture
async def processes(database_url: str) -> AsyncIterator[tuple[IdentityApp, IdentityApp]]:
    clock = FixedClock()
    async with identity_app(database_url, clock=clock) as one, identity_app(database_url, clock=clock) as two:
        yield one, two


Processes = tuple[IdentityApp, IdentityApp]


async def test_one_user_name_registered_ten_times_at_once_is_one_account(processes: Processes) -> None:
    replies = await asyncio.gather(
        *(
            processes[number % 2].post(
                "/api/auth/register",
                {"username": "amina", "email": f"a{number}@example.test", "password": PASSWORD},
            )
            for number in range(10)
        )
    )
    assert sorted(reply.status_code for reply in replies) == [201] + [409] * 9
    assert {reply.json()["code"] for reply in replies if reply.status_code == 409} == {"identity.username_taken"}
    assert len(await processes[0].rows("SELECT id FROM accounts")) == 1
    assert len(await processes[0].rows("SELECT id FROM sign_ins")) == 1


async def test_two_accounts_that_verify_one_address_at_once_leave_one_holder(processes: Processes) -> None:
    one, two = processes
    people = [await one.register(name, email="shared@example.test") for name in ("amina", "brian")]
    links = [await one.newest_link(person["id"]) for person in people]
    replies = await asyncio.gather(
        one.post("/api/auth/verify-email", {"token": links[0]}),
        two.post("/api/auth/verify-email", {"token": links[1]}),
    )
    assert sorted(reply.status_code for reply in replies) == [200, 422]
    assert [reply.json()["code"] for reply in replies if reply.status_code == 422] == ["identity.code_invalid"]
    rows = await one.rows("SELECT verified_email, claimed_email FROM accounts ORDER BY verified_email NULLS LAST")
    assert [tuple(row) for row in rows] == [("shared@example.test", None), (None, None)]


async def test_two_administrators_who_demote_each_other_at_once_leave_one(processes: Processes) -> None:
    one, two = processes
    admins = [await one.register(name) for name in ("chief_one", "chief_two")]
    for admin in admins:
        await one.make_admin(admin["id"])
    tokens = [(await one.log_in(name))["access"] for name in ("chief_one", "chief_two")]
    replies = await asyncio.gather(
        one.patch(f"/api/admin/users/{admins[1]['id']}", {"role": "member"}, token=tokens[0]),
        two.patch(f"/api/admin/users/{admins[0]['id']}", {"is_active": False}, token=tokens[1]),
    )
    assert sorted(reply.status_code for reply in replies) == [200, 409]
    assert [reply.json()["code"] for reply in replies if reply.status_code == 409] == ["identity.last_admin"]
    left = await one.rows("SELECT id FROM accounts WHERE is_active AND 'admin' = ANY(roles)")
    assert len(left) == 1


async def test_of_forty_guesses_at_once_over_two_processes_ten_are_evaluated(processes: Processes) -> None:
    one, two = processes
    await one.register("amina", email="a@example.test")
    before = one.hasher.hashes_computed + two.hasher.hashes_computed
    replies = await asyncio.gather(
        *(
            processes[number % 2].post(
                "/api/auth/login", {"username": ("amina", "a@example.test")[number // 2 % 2], "password": WRONG}
            )
            for number in range(40)
        )
    )
    evaluated = one.hasher.hashes_computed + two.hasher.hashes_computed - before
    assert evaluated == 10
    assert sorted(reply.status_code for reply in replies) == [401] * 10 + [429] * 30
    one.clock.advance(timedelta(minutes=15))
    assert (await two.post("/api/auth/login", {"username": "amina", "password": PASSWORD})).status_code == 200


async def test_a_sign_in_that_is_right_uses_up_no_attempt(processes: Processes) -> None:
    one, two = processes
    await one.register("amina")
    before = await two.rows("SELECT key, attempts FROM attempt_counters WHERE attempts > 0")
    assert [row["attempts"] for row in before] == [1]  # the registration
    for number in range(12):
        await processes[number % 2].log_in("amina")
    assert await two.rows("SELECT key, attempts FROM attempt_counters WHERE attempts > 0") == before


async def test_one_refresh_token_used_by_ten_at_once_has_one_live_successor(processes: Processes) -> None:
    one, _ = processes
    first = await one.register("amina")
    replies = await asyncio.gather(
        *(processes[number % 2].post("/api/auth/refresh", {"refresh": first["refresh"]}) for number in range(10))
    )
    assert [reply.status_code for reply in replies] == [200] * 10
    successors = {reply.json()["refresh"] for reply in replies}
    assert len(successors) == 1
    assert first["refresh"] not in successors
    rows = await one.rows("SELECT generation, ended_at FROM sign_ins")
    assert [tuple(row) for row in rows] == [(1, None)]


async def test_ten_tries_of_a_code_at_once_count_as_ten(processes: Processes) -> None:
    one, _ = processes
    person = await one.register("amina")
    right = await one.newest_code(person["id"])
    wrong = "000000" if right != "000000" else "000001"
    await asyncio.gather(
        *(
            processes[number % 2].post("/api/users/verify/email", {"code": wrong}, token=person["access"])
            for number in range(10)
        )
    )
    assert [row["tries"] for row in await one.rows("SELECT tries FROM one_time_codes")] == [5]
    late = await one.post("/api/users/verify/email", {"code": right}, token=person["access"])
    assert late.json()["code"] == "identity.code_invalid"


async def test_a_link_used_twice_at_once_resets_once(processes: Processes) -> None:
    one, two = processes
    person = await one.register("amina")
    await one.post("/api/auth/password-reset", {"email": "amina@example.test"})
    link = await one.newest_link(person["id"], "reset")
    replies = await asyncio.gather(
        one.post("/api/auth/password-reset-confirm", {"token": link, "new_password": "Deep-rivers-9"}),
        two.post("/api/auth/password-reset-confirm", {"token": link, "new_password": "Wide-rivers-9"}),
    )
    assert sorted(reply.status_code for reply in replies) == [200, 422]


async def test_a_sign_in_that_races_a_suspension_is_over(processes: Processes) -> None:
    one, two = processes
    admin = await one.register("chief_one")
    await one.make_admin(admin["id"])
    token = (await one.log_in("chief_one"))["access"]
    person = await one.register("amina")
    suspended, *logins = await asyncio.gather(
        one.patch(f"/api/admin/users/{person['id']}", {"is_active": False}, token=token),
        *(two.post("/api/auth/login", {"username": "amina", "password": PASSWORD}) for _ in range(4)),
    )
    assert suspended.status_code == 200
    await two.revocations.refresh()
    for login in logins:
        if login.status_code == 200:
            assert (await two.get("/api/auth/me", token=login.json()["access"])).status_code == 401
            assert (await two.post("/api/auth/refresh", {"refresh": login.json()["refresh"]})).status_code == 401
    assert await one.rows("SELECT id FROM sign_ins WHERE account_id = $1 AND ended_at IS NULL", *_ids(person)) == []


def _ids(person: dict[str, str]) -> list[str]:
    return [person["id"]]
