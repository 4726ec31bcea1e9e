"""`/ws/notifications`: a person's notices on sockets, as they are written."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from domain.core.notifications.notice import Category
from interface.bootstrap.core.notifications import CAUGHT_UP_EVERY
from tests.contract.core.notices import delivery
from tests.e2e.core.sockets import Client, Socketed, notice, socketed, tell, ticket
from tests.e2e.core.test_revocation import change_password, change_role, sign_in, sign_out_everywhere, suspend
from tests.e2e.market import OPENING, Market, open_market
from tests.fakes.core.system import FixedClock

GONE_WITHIN_S = 5.0
DRILL = os.environ.get("SOKO_DRILL") == "1"


@pytest.fixture
async def server(market: Market) -> AsyncIterator[Socketed]:
    async with socketed(market) as opened:
        yield opened


@pytest.fixture
async def processes(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[Socketed, Socketed]]:
    """Two processes of the server over one database."""
    clock = FixedClock(OPENING)
    async with (
        open_market(database_url, tmp_path, pool_size=4, clock=clock) as one,
        open_market(database_url, tmp_path, pool_size=4, clock=clock) as two,
        socketed(one) as here,
        socketed(two) as there,
    ):
        yield here, there


async def established(client: Client) -> int:
    frame = await client.frame()
    assert set(frame) == {"type", "seq"}
    assert frame["type"] == "connection_established"
    return int(frame["seq"])


# -- frames --


async def test_a_notice_arrives_as_the_list_shows_it(server: Socketed) -> None:
    person = await server.market.register("pupil", "student")
    async with server.connect(person=person) as client:
        assert await client.frame() == {"type": "connection_established", "seq": 0}
        facts = {"event": "payment_success", "amount": "1.00"}
        await tell(server.market, person.id, 1, category=Category.PAYMENT, metadata=facts)
        frame = await client.frame()
        [listed] = (await server.market.get(person, "/api/notifications")).json()["results"]
        assert frame == {"type": "payment_notification", "event": "payment_success", "seq": 1, "notification": listed}
        assert (listed["seq"], listed["title"], listed["metadata"]) == (1, "number 1", facts)
        assert await client.nothing_more()


async def test_a_frame_is_named_after_what_happened(server: Socketed) -> None:
    person = await server.market.register("pupil", "student")
    async with server.connect(person=person) as client:
        await established(client)
        await tell(server.market, person.id, 1, category=Category.ORDER, metadata={"event": "worker_assigned"})
        await tell(server.market, person.id, 2, category=Category.ORDER, metadata={"event": "status_update"})
        await tell(server.market, person.id, 3)
        assert [(one["type"], one["event"], one["seq"]) for one in await client.frames(3)] == [
            ("order_notification", "worker_assigned", 1),
            ("status_update", "status_update", 2),
            ("notification", None, 3),
        ]


async def test_a_person_hears_nothing_of_others_and_everything_on_each_socket(server: Socketed) -> None:
    pupil, other = await server.market.register("pupil", "student"), await server.market.register("other", "student")
    async with (
        server.connect(person=pupil) as phone,
        server.connect(person=pupil) as laptop,
        server.connect(person=other) as stranger,
    ):
        for client in (phone, laptop, stranger):
            assert await established(client) == 0
        await tell(server.market, pupil.id, 1, 2)
        for client in (phone, laptop):
            assert [one["seq"] for one in await client.frames(2)] == [1, 2]
        assert await stranger.nothing_more()


async def test_what_a_client_says_beside_ping_is_left_unanswered(server: Socketed) -> None:
    person = await server.market.register("pupil", "student")
    async with server.connect(person=person) as client:
        await established(client)
        for text in ("", "{", "null", "[]", '{"type": 7}', '{"type": "shout"}', "[" * 60_000, '{"a": "\\ud800"}'):
            await client.connection.send(text)
        await client.connection.send(b"\xff\xfe")
        assert await client.nothing_more()


async def test_a_frame_of_64_kib_is_read_and_a_longer_one_closes_the_socket(server: Socketed) -> None:
    person = await server.market.register("pupil", "student")
    async with server.connect(person=person) as client, server.connect(person=person) as split:
        for each in (client, split):
            await established(each)
        await client.connection.send('{"type": "ping", "x": "' + "x" * (64 * 1024 - 25) + '"}')
        assert await client.frame() == {"type": "pong"}
        await client.connection.send("x" * (64 * 1024 + 1))
        assert await client.closed() == 1009
        await split.connection.send("x" * 40_000 for _ in range(2))  # two frames, one message
        assert await split.closed() == 1009


# -- signing in --


async def test_a_socket_opens_by_ticket_by_protocol_and_by_token(server: Socketed) -> None:
    market = server.market
    person = await market.register("pupil", "student")
    pair = await sign_in(market, "pupil")
    async with server.connect(ticket=await ticket(market, pair)) as client:
        await established(client)
        assert client.connection.subprotocol is None
        await tell(market, person.id, 1)
        assert (await client.frame())["seq"] == 1
    named = Subprotocol(f"access_token_{pair['access']}")
    async with server.connect(protocols=[Subprotocol("soko"), named]) as client:
        assert await established(client) == 1
        assert client.connection.subprotocol == named
    async with server.connect(token=pair["access"]) as client:
        assert await established(client) == 1


async def test_who_is_not_signed_in_is_told_so(server: Socketed) -> None:
    market = server.market
    await market.register("pupil", "student")
    pair = await sign_in(market, "pupil")
    used, late = await ticket(market, pair), await ticket(market, pair)
    async with server.connect(ticket=used) as client:
        await established(client)
        async with server.connect(ticket=used) as second:
            assert await second.closed() == 4001
        assert await client.nothing_more()
    market.clock.advance(timedelta(seconds=30))
    attempts: tuple[dict[str, Any], ...] = (
        {"ticket": late},
        {"ticket": "nonsense"},
        {"ticket": "nonsense", "token": pair["access"]},
        {"token": "nonsense"},
        {"token": pair["refresh"]},
        {"protocols": [Subprotocol("access_token_nonsense")]},
        {},
    )
    for attempt in attempts:
        async with server.connect(**attempt) as client:
            assert await client.closed() == 4001, attempt


async def test_of_twenty_who_hold_one_ticket_one_gets_in(server: Socketed) -> None:
    market = server.market
    await market.register("pupil", "student")
    held = await ticket(market, await sign_in(market, "pupil"))

    async def attempt() -> str:
        async with server.connect(ticket=held) as client:
            try:
                return str((await client.frame())["type"])
            except Exception:
                return str(await client.closed())

    got = await asyncio.gather(*(attempt() for _ in range(20)))
    assert sorted(got) == ["4001"] * 19 + ["connection_established"]


async def test_only_known_front_ends_open_sockets(market: Market) -> None:
    person = await market.register("pupil", "student")
    edge = {"allowed_origins": ("https://front.example",), "is_production": True}
    async with socketed(market, **edge) as server:
        for origin in (None, "https://front.example"):
            async with server.connect(person=person, origin=origin) as client:
                assert await established(client) == 0
        for origin in ("https://evil.example", "https://front.example.evil.example", "http://localhost", "null"):
            with pytest.raises(InvalidStatus) as refused:
                async with server.connect(person=person, origin=origin):
                    pass
            assert refused.value.response.status_code == 403, origin


async def test_a_socket_is_refused_under_another_host_name(market: Market) -> None:
    person = await market.register("pupil", "student")
    async with socketed(market, allowed_hosts=("soko.example",)) as server:
        with pytest.raises(InvalidStatus) as refused:
            async with server.connect(person=person):
                pass
        assert refused.value.response.status_code == 403


async def test_sockets_open_at_their_address_with_or_without_a_slash_and_at_no_other(server: Socketed) -> None:
    person = await server.market.register("pupil", "student")
    async with server.connect(person=person, path="/ws/notifications/") as client:
        assert await established(client) == 0
    for path in ("/ws/nothing", "/api/notifications", "/", "/ws/notifications/more"):
        with pytest.raises(InvalidStatus) as refused:
            async with server.connect(person=person, path=path):
                pass
        assert refused.value.response.status_code == 403, path


async def test_a_number_that_is_none_is_refused(server: Socketed) -> None:
    person = await server.market.register("pupil", "student")
    for after in ("x", "-1", "1.5", "", "1" * 16, "%D9%A1"):
        async with server.connect(person=person, after=after) as client:
            assert await client.closed() == 1008, after


# -- when access ends --


CAUSES: dict[str, Callable[[Market, dict[str, Any], dict[str, Any]], Awaitable[httpx.Response]]] = {
    "suspended": suspend,
    "demoted": change_role,
    "changed": change_password,
    "left": sign_out_everywhere,
}


async def test_sockets_close_in_every_process_within_five_seconds_whatever_ends_the_access(
    processes: tuple[Socketed, Socketed],
) -> None:
    """Goals A5 and A7."""
    here, there = processes
    await here.market.register("boss", "admin")
    await here.market.register("stays", "student")
    admin, stays = await sign_in(here.market, "boss"), await sign_in(here.market, "stays")

    async def ends(username: str) -> None:
        person = await here.market.register(username, "student")
        pair = await sign_in(here.market, username)
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(server.connect(**by))
                for server in processes
                for by in ({"token": pair["access"]}, {"ticket": await ticket(here.market, pair)})
            ]
            assert [await established(client) for client in clients] == [0] * 4
            reply = await CAUSES[username](here.market, admin, pair)
            assert reply.status_code == 200, reply.text
            ended_at = time.monotonic()
            codes = await asyncio.gather(*(client.closed() for client in clients))
            assert codes == [4001] * 4, username
            assert time.monotonic() - ended_at < GONE_WITHIN_S, username
            await tell(here.market, person.id, 1)

    async with there.connect(token=stays["access"]) as client:
        await established(client)
        await asyncio.gather(*(ends(username) for username in CAUSES))
        assert await client.nothing_more()


async def test_a_socket_ends_with_its_token_and_with_its_device(server: Socketed) -> None:
    market = server.market
    await market.register("pupil", "student")
    pair, other = await sign_in(market, "pupil"), await sign_in(market, "pupil")
    async with (
        server.connect(token=pair["access"]) as by_token,
        server.connect(ticket=await ticket(market, pair)) as by_ticket,
        server.connect(ticket=await ticket(market, other)) as elsewhere,
    ):
        for client in (by_token, by_ticket, elsewhere):
            await established(client)
        market.clock.advance(timedelta(minutes=31))
        assert await by_token.closed() == 4001
        assert await by_ticket.nothing_more(), "a ticket was given for the sign-in, which goes on"
        reply = await market.http.post("/api/auth/logout", json={"refresh": pair["refresh"]})
        assert reply.status_code == 200
        assert await by_ticket.closed() == 4001
        assert await elsewhere.nothing_more()


async def test_nothing_is_shown_to_whom_nobody_can_say_is_still_signed_in(
    server: Socketed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While revocations cannot be followed nobody is let in, and who is in hears nothing, until they are."""
    market = server.market
    person = await market.register("pupil", "student")
    async with server.connect(person=person) as client:
        await established(client)
        monkeypatch.setattr(market.adapters.revocations, "_elapsed", lambda: 6.0)
        monkeypatch.setattr(market.adapters.revocations, "refresh", _fail)
        await tell(market, person.id, 1)
        assert await client.nothing_more()
        async with server.connect(person=person) as second:
            assert await second.closed() == 1013
        monkeypatch.undo()
        assert (await client.frame())["seq"] == 1


async def _fail() -> None:
    raise OSError


# -- coming back --


async def test_who_comes_back_gets_what_was_missed_and_then_what_is_new(server: Socketed) -> None:
    market = server.market
    person = await market.register("pupil", "student")
    await tell(market, person.id, *range(1, 131))  # more than two readings
    async with server.connect(person=person, after=7) as client:
        assert await established(client) == 7
        assert [one["seq"] for one in await client.frames(123)] == list(range(8, 131))
        await tell(market, person.id, 131)
        assert (await client.frame())["seq"] == 131
        assert await client.nothing_more()
    async with server.connect(person=person, after=131) as client:
        assert await established(client) == 131
        assert await client.nothing_more()
    async with server.connect(person=person, after=99_999) as client:
        assert await established(client) == 131, "nobody has seen what is not written"
    async with server.connect(person=person) as client:
        assert await established(client) == 131
        assert await client.nothing_more()
    listed = (await market.get(person, "/api/notifications", after=120, limit=100)).json()["results"]
    assert [one["seq"] for one in listed] == list(range(131, 120, -1))


async def test_nothing_is_missed_or_repeated_by_who_connects_while_much_is_written_and_undone(
    processes: tuple[Socketed, Socketed],
) -> None:
    """Goal D7, with a fifth of the transactions rolled back after all was written; and the resume under it."""
    here, there = processes
    count = 5_000 if DRILL else 250
    chance = random.Random(7)
    person = await here.market.register("pupil", "student")
    undone = {number for number in range(1, count + 1) if chance.random() < 0.2}
    written = asyncio.Event()

    async def write(numbers: list[int]) -> None:
        for number in numbers:
            market = chance.choice((here, there)).market
            async with market.adapters.notices_units() as uow:
                uow.notices.add(delivery(number), notice(person.id, number))
                await uow.flush()
                await asyncio.sleep(0)
                if number not in undone:
                    await uow.commit()

    async def write_all() -> None:
        numbers = list(range(1, count + 1))
        await asyncio.gather(*(write(numbers[start::3]) for start in range(3)))
        written.set()

    async def read() -> list[dict[str, Any]]:
        """Follow on one process or the other, hanging up again and again."""
        seen: list[dict[str, Any]] = []
        while not written.is_set() or len(seen) < count - len(undone):
            after = seen[-1]["seq"] if seen else 0
            async with chance.choice(processes).connect(person=person, after=after) as client:
                assert await established(client) == after
                for _ in range(chance.randrange(1, 30)):
                    if len(seen) == count - len(undone):
                        break
                    seen.append(await client.frame())
        async with here.connect(person=person, after=seen[-1]["seq"]) as client:
            await established(client)
            assert await client.nothing_more()
        return seen

    _, *readers = await asyncio.gather(write_all(), read(), read(), read())
    for seen in readers:
        assert [one["seq"] for one in seen] == list(range(1, count - len(undone) + 1))
        titles = {one["notification"]["title"] for one in seen}
        assert titles == {f"number {number}" for number in range(1, count + 1) if number not in undone}


async def test_what_one_process_writes_reaches_a_socket_of_another_at_once(
    processes: tuple[Socketed, Socketed],
) -> None:
    here, there = processes
    person = await here.market.register("pupil", "student")
    async with there.connect(person=person) as client:
        await established(client)
        started_at = time.monotonic()
        await tell(here.market, person.id, 1)
        assert (await client.frame())["seq"] == 1
        assert time.monotonic() - started_at < 2.0 < CAUGHT_UP_EVERY.total_seconds()


async def test_a_lost_wake_up_is_made_good(server: Socketed) -> None:
    person = await server.market.register("pupil", "student")
    live = dict(server.market.server.named_use_cases())["live_notices"]
    async with server.connect(person=person) as client:
        await established(client)
        server.market.database.publish = lambda _: None  # the process dies between commit and wake-up
        await tell(server.market, person.id, 1)
        assert await client.nothing_more()
        await live.catch_up()
        assert (await client.frame())["seq"] == 1


# -- readers that do not read, and the end --


async def test_a_reader_that_does_not_keep_up_is_closed_and_keeps_nobody_waiting(market: Market) -> None:
    person = await market.register("pupil", "student")
    big = {"text": "x" * 20_000}
    async with (
        socketed(market, send_buffer=32 * 1024) as server,
        server.connect(person=person) as quick,
        server.connect(person=person) as slow,
    ):
        for client in (quick, slow):
            await established(client)
        slow.connection.transport.pause_reading()
        number = 0
        while await server.open_sockets() == 2:
            number += 1
            assert number < 1_000, "the reader that does not read is still there"
            started_at = time.monotonic()
            await tell(market, person.id, number, metadata=big)
            assert (await quick.frame())["seq"] == number
            assert time.monotonic() - started_at < 2.0
        slow.connection.transport.resume_reading()
        assert await slow.closed() == 4008
        assert await quick.nothing_more()


async def test_sockets_are_counted(server: Socketed) -> None:
    person = await server.market.register("pupil", "student")
    async with server.connect(person=person) as one, server.connect(person=person) as two:
        for client in (one, two):
            await established(client)
        assert await server.open_sockets() == 2
    for _ in range(500):
        if await server.open_sockets() == 0:
            break
        await asyncio.sleep(0.01)
    assert await server.open_sockets() == 0


async def test_a_stop_closes_sockets_with_restart_and_does_not_wait_for_who_reads_nothing(market: Market) -> None:
    person = await market.register("pupil", "student")
    async with (
        socketed(market) as server,
        server.connect(person=person) as client,
        server.connect(person=person) as stuck,
    ):
        for each in (client, stuck):
            await established(each)
        stuck.connection.transport.pause_reading()
        server.served.serving.stop()
        assert await client.closed() == 1012
        async with asyncio.timeout(5):
            await asyncio.shield(server.served.running)
