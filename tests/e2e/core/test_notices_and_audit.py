"""What people are told and what administrators look up, over HTTP."""

from datetime import timedelta
from uuid import UUID

import pytest

from tests.e2e.market import PASSWORD, Market, Person

LISTS = ("/api/notifications", "/api/auth/notifications", "/api/v1/notifications")
WIRE = {
    "id", "seq", "category", "type", "title", "message", "link", "metadata", "is_read", "read_at", "created_at"
}  # fmt: skip


async def told_twice(market: Market) -> Person:
    """Have somebody with two notifications: money that came, and a password that was changed."""
    amina = await market.register("amina")
    await market.top_up(amina, 500)
    signed_in = await market.post(None, "/api/auth/login", {"username": "amina", "password": PASSWORD})
    changed = await market.http.post(
        "/api/auth/password-change",
        json={"old_password": PASSWORD, "new_password": "Deep-rivers-9"},
        headers={"authorization": f"Bearer {signed_in.json()['access']}"},
    )
    assert changed.status_code == 200
    await market.drain()
    return amina


async def token_of(market: Market) -> dict[str, str]:
    reply = await market.post(None, "/api/auth/login", {"username": "amina", "password": "Deep-rivers-9"})
    return {"authorization": f"Bearer {reply.json()['access']}"}


async def test_notifications_are_listed_narrowed_and_read_by_their_owner_alone(market: Market) -> None:
    await told_twice(market)
    headers, brian = await token_of(market), await market.register("brian")
    replies = [(await market.http.get(path, headers=headers)).json() for path in LISTS]
    newest, oldest = replies[0]["results"]
    assert [reply["results"] for reply in replies] == [replies[0]["results"]] * 3
    assert set(newest) == WIRE
    assert [(one["seq"], one["category"], one["is_read"]) for one in (newest, oldest)] == [
        (2, "security", False),
        (1, "payment", False),
    ]
    for query, found in (
        ("category=payment", [1]),
        ("category=ad", []),
        ("after=1", [2]),
        ("after=2", []),
        ("unread=true", [2, 1]),
    ):
        listed = (await market.http.get(f"{LISTS[0]}?{query}", headers=headers)).json()["results"]
        assert (query, [one["seq"] for one in listed]) == (query, found)
    assert (await market.http.get(f"{LISTS[0]}?category=weather", headers=headers)).status_code == 422
    for path in LISTS:
        assert (await market.get(None, path)).status_code == 401
    assert (await market.get(brian, LISTS[0])).json()["results"] == []
    foreign = await market.post(brian, f"/api/notifications/{newest['id']}/read")
    unknown = await market.post(brian, f"/api/notifications/{UUID(int=9)}/read")
    assert (foreign.status_code, foreign.json()["code"]) == (404, "kernel.not_found")
    assert {**unknown.json(), "trace_id": ""} == {**foreign.json(), "trace_id": ""}
    for _ in range(2):
        reply = await market.http.post(f"/api/notifications/{newest['id']}/read", headers=headers)
        assert (reply.status_code, reply.json()) == (200, {"unread_count": 1})
    unread = (await market.http.get(f"{LISTS[0]}?unread=true", headers=headers)).json()["results"]
    assert [one["seq"] for one in unread] == [1]
    reply = await market.http.post("/api/notifications/read-all", headers=headers)
    assert (reply.status_code, reply.json()) == (200, {"unread_count": 0})


async def test_channels_are_chosen_except_what_must_arrive(market: Market) -> None:
    amina = await market.register("amina")
    path = "/api/notifications/preferences"
    before = (await market.get(amina, path)).json()
    assert set(before) == {
        "tutor_approval", "booking", "payment", "message", "withdrawal", "lesson", "reminder", "general", "assignment",
        "subscription", "order", "timebank", "ad", "moderation", "security",
    }  # fmt: skip
    assert before["payment"] == {"in_app": True, "email": True, "sms": False}
    assert before["message"] == {"in_app": True, "email": False, "sms": False}
    assert before["security"] == {"in_app": True, "email": True, "sms": True}
    for wrong in ({"security": {"email": False}}, {"payment": {"in_app": False}}):
        refused = await market.http.put(path, json=wrong, headers=market.headers(amina))
        assert (refused.status_code, refused.json()["code"]) == (422, "notifications.cannot_disable")
    odd: tuple[object, ...] = ({"weather": {"email": True}}, {"payment": {"email": "yes"}}, [])
    for strange in odd:
        refused = await market.http.put(path, json=strange, headers=market.headers(amina))
        assert refused.status_code in {400, 422}
    assert (await market.get(amina, path)).json() == before
    reply = await market.http.put(path, json={"payment": {"email": False}}, headers=market.headers(amina))
    expected = before | {"payment": {"in_app": True, "email": False, "sms": False}}
    assert (reply.status_code, reply.json()) == (200, expected)
    assert (await market.get(amina, path)).json() == expected
    assert (await market.get(None, path)).status_code == 401


async def test_a_switched_off_mail_is_not_sent_and_a_security_mail_is(market: Market) -> None:
    amina = await market.register("amina")
    await market.execute("UPDATE accounts SET verified_email = 'amina@example.test', claimed_email = NULL")
    await market.drain()
    market.mailer.sent.clear()
    path = "/api/notifications/preferences"
    await market.http.put(path, json={"payment": {"email": False}}, headers=market.headers(amina))
    await market.top_up(amina, 500)
    assert market.mailer.sent == []
    boss = await market.register("boss", "admin")
    await market.drain()
    market.mailer.sent.clear()
    for is_active in (False, True):
        await market.patch(boss, f"/api/admin/users/{amina.id}", {"is_active": is_active, "reason": "a mistake"})
    await market.drain()
    subjects = sorted(mail.subject for mail in market.mailer.to("amina@example.test"))
    assert subjects == ["Account open again", "Your account is suspended"]
    titles = [title for title, _ in await market.told(amina)]
    assert sorted(titles) == ["Account open again", "Account suspended", "Payment received"]


async def test_the_trail_names_who_did_what_to_whom_and_why_and_from_where(market: Market) -> None:
    boss, amina = await market.register("boss", "admin"), await market.register("amina")
    market.clock.advance(timedelta(minutes=1))
    began = market.clock.now()
    async with market.client_at("203.0.113.7") as client:
        await client.patch(
            f"/api/admin/users/{amina.id}",
            json={"is_active": False, "reason": "spam"},
            headers=market.headers(boss) | {"user-agent": "a desk", "x-request-id": "a-trace-0001"},
        )
    [entry] = (await market.get(boss, "/api/admin/audit", action="PATCH_USER")).json()["results"]
    assert set(entry) == {
        "id", "actor", "on_behalf_of", "action", "target", "before", "after", "reason", "ip", "user_agent", "trace_id",
        "time",
    }  # fmt: skip
    assert (entry["actor"], entry["target"], entry["reason"]) == (str(boss.id), f"account:{amina.id}", "spam")
    assert (entry["before"]["is_active"], entry["after"]["is_active"]) == (True, False)
    assert (entry["ip"], entry["user_agent"], entry["trace_id"]) == ("203.0.113.7", "a desk", "a-trace-0001")
    for query, count in (
        ({"actor": str(boss.id)}, 1),
        ({"actor": str(amina.id)}, 0),
        ({"target": f"account:{amina.id}"}, 2),  # he registered
        ({"action": "RELEASE_PAYMENT"}, 0),
        ({"since": began.isoformat()}, 1),
        ({"until": began.isoformat(), "action": "PATCH_USER"}, 0),
    ):
        listed = (await market.get(boss, "/api/admin/audit", **query)).json()["results"]
        assert (query, len(listed)) == (query, count)
    for whom, status in ((None, 401), (amina, 401), (await market.register("brian"), 403)):
        assert (await market.get(whom, "/api/admin/audit")).status_code == status


@pytest.mark.parametrize(
    "since", ["yesterday", "2026-03-02T08:00:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00"]
)
async def test_a_moment_that_is_none_is_refused(market: Market, since: str) -> None:
    boss = await market.register("boss", "admin")
    for end in ("since", "until"):
        assert (await market.get(boss, "/api/admin/audit", **{end: since})).status_code in {400, 422}


async def test_signing_in_and_out_is_in_the_trail_without_any_secret(market: Market) -> None:
    boss = await market.register("boss", "admin")
    await market.register("amina")
    await market.post(None, "/api/auth/login", {"username": "amina", "password": "Wrong-password-1"})
    await market.post(None, "/api/auth/login", {"username": "nobody", "password": "Wrong-password-1"})
    said = (await market.post(None, "/api/auth/login", {"username": "amina", "password": PASSWORD})).json()
    await market.post(None, "/api/auth/logout", {"refresh": said["refresh"]})
    reply = await market.get(boss, "/api/admin/audit")
    actions = [(entry["action"], entry["target"]) for entry in reply.json()["results"]]
    target = f"account:{said['user']['id']}"
    assert actions[:4] == [
        ("logout", target), ("login", target), ("login_failed", "account:unknown"), ("login_failed", target)
    ]  # fmt: skip
    for secret in (PASSWORD, "Wrong-password-1", said["access"], said["refresh"], "nobody", "amina@example.test"):
        assert secret not in reply.text
