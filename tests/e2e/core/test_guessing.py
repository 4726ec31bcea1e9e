"""Goal A3: guessing fails, over two processes of the server and from as many addresses as one likes."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from domain.core.identity.policies import LOGIN_FAILURES_ACCOUNT, LOGIN_FAILURES_ADDRESS, MAIL_ASKS_ADDRESS
from tests.e2e.market import OPENING, PASSWORD, Market, open_market
from tests.fakes.core.security import PlainPasswordHasher
from tests.fakes.core.system import FixedClock

WRONG = "Wrong-password-1"
QUARTER = timedelta(minutes=15)
PROXY, ATTACKER, OWNER = "10.0.0.1", "203.0.113.7", "198.51.100.20"
ACCOUNT_MAX, ADDRESS_MAX, MAILS_MAX = 10, 50, 100

Processes = tuple[Market, Market]


@pytest.fixture
async def processes(database_url: str, tmp_path: Path) -> AsyncIterator[Processes]:
    clock, proxies = FixedClock(OPENING), {"SOKO_TRUSTED_PROXIES": PROXY}
    async with (
        open_market(database_url, tmp_path, pool_size=4, clock=clock, environment=proxies) as one,
        open_market(database_url, tmp_path, pool_size=4, clock=clock, environment=proxies) as two,
    ):
        assert one.policies.value(LOGIN_FAILURES_ACCOUNT) == ACCOUNT_MAX
        assert one.policies.value(LOGIN_FAILURES_ADDRESS) == ADDRESS_MAX
        assert one.policies.value(MAIL_ASKS_ADDRESS) == MAILS_MAX
        yield one, two


def evaluated(processes: Processes) -> int:
    """Return how many passwords were compared so far."""
    hashers = [market.adapters.passwords for market in processes]
    assert all(isinstance(hasher, PlainPasswordHasher) for hasher in hashers)
    return sum(hasher.hashes_computed for hasher in hashers if isinstance(hasher, PlainPasswordHasher))


def digits_in(text: str, *, after: str) -> tuple[str, str]:
    """Return the code that a mail tells after these words, and another."""
    code = text.partition(after)[2][:6]
    assert code.isdecimal()
    return code, f"{(int(code) + 1) % 1_000_000:06}"


async def guess(
    market: Market, login: str, *, at: str = ATTACKER, password: str = WRONG, forwarded: str | None = None
) -> httpx.Response:
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    async with market.client_at(at) as client:
        return await client.post("/api/auth/login", json={"username": login, "password": password}, headers=headers)


async def sign_in(market: Market, login: str) -> int:
    return (await guess(market, login, at=OWNER, password=PASSWORD)).status_code


@pytest.mark.parametrize("is_one_address", [True, False], ids=["one address", "an address for each guess"])
async def test_ten_guesses_at_an_account_are_evaluated_whoever_sends_them(
    processes: Processes, is_one_address: bool
) -> None:
    """Goal A3: one address, or many, at one account that is called by its name and by its address."""
    one, _ = processes
    await one.register("amina")
    before, names = evaluated(processes), itertools.cycle(["amina", "AMINA", "amina@example.test"])
    replies = await asyncio.gather(
        *(
            guess(
                processes[number % 2], name, at=ATTACKER if is_one_address else f"203.0.{number // 250}.{number % 250}"
            )
            for number, name in zip(range(100), names, strict=False)
        )
    )
    assert evaluated(processes) - before == ACCOUNT_MAX
    statuses = [reply.status_code for reply in replies]
    assert (statuses.count(401), statuses.count(429)) == (ACCOUNT_MAX, 90)
    waits = [int(reply.headers["retry-after"]) for reply in replies if reply.status_code == 429]
    assert 0 < max(waits) <= QUARTER.total_seconds()
    assert await sign_in(one, "amina") == 429  # even the right password waits, and it is not evaluated
    assert evaluated(processes) - before == ACCOUNT_MAX


async def test_the_owner_is_locked_out_for_a_quarter_of_an_hour_at_most_although_guessing_goes_on(
    processes: Processes,
) -> None:
    """Goal A3: refused guesses do not make the window longer, and a window holds no more than ten."""
    one, two = processes
    await one.register("amina")
    before, minutes = evaluated(processes), 0
    for minutes in range(15):
        assert await sign_in(one, "amina") == (200 if minutes == 0 else 429)
        for market in processes * 6:
            await guess(market, "amina")
        one.clock.advance(timedelta(minutes=1))
    assert minutes == 14
    assert evaluated(processes) - before == 1 + ACCOUNT_MAX
    assert await sign_in(two, "amina") == 200


async def test_one_password_at_many_accounts_is_stopped_after_fifty_failures_of_an_address(
    processes: Processes,
) -> None:
    """Goal A3: also when every guess names another address in X-Forwarded-For."""
    before = evaluated(processes)
    for number in range(60):
        await guess(processes[number % 2], f"person{number}", forwarded=f"192.0.2.{number}, 10.0.0.1")
    assert evaluated(processes) - before == ADDRESS_MAX
    assert (await guess(processes[0], "somebody")).status_code == 429
    assert (await guess(processes[0], "somebody", at=OWNER)).status_code == 401
    assert (await guess(processes[0], "somebody", at="203.0.113.8")).status_code == 401


async def test_behind_a_proxy_of_ours_the_nearest_stranger_is_who_guesses(processes: Processes) -> None:
    """Goal A3: what stands further left in X-Forwarded-For can be made up, and counts for nothing."""
    one, _ = processes
    before = evaluated(processes)
    for number in range(60):
        await guess(one, f"person{number}", at=PROXY, forwarded=f"192.0.2.{number}, {ATTACKER}")
    assert evaluated(processes) - before == ADDRESS_MAX
    assert (await guess(one, "somebody", at=PROXY, forwarded=OWNER)).status_code == 401


async def test_addresses_of_one_subscriber_are_one_network(processes: Processes) -> None:
    """Goal A3: who has a whole IPv6 network guesses no more often than who has one address."""
    one, _ = processes
    before = evaluated(processes)
    for number in range(60):
        await guess(one, f"person{number}", at=f"2001:db8:1:2::{number + 1:x}")
    assert evaluated(processes) - before == ADDRESS_MAX
    assert (await guess(one, "somebody", at="2001:db8:1:3::1")).status_code == 401


GUESSED_CODES = {
    "/api/auth/password-reset-confirm": {"new_password": "Deep-rivers-9"},
    "/api/auth/verify-email": {},
}


@pytest.mark.parametrize("path", GUESSED_CODES)
async def test_codes_of_many_accounts_are_guessed_no_more_than_fifty_times_from_an_address(
    processes: Processes, path: str
) -> None:
    """Goal A3: wrong codes count with wrong passwords, and a refused guess is not looked at."""
    before = evaluated(processes)
    said = []
    for number in range(60):
        body = {"email": f"person{number}@example.test", "code": "123456"} | GUESSED_CODES[path]
        async with processes[number % 2].client_at(ATTACKER) as client:
            said.append((await client.post(path, json=body)).json()["code"])
    assert said == ["identity.code_invalid"] * ADDRESS_MAX + ["identity.too_many_attempts"] * 10
    assert evaluated(processes) - before == (ADDRESS_MAX if "new_password" in GUESSED_CODES[path] else 0)
    assert (await guess(processes[0], "somebody")).status_code == 429
    assert (await guess(processes[0], "somebody", at=OWNER)).status_code == 401


async def test_an_address_has_us_write_to_strangers_a_hundred_times_an_hour(processes: Processes) -> None:
    """Of any number of registrations and reset codes that are asked for at once, and then no mail, row or hash more."""
    one, two = processes
    tables = ("accounts", "sign_ins", "one_time_codes", "outbox_messages", "audit_entries")

    async def stored() -> list[int]:
        return [await one.value(f"SELECT count(*) FROM {table}") for table in tables]

    async def ask(number: int, address: str) -> int:
        email = f"person{number}@example.test"
        account = {"username": f"person{number}", "email": email, "password": PASSWORD}
        path, body = (("register", account), ("password-reset", {"email": email}))[number // 2 % 2]
        async with processes[number % 2].client_at(address) as client:
            return (await client.post(f"/api/auth/{path}", json=body)).status_code

    said = await asyncio.gather(*(ask(number, ATTACKER) for number in range(MAILS_MAX + 20)))
    assert sorted(set(said)) == [200, 201, 429]
    assert said.count(429) == 20
    rows, hashes = await stored(), evaluated(processes)
    assert hashes == said.count(201) == rows[0]
    assert [await ask(number, ATTACKER) for number in (200, 201, 202, 203)] == [429] * 4
    assert (await stored(), evaluated(processes)) == (rows, hashes)
    assert [await ask(number, OWNER) for number in (300, 302)] == [201, 200]
    one.clock.advance(timedelta(minutes=59))
    assert await ask(400, ATTACKER) == 429
    one.clock.advance(timedelta(minutes=1))
    assert await ask(400, ATTACKER) == 201
    assert await two.value("SELECT count(*) FROM accounts") == rows[0] + 2


async def test_whoever_spends_the_tries_of_a_code_keeps_nobody_from_the_link_of_its_mail(processes: Processes) -> None:
    """All codes of an hour can be asked for and voided by a stranger who knows the address; the mailbox is not his."""
    one, two = processes
    await one.register("amina")
    for _ in range(3):
        reply = await two.post(None, "/api/auth/password-reset", {"email": "amina@example.test"})
        assert reply.status_code == 200
        for _ in range(6):  # before the mail is even written
            body = {"email": "amina@example.test", "code": "999999x", "new_password": "Deep-rivers-9"}
            assert (await two.post(None, "/api/auth/password-reset-confirm", body)).status_code == 422
        await one.drain()
    reply = await one.post(None, "/api/auth/password-reset", {"email": "amina@example.test"})
    assert (reply.status_code, reply.json()["code"]) == (429, "identity.too_many_codes")
    mails = one.mailer.to("amina@example.test")
    links = [mail.text.partition("token=")[2].split()[0] for mail in mails if "password-reset?" in mail.text]
    assert len(links) == 3
    wanted = {"new_password": "Deep-rivers-9"}
    refused = await one.post(None, "/api/auth/password-reset-confirm", wanted | {"token": links[0]})
    assert (refused.status_code, refused.json()["code"]) == (422, "identity.code_invalid")  # a later one was asked for
    reply = await one.post(None, "/api/auth/password-reset-confirm", wanted | {"token": links[-1]})
    assert reply.status_code == 200
    again = await one.post(None, "/api/auth/password-reset-confirm", wanted | {"token": links[-1]})
    assert (again.status_code, again.json()["code"]) == (422, "identity.code_invalid")


async def test_an_address_is_proved_by_no_digits_after_five_wrong_tries_and_by_its_link_still(
    processes: Processes,
) -> None:
    one, two = processes
    await one.register("amina")
    await one.drain()
    text = one.mailer.to("amina@example.test")[-1].text
    code, wrong = digits_in(text, after="address is ")
    for number, said in enumerate([wrong] * 5 + [code]):
        body = {"email": "amina@example.test", "code": said}
        reply = await (one, two)[number % 2].post(None, "/api/auth/verify-email", body)
        assert (reply.status_code, reply.json()["code"]) == (422, "identity.code_invalid")
    assert await one.value("SELECT verified_email FROM accounts") is None
    link = text.partition("token=")[2].split()[0]
    assert (await two.post(None, "/api/auth/verify-email", {"token": link})).status_code == 200
    assert await one.value("SELECT verified_email FROM accounts") == "amina@example.test"


async def test_tries_with_an_address_and_signed_in_are_five_together(processes: Processes) -> None:
    one, two = processes
    amina = await one.register("amina")
    await one.drain()
    code, wrong = digits_in(one.mailer.to("amina@example.test")[-1].text, after="address is ")
    for number, said in enumerate([wrong] * 5 + [code] * 2):
        soko, person = ((one, None), (two, amina))[number % 2]
        body = {"code": said} | ({} if person else {"email": "amina@example.test"})
        reply = await soko.post(person, "/api/auth/verify-email", body)
        assert (reply.status_code, reply.json()["code"]) == (422, "identity.code_invalid")
    assert await one.value("SELECT verified_email FROM accounts") is None


async def test_a_code_is_dead_after_five_wrong_tries_over_two_processes(processes: Processes) -> None:
    """Goal A3: the right code on the sixth try opens nothing, and three codes an hour are all there are."""
    one, two = processes
    await one.register("amina")
    tries = 0
    for _ in range(5):
        asked = await one.post(None, "/api/auth/password-reset", {"email": "amina@example.test"})
        if asked.status_code == 429:
            break
        await one.drain()
        code, wrong = digits_in(one.mailer.to("amina@example.test")[-1].text, after="password is ")
        for number, said in enumerate([wrong] * 5 + [code]):
            body = {"email": "amina@example.test", "code": said, "new_password": "Deep-rivers-9"}
            reply = await (one, two)[number % 2].post(None, "/api/auth/password-reset-confirm", body)
            assert (reply.status_code, reply.json()["code"]) == (422, "identity.code_invalid")
            tries += 1
    assert tries == 18
    assert await sign_in(one, "amina") == 200  # with the old password
