"""The second factor over HTTP, with the codes that a real authenticator would show."""

from base64 import b32decode
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from interface.http.core.device_names import address_kind_of, device_of
from tests.e2e.core.identity_app import identity_app
from tests.e2e.market import PASSWORD, Market
from tests.fakes.core.security import CountedPasswords
from tests.fakes.core.system import FixedClock

STEP = timedelta(seconds=30)
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:135.0) Gecko/20100101 Firefox/135.0"


class Phone:
    """A person's authenticator, which has read the address once."""

    def __init__(self, address: str) -> None:
        self._secret = b32decode(parse_qs(urlsplit(address).query)["secret"][0])

    def shows(self, clock: FixedClock) -> str:
        """Return the code of this moment."""
        totp = TOTP(self._secret, 6, SHA1(), 30)  # noqa: S303 - what authenticators compute
        return totp.generate(int(clock.now().timestamp())).decode()


def bearer(access: str) -> dict[str, str]:
    return {"authorization": f"Bearer {access}"}


async def post(market: Market, path: str, body: dict[str, Any], access: str | None = None) -> httpx.Response:
    return await market.http.post(path, json=body, headers={} if access is None else bearer(access))


async def turn_on(market: Market, access: str) -> tuple[Phone, dict[str, Any]]:
    """Turn a factor on, and let the step of its code pass."""
    begun = await post(market, "/api/auth/second-factor", {"password": PASSWORD}, access)
    assert begun.status_code == 201, begun.text
    phone = Phone(begun.json()["otpauth_uri"])
    confirmed = await post(market, "/api/auth/second-factor/confirm", {"code": phone.shows(market.clock)}, access)
    assert confirmed.status_code == 200, confirmed.text
    market.clock.advance(STEP)
    return phone, confirmed.json()


async def test_a_person_turns_it_on_signs_in_withdraws_and_turns_it_off(market: Market) -> None:
    writer, _ = await market.register("writer_one", "writer"), await market.register("boss", "admin")
    await market.top_up(writer, 3000)
    await market.execute(
        "UPDATE accounts SET verified_email = claimed_email, verified_email_at = claimed_email_at,"
        " claimed_email = NULL, claimed_email_at = NULL"
    )
    login = {"username": "writer_one", "password": PASSWORD}
    ask = {"amount": "1000.00", "destination": {"phone": "0712345678"}}

    plain = (await post(market, "/api/auth/login", login)).json()
    assert (await post(market, "/api/withdrawals/request", ask, plain["access"])).status_code == 201

    phone, here = await turn_on(market, plain["access"])
    await market.drain()
    assert "A second factor protects your account" in [mail.subject for mail in market.mailer.sent]
    assert (await market.http.get("/api/auth/me", headers=bearer(plain["access"]))).status_code == 401
    me = (await market.http.get("/api/auth/me", headers=bearer(here["access"]))).json()
    assert (me["second_factor"]["is_on"], me["second_factor"]["recovery_codes_left"]) == (True, 10)

    challenged = await post(market, "/api/auth/login", login)
    assert (challenged.status_code, challenged.json()["code"]) == (401, "identity.second_factor_needed")
    assert challenged.json()["expires_in"] == 300
    assert "access" not in challenged.json()
    challenge = challenged.json()["challenge"]
    assert (await market.http.get("/api/auth/me", headers=bearer(challenge))).status_code == 401
    wrong = await post(market, "/api/auth/login/second-factor", {"challenge": challenge, "code": "000000"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "identity.second_factor_invalid")
    sent = {"challenge": challenge, "code": phone.shows(market.clock)}
    signed_in = await post(market, "/api/auth/login/second-factor", sent)
    assert signed_in.status_code == 200, signed_in.text
    assert {"access", "refresh", "tokens", "user"} <= signed_in.json().keys()
    assert (await post(market, "/api/auth/login/second-factor", sent)).status_code == 422
    there = signed_in.json()

    market.clock.advance(timedelta(minutes=11))
    before = await market.wallet(writer)
    stale = await post(market, "/api/withdrawals/request", ask, there["access"])
    assert (stale.status_code, stale.json()["code"]) == (403, "identity.step_up_required")
    assert await market.wallet(writer) == before
    role = await post(market, "/api/users/me/roles", {"role": "worker"}, there["access"])
    assert (role.status_code, role.json()["code"]) == (403, "identity.step_up_required")
    stepped_up = await post(market, "/api/auth/step-up", {"code": phone.shows(market.clock)}, there["access"])
    assert stepped_up.status_code == 200, stepped_up.text
    fresh = stepped_up.json()["access"]
    made = await post(market, "/api/withdrawals/request", ask, fresh)
    assert made.status_code == 201, made.text
    renewed = (await post(market, "/api/auth/refresh", {"refresh": there["refresh"]})).json()
    assert (await post(market, "/api/withdrawals/request", ask, renewed["access"])).status_code == 201
    devices = (await market.http.get("/api/auth/devices", headers=bearer(fresh))).json()["results"]
    assert [(one["device"], one["address_kind"]) for one in devices] == [("Python program", "loopback")] * 2

    boss = (await post(market, "/api/auth/login", {"username": "boss", "password": PASSWORD})).json()
    boss_phone, boss = await turn_on(market, boss["access"])
    action = f"/api/admin/withdrawals/{made.json()['id']}/action"
    market.clock.advance(timedelta(minutes=11))
    late = await post(market, action, {"action": "approve"}, boss["access"])
    assert (late.status_code, late.json()["code"]) == (403, "identity.step_up_required")
    patched = await market.http.patch(
        f"/api/admin/users/{writer.id}", json={"role": "student"}, headers=bearer(boss["access"])
    )
    assert patched.json()["code"] == "identity.step_up_required"
    assert (await market.http.get("/api/admin/withdrawals", headers=bearer(boss["access"]))).status_code == 200
    code = {"code": boss_phone.shows(market.clock)}
    boss_fresh = (await post(market, "/api/auth/step-up", code, boss["access"])).json()["access"]
    approved = await post(market, action, {"action": "approve"}, boss_fresh)
    assert (approved.status_code, approved.json()["status"]) == (200, "APPROVED")

    market.clock.advance(STEP)
    off = {"password": PASSWORD, "code": here["recovery_codes"][0]}
    disabled = await post(market, "/api/auth/second-factor/disable", off, fresh)
    assert disabled.status_code == 200, disabled.text
    assert (await market.http.get("/api/auth/me", headers=bearer(fresh))).status_code == 401
    assert (await post(market, "/api/auth/login", login)).status_code == 200
    stored = str([await market.rows(f"SELECT * FROM {table}") for table in ("second_factors", "audit_entries")])
    assert not any(code in stored for code in (*here["recovery_codes"], *boss["recovery_codes"]))


async def test_a_stale_proof_opens_no_way_around_a_fresh_one(market: Market) -> None:
    writer, boss = await market.register("writer_one", "writer"), await market.register("boss", "admin")
    signed_in = (await post(market, "/api/auth/login", {"username": "boss", "password": PASSWORD})).json()
    _, there = await turn_on(market, signed_in["access"])
    market.clock.advance(timedelta(minutes=11))
    stolen, nothing = bearer(there["access"]), uuid4()
    before = await market.rows("SELECT * FROM accounts ORDER BY id")
    longer = {"value": "1440", "reason": "so that what was proved in the morning lasts the day"}
    for method, path, body in (
        ("PUT", "/api/admin/policies/identity.step_up_minutes", longer),
        ("PATCH", f"/api/users/{writer.id}", {"email": "thief@example.com"}),
        ("PUT", f"/api/auth/users/{writer.id}", {"email": "thief@example.com"}),
        ("POST", f"/api/payments/{nothing}/refund", {"reason": "for myself"}),
        ("POST", f"/api/admin/payments/cases/{nothing}/resolve", {"resolution": "refund", "note": "for myself"}),
        ("POST", "/api/admin/ledger/fundings", {"amount": "1000.00", "currency": "KES", "reference": "none"}),
    ):
        refused = await market.http.request(method, path, json=body, headers=stolen)
        assert (refused.status_code, refused.json()["code"]) == (403, "identity.step_up_required"), path
    assert await market.rows("SELECT * FROM accounts ORDER BY id") == before
    assert await market.rows("SELECT * FROM policies WHERE name = 'identity.step_up_minutes'") == []
    own = await market.http.patch(f"/api/users/{boss.id}", json={"bio": "Runs this market."}, headers=stolen)
    assert own.status_code == 200, own.text


async def test_where_the_setting_asks_an_administrator_without_a_factor_is_no_administrator(database_url: str) -> None:
    clock = FixedClock()
    async with identity_app(database_url, clock=clock, administrators_prove=True) as soko:
        boss, amina = await soko.register("boss"), await soko.register("amina")
        await soko.make_admin(boss["id"])
        access = (await soko.log_in("boss"))["access"]
        for reply in (
            await soko.get("/api/admin/users", token=access),
            await soko.patch(f"/api/admin/users/{amina['id']}", {"is_active": False}, token=access),
        ):
            assert (reply.status_code, reply.json()["code"]) == (403, "identity.second_factor_required")
        assert (await soko.rows("SELECT is_active FROM accounts WHERE username = 'amina'"))[0]["is_active"] is True
        assert (await soko.get("/api/users", token=access)).status_code == 422  # as anybody else: by name only
        own = await soko.post("/api/users/me/roles", {"role": "writer"}, token=access)
        assert (own.status_code, own.json()["code"]) == (403, "identity.second_factor_required")
        assert (await soko.get("/api/auth/me", token=access)).status_code == 200

        await soko.post("/api/auth/second-factor", {"password": "Tall-trees-7"}, token=access)
        code = CountedPasswords().code_at(clock.now())
        confirmed = await soko.post("/api/auth/second-factor/confirm", {"code": code}, token=access)
        proved = confirmed.json()["access"]
        assert (await soko.get("/api/admin/users", token=proved)).status_code == 200
        clock.advance(timedelta(hours=1))
        refreshed = (await soko.post("/api/auth/refresh", {"refresh": confirmed.json()["refresh"]})).json()["access"]
        assert (await soko.get("/api/admin/users", token=refreshed)).status_code == 200
        late = await soko.patch(f"/api/admin/users/{amina['id']}", {"is_active": False}, token=refreshed)
        assert late.json()["code"] == "identity.step_up_required"


async def test_all_other_devices_are_signed_out_on_every_process(database_url: str) -> None:
    clock = FixedClock()
    async with identity_app(database_url, clock=clock) as one, identity_app(database_url, clock=clock) as two:
        await one.register("amina")
        here, other = await one.log_in("amina"), await two.log_in("amina")
        third = await one.log_in("amina")
        assert (await one.delete("/api/auth/devices", token=here["access"])).status_code == 204
        assert (await one.get("/api/auth/devices", token=third["access"])).status_code == 401
        await two.revocations.refresh()
        assert (await two.get("/api/auth/devices", token=other["access"])).status_code == 401
        left = (await two.get("/api/auth/devices", token=here["access"])).json()["results"]
        assert [device["current"] for device in left] == [True]
        assert (await two.post("/api/auth/refresh", {"refresh": other["refresh"]})).status_code == 401


def test_a_device_is_named_by_what_it_says_of_itself_and_never_in_its_words() -> None:
    iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 Version/18.3 Safari/604.1"
    edge = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/133.0.0.0 Safari/537.36 Edg/133.0.0.0"
    named = [device_of(text) for text in (FIREFOX, iphone, edge, "okhttp/4.12", "<script>", "", None)]
    assert named == [
        "Firefox on Windows",
        "Safari on iPhone",
        "Edge on Linux",
        "Android app",
        "Unknown device",
        "Unknown device",
        "Unknown device",
    ]
    kinds = [address_kind_of(ip) for ip in ("127.0.0.1", "::ffff:10.1.2.3", "fd00::1", "8.8.8.8", "testclient", None)]
    assert kinds == ["loopback", "private", "private", "public", "unknown", "unknown"]
