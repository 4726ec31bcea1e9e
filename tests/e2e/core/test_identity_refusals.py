"""What accounts refuse, each with its code, and that nothing changes then."""

from typing import Any

from domain.core.files.policies import EXTENSIONS
from tests.e2e.market import PASSWORD, Market

SNAPSHOT = (
    "SELECT username, roles, is_active, claimed_email, verified_email, claimed_phone, password_hash FROM accounts"
)


async def refused(market: Market, method: str, path: str, body: object, code: str, status: int, **more: Any) -> None:
    """Send a request that must be refused and leave the accounts as they are."""
    before = await market.rows(SNAPSHOT)
    reply = await market.http.request(method, path, json=body, **more)
    assert (path, reply.status_code, reply.json()["code"]) == (path, status, code), reply.text
    assert await market.rows(SNAPSHOT) == before


async def test_registering_names_what_is_wrong(market: Market) -> None:
    shared = {"username": "amina", "email": "amina@example.test", "password": PASSWORD}
    for wrong, code in (
        ({"role": "wizard"}, "identity.role_unknown"),
        ({"password": "short7"}, "identity.password_weak"),
        ({"password": "password123"}, "identity.password_weak"),
        ({"password": "x-amina-and-more"}, "identity.password_weak"),
        ({"username": "me"}, "identity.username_reserved"),
        ({"username": "a@b"}, "identity.username_invalid"),
        ({"username": "ab"}, "identity.username_invalid"),
        ({"email": "no address"}, "identity.email_invalid"),
    ):
        await refused(market, "POST", "/api/auth/register", shared | wrong, code, 422)
    named = {"email": "amina@example.test", "password": PASSWORD}
    for path, body in (
        ("/api/auth/signup", named | {"name": "Amina", "password_confirm": "Other-trees-7"}),
        ("/api/v1/auth/register/student", named | {"first_name": "A", "last_name": "B", "password2": "Other-trees-7"}),
        ("/api/users/register", named | {"username": "amina", "password2": "Other-trees-7"}),
    ):
        await refused(market, "POST", path, body, "identity.passwords_differ", 422)
    assert await market.rows("SELECT id FROM accounts") == []


async def test_codes_and_addresses_that_are_not_there_are_named(market: Market) -> None:
    amina = await market.register("amina")
    signed = {"headers": market.headers(amina)}
    resend, verify = "/api/users/verify/resend", "/api/auth/verify-email"
    await refused(market, "POST", resend, {"verification_type": "phone"}, "identity.no_address", 422, **signed)
    await refused(market, "POST", "/api/users/verify/phone", {"code": "123456"}, "identity.code_invalid", 422, **signed)
    await refused(market, "POST", verify, {"code": "123456"}, "identity.address_required", 422)
    await refused(market, "POST", verify, {"token": "x" * 48}, "identity.code_invalid", 422)
    confirm = {"code": "123456", "new_password": "Deep-rivers-9"}
    path = "/api/auth/password-reset-confirm"
    await refused(market, "POST", path, confirm, "identity.address_required", 422)
    confirm |= {"email": "amina@example.test"}
    await refused(market, "POST", path, confirm | {"new_password": "short"}, "identity.password_weak", 422)
    await refused(
        market, "POST", path, confirm | {"confirm_password": "Other-trees-7"}, "identity.passwords_differ", 422
    )
    for _ in range(3):
        assert (await market.post(amina, resend, {"verification_type": "email"})).status_code == 200
    await refused(market, "POST", resend, {"verification_type": "email"}, "identity.too_many_codes", 429, **signed)
    for email in ("known@example.test", "amina@example.test"):
        for _ in range(3):
            assert (await market.post(None, "/api/auth/password-reset", {"email": email})).status_code == 200
        await refused(market, "POST", "/api/auth/password-reset", {"email": email}, "identity.too_many_codes", 429)


async def test_administering_blocking_and_editing_name_what_is_wrong(market: Market) -> None:
    boss, amina, brian = (
        await market.register("boss", "admin"),
        await market.register("amina"),
        await market.register("b.r"),
    )
    one, own = {"headers": market.headers(boss)}, {"headers": market.headers(amina)}
    path = f"/api/admin/users/{amina.id}"
    await refused(market, "PATCH", path, {"role": "wizard"}, "identity.role_unknown", 422, **one)
    unknown = "/api/admin/users/019cae6b-6600-7000-8000-000000000001"
    await refused(market, "PATCH", unknown, {"role": "client"}, "identity.user_not_found", 404, **one)
    await market.execute(
        "UPDATE accounts SET verified_email = claimed_email, claimed_email = NULL WHERE id = $1", brian.id
    )
    await market.execute("UPDATE accounts SET claimed_email = 'b.r@example.test' WHERE id = $1", amina.id)
    await refused(market, "PATCH", path, {"is_verified": True}, "identity.address_verified_elsewhere", 409, **one)
    await refused(market, "PATCH", f"/api/admin/users/{boss.id}", {"role": "client"}, "identity.last_admin", 409, **one)
    await refused(market, "PUT", f"/api/users/{amina.id}", {"username": "B.R"}, "identity.username_taken", 409, **own)
    await refused(market, "POST", "/api/users/me/roles", {"role": "wizard"}, "identity.role_unknown", 422, **own)
    block = "/api/users/block"
    await refused(market, "POST", block, {"user_id": str(amina.id)}, "identity.cannot_block_self", 422, **own)
    await refused(market, "POST", block, {"blocked_email": "no@example.test"}, "identity.user_not_found", 404, **own)
    await refused(market, "DELETE", f"/api/users/unblock/{brian.id}", None, "identity.not_blocked", 404, **own)
    device = f"/api/auth/devices/{brian.id}"
    await refused(market, "DELETE", device, None, "identity.device_not_found", 404, **own)
    assert (await market.get(amina, "/api/users")).status_code == 422
    assert await market.rows("SELECT id FROM audit_entries WHERE action = 'PATCH_USER'") == []
    assert await market.rows("SELECT 1 FROM blocks") == []


async def test_an_ending_that_is_not_accepted_is_refused_and_nothing_stays(market: Market) -> None:
    amina = await market.register("amina", "student")
    market.policies.set(EXTENSIONS, "pdf docx")
    reply = await market.send_form(
        amina, "/api/assignments", {"title": "Essay on tides", "description": "900 words"}, ("files", "a.exe", b"MZ")
    )
    assert (reply.status_code, reply.json()["code"]) == (422, "files.extension_refused")
    assert market.stored_files() == []
    assert await market.rows("SELECT id FROM tasks") == []
