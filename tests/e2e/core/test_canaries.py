"""Goal P1: what is secret or personal stands in no log, no reply about an error, and no metric.

Everything that a person or an operator trusts us with is a word that stands nowhere else, and goes through the whole
server while the log is written as in production, at its most talkative.
"""

import hashlib
import io
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import structlog

from infrastructure.simulator.cards_gateway import SimulatedCardGateway
from interface.bootstrap.logs import LIBRARY_LEVELS, configure_logs
from interface.bootstrap.settings import read_settings
from tests.e2e.gigs.stage import set_gigs_stage
from tests.e2e.market import Market, open_market

PASSWORD, NEW_PASSWORD = "Canary-heron-71", "Canary-egret-72"
WRONG_PASSWORD, WEAK_PASSWORD = "Canary-stork-73", "crane74"
EMAIL, OTHER_EMAIL = "canary.ibis@example.test", "canary.kite@example.test"
PHONE = "0712939495"
FIRST_NAME, LAST_NAME = "Canarietta", "Hoopoewala"
TITLE = "Canary essay on sandpipers"
SETTINGS = {
    "SECRET_KEY": "canary pelican, thirty-two bytes or more",
    "LIPANA_API_KEY": "canary-api-key-flamingo",
}
CANARIES = (
    PASSWORD, NEW_PASSWORD, WRONG_PASSWORD, WEAK_PASSWORD, EMAIL, OTHER_EMAIL, PHONE, "712939495", FIRST_NAME,
    LAST_NAME, TITLE, "wren", "pelican", "flamingo", "lipana_test_secret",
)  # fmt: skip
TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}")
"""What every access token looks like."""


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Write the log as in production, everything that can be said, into memory."""
    stream, root, levels = io.StringIO(), logging.getLogger(), [*LIBRARY_LEVELS, "soko"]
    before = (root.handlers[:], root.level, {name: logging.getLogger(name).level for name in levels})
    configure_logs(read_settings({"SOKO_ENVIRONMENT": "test", "SOKO_LOG_FORMAT": "json", "DEBUG": "on"}), stream)
    structlog.configure(cache_logger_on_first_use=False)  # or loggers would write here for ever
    with ExitStack() as later:
        later.callback(structlog.reset_defaults)
        yield stream
    root.handlers[:], root.level = before[0], before[1]
    for name, level in before[2].items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
async def soko(log: io.StringIO, database_url: str, tmp_path: Path) -> AsyncIterator[Market]:
    async with open_market(database_url, tmp_path, environment=SETTINGS) as market:
        yield market


class Watch:
    """Sends requests and keeps what must hold no canary: replies about errors, and secrets that replies give away."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.errors: list[str] = []
        self.secrets: set[str] = set()

    async def send(
        self, method: str, path: str, body: object = None, *, token: str | None = None, expect: int
    ) -> httpx.Response:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        reply = await self.market.http.request(method, path, json=body, headers=headers)
        assert reply.status_code == expect, (path, reply.text)
        if reply.status_code >= 400:
            self.errors.append(f"{reply.text} {reply.headers}")
        elif "access" in reply.text:
            said = reply.json()
            self.secrets |= {said[name] for name in ("access", "refresh") if said.get(name)}
        return reply

    async def mailed(self, pattern: str) -> str:
        """Return what the last mail says; it is a secret from then on."""
        await self.market.drain()
        found = re.search(pattern, self.market.mailer.sent[-1].text)
        assert found is not None
        self.secrets.add(found[1])
        return found[1]


CARD, LOST_CARD, EMPTY_CARD, WRONG_CARD = (
    "4929 1111-2345 6787",
    "4000000000000119",
    "4000000000009995",
    "4929111123456788",
)
CARD_DIGITS = "4929111123456787"
TYPED = {"card_number": CARD, "card_expiry": "11/37", "card_cvv": "9731", "card_holder": "Sandgrouse"}
CARD_WORDS = (CARD, CARD_DIGITS, LOST_CARD, EMPTY_CARD, WRONG_CARD, "11/37", "Sandgrouse")
CVV = re.compile(r"(?<![0-9a-fA-F.:-])9731(?![0-9a-fA-F-])")


def card_words_in(text: str) -> set[str]:
    """Return what of a card stands in a text, also as bytes are printed."""
    plain = text.lower()
    found = {word for word in CARD_WORDS if word.lower() in plain or word.encode().hex() in plain}
    return found | ({"9731"} if CVV.search(text) else set())


async def test_no_card_is_kept_logged_or_told(soko: Market, log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule payments.no_card_data_kept, whatever becomes of the request."""
    stage, replies = await set_gigs_stage(soko), list[str]()

    async def send(
        body: object,
        expect: int,
        code: str | None = None,
        *,
        order: str | None = None,
        again: tuple[int, str] | None = None,
    ) -> httpx.Response:
        path = f"/api/payments/order/{order or await stage.placed()}/pay"
        given = {"json": body} if not isinstance(body, bytes) else {"content": body}
        headers = soko.headers(stage.client) | {"idempotency-key": f"card-{len(replies)}"}
        headers["content-type"] = "application/json"
        twice = [await soko.http.post(path, headers=headers, **given) for _ in range(2)]  # the second from a receipt
        told = [(one.status_code, one.json().get("code")) for one in twice]
        assert told == [(expect, code), again or (expect, code)], twice[0].text
        replies.extend(f"{one.text} {one.headers}" for one in twice)
        return twice[0]

    card = {"payment_method": "card", **TYPED}
    nested = {name.removeprefix("card_"): value for name, value in TYPED.items()}
    paid = (await send(card, 201)).json()
    assert (paid["status"], paid["gateway_response"]["success"]) == ("completed", True)
    assert (await send({"payment_method": "card", "card": nested}, 201)).json()["status"] == "completed"
    await send(card | {"card_number": EMPTY_CARD}, 422, "payments.declined")
    await send(card | {"card_number": WRONG_CARD}, 422, "payments.declined")
    lost = await stage.placed()
    await send(card | {"card_number": LOST_CARD}, 422, "payments.declined", order=lost)
    assert await soko.run("payments.retry_failed") >= 1
    await soko.drain()
    assert (await stage.order(lost))["status"] == "paid"
    await send(card | {"card_holder": ""}, 422, "payments.card_incomplete")
    await send(card | {"card_number": CARD + "x"}, 422, "payments.card_incomplete")
    await send(card | {"card_expiry": "11/25"}, 422, "payments.card_expired")
    await send(card | {"payment_method": "mpesa", "phone": "0712345678"}, 422, "payments.raw_card_refused")
    await send(card | {"payment_method": "cheque"}, 422, "payments.method_unavailable")
    await send(card | {"payment_method": CARD_DIGITS}, 422, "kernel.invalid")
    await send(card | {"card_number": int(CARD_DIGITS)}, 422, "kernel.invalid")
    await send(card | {"card": CARD_DIGITS}, 422, "kernel.invalid")
    await send(card | {"card_cvv": CARD * 3}, 422, "kernel.invalid")
    await send(json.dumps(card).encode()[:-1], 400, "kernel.malformed")
    await send(card, 404, "gigs.order_not_found", order=str(stage.client.id))

    async def break_down(self: object, collection: object) -> None:
        raise RuntimeError("the adapter broke down")

    with monkeypatch.context() as broken:
        broken.setattr(SimulatedCardGateway, "collect", break_down)
        await send(card, 500, "kernel.internal", again=(409, "kernel.reply_lost"))  # a mistake of ours is not kept
    await soko.drain()

    said = log.getvalue()
    assert "the adapter broke down" in said
    assert card_words_in(said) == set()
    assert [card_words_in(reply) for reply in replies] == [set()] * len(replies)
    for table in await soko.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        rows = await soko.rows(f"SELECT t::text AS row FROM {table['tablename']} AS t")
        assert [row["row"] for row in rows if card_words_in(row["row"])] == [], table
    kept = await soko.rows("SELECT card_brand, card_last4 FROM payment_attempts WHERE status = 'succeeded'")
    assert [tuple(one.values()) for one in kept].count(("visa", "6787")) == 2

    # a receipt cannot be turned back into a card by whoever tries them all
    path, body = f"/api/payments/order/{paid['order']}/pay", json.dumps(card, separators=(",", ":")).encode()
    guess = hashlib.sha256(b"".join(b"%d:" % len(one) + one for one in (b"POST", path.encode(), b"")) + body).digest()
    fingerprints = [row["fingerprint"] for row in await soko.rows("SELECT fingerprint FROM receipts")]
    assert len(fingerprints) >= 5
    assert guess not in fingerprints


async def test_nothing_secret_or_personal_is_logged_told_in_an_error_or_measured(
    soko: Market, log: io.StringIO, database_dsn: str
) -> None:
    """Goal P1: registering, signing in, resetting, paying, posting and withdrawing, with everything that goes wrong."""
    watch = Watch(soko)
    person = await account(watch)
    await sign_ins(watch)
    await codes(watch, person)
    await money(watch, person)
    await nonsense(watch, person, database_dsn)
    await soko.drain()
    said = log.getvalue()
    lines = [json.loads(line) for line in said.splitlines()]
    assert sum(line["event"] == "answered" for line in lines) >= 40  # it is the log of all this
    [failed] = [line["exception"] for line in lines if line["event"] == "request_failed"]
    assert "ck_planted" in failed
    metrics = (await soko.http.get("/metrics")).text
    assert "http" in metrics
    assert len(watch.errors) >= 20
    assert len(watch.secrets) >= 8
    for name, text in (("log", said), ("metrics", metrics), *(("error", error) for error in watch.errors)):
        found = [canary for canary in (*CANARIES, *watch.secrets) if canary.lower() in text.lower()]
        assert (name, found) == (name, []), text[:2000]
        assert TOKEN.search(text) is None


async def account(watch: Watch) -> dict[str, Any]:
    """Register, be refused, edit."""
    body = {"username": "amina", "email": EMAIL, "password": PASSWORD, "phone": PHONE, "role": "STUDENT"}
    body |= {"first_name": FIRST_NAME, "last_name": LAST_NAME}
    said = dict((await watch.send("POST", "/api/auth/register", body, expect=201)).json())
    again = body | {"email": OTHER_EMAIL}
    await watch.send("POST", "/api/auth/register", again, expect=409)
    again["username"] = "brian"
    for wrong in (
        {"password": WEAK_PASSWORD},
        {"password": PASSWORD, "password_confirm": WRONG_PASSWORD, "password2": WRONG_PASSWORD},
        {"email": f"{EMAIL} and more"},
        {"phone": f"{PHONE} {PHONE}"},
        {"role": f"the role of {FIRST_NAME}"},
        {"password": {"value": PASSWORD}},
        {"first_name": [LAST_NAME]},
        {"username": EMAIL},
    ):
        path = "/api/users/register" if "password2" in wrong else "/api/auth/register"
        await watch.send("POST", path, again | wrong, expect=422)
    token = said["access"]
    await watch.send("PATCH", f"/api/users/{said['id']}", {"bio": f"I am {FIRST_NAME}"}, token=token, expect=200)
    await watch.send("PUT", "/api/users/profile", {"phone_number": f"{PHONE}{PHONE}"}, token=token, expect=422)
    return said


async def sign_ins(watch: Watch) -> None:
    """Sign in, by everything there is, rightly and wrongly; refresh, reuse, forge."""
    for login in ("amina", EMAIL, PHONE):
        await watch.send("POST", "/api/auth/login", {"username": login, "password": PASSWORD}, expect=200)
        await watch.send("POST", "/api/auth/login", {"username": login, "password": WRONG_PASSWORD}, expect=401)
    said = (await watch.send("POST", "/api/auth/login", {"email": EMAIL, "password": PASSWORD}, expect=200)).json()
    await watch.send("POST", "/api/auth/refresh", {"refresh": said["refresh"]}, expect=200)
    await watch.send("POST", "/api/auth/refresh", {"refresh": f"{said['refresh']}x"}, expect=401)
    await watch.send("GET", "/api/auth/me", token=f"{said['access']}x", expect=401)
    await watch.send("GET", f"/api/auth/me?token={said['access']}&email={EMAIL}", expect=401)
    await watch.send("GET", f"/api/users/{EMAIL}", token=said["access"], expect=404)
    await watch.send("POST", "/api/auth/logout", {"refresh": f"{FIRST_NAME} {LAST_NAME}"}, expect=422)


async def codes(watch: Watch, person: dict[str, Any]) -> None:
    """Prove an address, and reset the password."""
    code = await watch.mailed(r"address is ([0-9]{6})\.")
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    await watch.send("POST", "/api/auth/verify-email", {"email": EMAIL, "code": wrong}, expect=422)
    await watch.send("POST", "/api/auth/verify-email", {"email": EMAIL, "code": code}, expect=200)
    for address in (EMAIL, OTHER_EMAIL):
        await watch.send("POST", "/api/auth/password-reset", {"email": address}, expect=200)
    link = await watch.mailed(r"token=([A-Za-z0-9_-]{48})\b")
    confirm = {"token": f"{link[:-1]}_", "new_password": NEW_PASSWORD}
    await watch.send("POST", "/api/auth/password-reset-confirm", confirm, expect=422)
    await watch.send("POST", "/api/auth/password-reset-confirm", confirm | {"token": link}, expect=200)
    said = (
        await watch.send("POST", "/api/auth/login", {"username": EMAIL, "password": NEW_PASSWORD}, expect=200)
    ).json()
    person.update(said)


async def money(watch: Watch, person: dict[str, Any]) -> None:
    """Top up, post, withdraw."""
    market, token = watch.market, person["access"]
    topup = await watch.send("POST", "/api/wallet/topup", {"amount": 2000, "phone": PHONE}, token=token, expect=201)
    await watch.send("POST", "/api/wallet/topup", {"amount": "much", "phone": f"{PHONE}000"}, token=token, expect=422)
    paid = {"reference": topup.json()["reference"], "status": "SUCCESS", "amount": 2000, "phone": PHONE}
    assert (await market.lipana(paid | {"name": f"{FIRST_NAME} {LAST_NAME}"})).status_code == 200
    assert (await market.lipana({"reference": PHONE, "status": "SUCCESS", "amount": 5})).status_code < 500
    unsigned = await market.http.post("/api/payments/lipana/callback", json=paid)
    assert unsigned.status_code == 401
    watch.errors.append(unsigned.text)
    await market.drain()
    task = {"title": TITLE, "description": f"{TITLE}, for {FIRST_NAME} {LAST_NAME}"}
    files = [("files", (f"{LAST_NAME}.txt", b"canary wren", "text/plain"))]
    posted = await market.http.post("/api/assignments", data=task, files=files, headers=_bearer(token))
    assert posted.status_code == 201, posted.text
    wrong = task | {"deadline": TITLE, "budget": LAST_NAME}
    refused = await market.http.post("/api/assignments", data=wrong, files=files, headers=_bearer(token))
    assert refused.status_code == 422, refused.text
    watch.errors.append(refused.text)
    asked = {"amount": 300, "destination": {"phone": PHONE}}
    await watch.send("POST", "/api/withdrawals/request", asked, token=token, expect=201)
    await watch.send("POST", "/api/withdrawals/request", asked | {"amount": 999_999}, token=token, expect=409)


async def nonsense(watch: Watch, person: dict[str, Any], dsn: str) -> None:
    """Bodies that are none, and a failure of ours with a person's row in the driver's mouth."""
    market, token = watch.market, person["access"]
    for content in (f'{{"email": "{EMAIL}", "password": "{PASSWORD}"', f'["{EMAIL}"]', EMAIL):
        reply = await market.http.post("/api/auth/login", content=content, headers={"content-type": "application/json"})
        assert reply.status_code in {400, 422}
        watch.errors.append(reply.text)
    # a constraint that nobody expects: the driver quotes the row that breaks it
    owner = await asyncpg.connect(dsn)
    try:
        await owner.execute("ALTER TABLE accounts ADD CONSTRAINT ck_planted CHECK (bio IS DISTINCT FROM 'planted')")
    finally:
        await owner.close()
    body = {"bio": "planted"}
    await watch.send("PATCH", f"/api/users/{person['user']['id']}", body, token=token, expect=500)


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}
