"""The line that every request writes: who by number, which route, under which trace; no names and no secrets."""

from collections.abc import MutableMapping, Sequence
from typing import Any

from structlog.testing import capture_logs

from tests.e2e.market import PASSWORD, Market


async def test_the_line_names_the_account_by_its_id_and_an_unknown_caller_as_anonymous(market: Market) -> None:
    person = await market.register("pupil", "student")
    with capture_logs() as lines:
        await market.get(person, "/api/users/me")
        await market.http.post("/api/auth/login", json={"username": "pupil", "password": PASSWORD})
        await market.http.get("/api/users/me", headers={"authorization": "Bearer no-token"})
        await market.http.get("/nowhere-at-all")
    assert [(line["route"], line["status"], line["actor"]) for line in answered(lines)] == [
        ("/api/users/me", 200, str(person.id)),
        ("/api/auth/login", 200, "anonymous"),
        ("/api/users/me", 401, "anonymous"),
        ("unmatched", 404, "anonymous"),
    ]
    said = str(lines)
    assert not any(secret in said for secret in ("pupil", PASSWORD, "Bearer", "no-token"))


async def test_a_caller_without_the_role_and_a_replay_under_a_key_are_named_too(market: Market) -> None:
    person = await market.register("pupil", "student")
    body = {"amount": 100, "phone": "0712345678"}
    with capture_logs() as lines:
        await market.get(person, "/api/admin/jobs")
        first = await market.post(person, "/api/wallet/topup", body, key="a-key")
        again = await market.post(person, "/api/wallet/topup", body, key="a-key")
    assert (first.status_code, again.status_code, again.headers["idempotency-replayed"]) == (201, 201, "true")
    assert [(line["status"], line["actor"]) for line in answered(lines)] == [
        (403, str(person.id)),
        (201, str(person.id)),
        (201, str(person.id)),
    ]


def answered(lines: Sequence[MutableMapping[str, Any]]) -> list[MutableMapping[str, Any]]:
    return [line for line in lines if line["event"] == "answered"]
