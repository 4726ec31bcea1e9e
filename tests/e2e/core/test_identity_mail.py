"""What identity mails, from the request to the mail server, over the whole server; and who is let in."""

import base64
import json
import re
from datetime import timedelta

from tests.e2e.market import PASSWORD, Market


async def mails(market: Market) -> list[tuple[str, str, str]]:
    """Deliver everything and return (to, subject, text) of each mail, the oldest first."""
    await market.drain()
    return [(mail.to, mail.subject, mail.text) for mail in market.mailer.sent]


async def test_the_mailed_code_verifies_and_the_holder_of_a_known_address_gets_no_code(market: Market) -> None:
    amina = await market.register("amina")
    [(to, _, text)] = await mails(market)
    assert to == "amina@example.test"
    code = re.search(r"\b[0-9]{6}\b", text)
    assert code is not None
    body = {"email": "amina@example.test", "code": code[0]}
    assert (await market.post(None, "/api/auth/verify-email", body)).status_code == 200
    rival = {"username": "brian", "email": "amina@example.test", "password": PASSWORD}
    assert (await market.post(None, "/api/auth/register", rival)).status_code == 201
    _, (to, subject, text) = await mails(market)
    assert (to, subject) == ("amina@example.test", "You have an account already")
    assert re.search(r"[0-9]{6}|token=", text) is None
    assert (await market.get(amina, "/api/auth/me")).json()["user"]["is_verified"] is True


async def test_the_mailed_link_resets_the_password_and_an_unknown_address_gets_no_mail(market: Market) -> None:
    await market.register("amina")
    for email in ("amina@example.test", "nobody@example.test"):
        assert (await market.post(None, "/api/auth/password-reset", {"email": email})).status_code == 200
    sent = await mails(market)
    assert [(to, subject) for to, subject, _ in sent] == [
        ("amina@example.test", "Confirm your address"),
        ("amina@example.test", "Set a new password"),
    ]
    link = re.search(r"token=([A-Za-z0-9_-]{48})\b", sent[1][2])
    assert link is not None
    body = {"token": link[1], "new_password": "Deep-rivers-9"}
    assert (await market.post(None, "/api/auth/password-reset-confirm", body)).status_code == 200
    to, subject, _ = (await mails(market))[-1]
    assert (to, subject) == ("amina@example.test", "Your password was changed")
    login = {"username": "amina", "password": "Deep-rivers-9"}
    assert (await market.post(None, "/api/auth/login", login)).status_code == 200


async def test_nobody_writes_letters_of_his_own_to_addresses_that_he_claims(market: Market) -> None:
    person = {"password": PASSWORD, "first_name": "You won, open https://evil.test", "last_name": "now"}
    for number in range(12):
        named = {"username": f"eve_number_{number}", "email": "victim@example.test"}
        assert (await market.post(None, "/api/auth/register", person | named)).status_code == 201
    assert (await market.post(None, "/api/auth/password-reset", {"email": "victim@example.test"})).status_code == 200
    sent = await mails(market)
    assert [subject for _, subject, _ in sent] == ["Confirm your address"] * 10 + ["Set a new password"]
    assert all(text.startswith("Hello eve_number_") and "evil.test" not in text for _, _, text in sent)
    market.clock.advance(timedelta(hours=1))
    later = person | {"username": "amina", "email": "victim@example.test"}
    assert (await market.post(None, "/api/auth/register", later)).status_code == 201
    assert len(await mails(market)) == 12


async def test_me_shows_the_wallet_and_to_writers_their_rating(market: Market) -> None:
    writer, member = await market.register("amina", "writer"), await market.register("brian")
    said = (await market.get(writer, "/api/auth/me")).json()
    assert said["user"]["role"] == "WRITER"
    assert (said["wallet"]["balance"], said["wallet"]["currency"]) == ("0.00", "KES")
    assert said["rating"] == {"points": 0, "badge": "Bronze"}
    assert "rating" not in (await market.get(member, "/api/auth/me")).json()


async def test_forged_tokens_are_refused_at_the_door(market: Market) -> None:
    amina = await market.register("amina")
    good = market.headers(amina)["authorization"].removeprefix("Bearer ")
    header, payload, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))

    def encoded(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    forged = [
        f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{payload}.",
        f"{encoded({'alg': 'HS256', 'typ': 'JWT', 'kid': '../../etc/passwd'})}.{payload}.{signature}",
        f"{header}.{encoded({**claims, 'roles': ['admin']})}.{signature}",
        f"{header}.{encoded({**claims, 'exp': 9999999999})}.{signature}",
        f"{header}.{payload}.{signature[:-2]}",
        f"{header}.{payload}",
        "",
        "x" * 9000,
    ]
    assert (await market.http.get("/api/auth/me", headers={"authorization": f"Bearer {good}"})).status_code == 200
    for token in forged:
        reply = await market.http.get("/api/auth/me", headers={"authorization": f"Bearer {token}"})
        assert (reply.status_code, reply.json()["code"]) == (401, "identity.not_signed_in")
        assert reply.headers["www-authenticate"].startswith("Bearer")
