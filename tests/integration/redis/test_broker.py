"""The stream carries each id to one worker, whatever happens to Redis and to the workers."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from application.core.kernel.ports import Delivery
from infrastructure.postgres.core.outbox import LEASE, Message
from infrastructure.queue.relay import BrokerAway
from infrastructure.redis.broker import GROUP, STREAM, RedisDeliveryBroker, _Outage
from interface.bootstrap.background import Background, Loop
from tests.contract.core.realtime import until
from tests.fakes.core.system import NOON
from tests.integration.redis.valkey import Valkey

SOON = timedelta(milliseconds=300)
IDS = [UUID(int=number) for number in range(1, 100)]


def message(message_id: UUID) -> Message:
    """Return a message, of which only its id is carried."""
    return Message(
        delivery=Delivery(message_id, message_id, NOON),
        event_name="market.thing_sold",
        subscriber="market.hearing",
        payload={},
        trace_id="a-trace",
        span_id=None,
        attempts=1,
        last_error=None,
        leased_until=NOON + LEASE,
    )


class Delivered:
    """What was delivered, in order; `gate` holds deliveries up while it is closed."""

    def __init__(self) -> None:
        self.ids: list[UUID] = []
        self.begun = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, message_id: UUID) -> None:
        self.begun += 1
        await self.gate.wait()
        self.ids.append(message_id)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look more often than in production, for the sake of time."""
    for name, seconds in (("BLOCK_S", 0.2), ("ROOM_WITHIN_S", 0.2), ("WAIT_LONGEST_S", 0.4)):
        monkeypatch.setattr(f"infrastructure.redis.broker.{name}", seconds)


@pytest.fixture
async def brokers(valkey: Valkey) -> AsyncIterator[Callable[..., RedisDeliveryBroker]]:
    async with AsyncExitStack() as stack:

        def open_broker(deliver: Callable[[UUID], Awaitable[None]], **settings: object) -> RedisDeliveryBroker:
            broker = RedisDeliveryBroker(valkey.url, deliver, **settings)  # type: ignore[arg-type]
            stack.push_async_callback(broker.close)
            return broker

        yield open_broker


Brokers = Callable[..., RedisDeliveryBroker]


@asynccontextmanager
async def consuming(broker: RedisDeliveryBroker) -> AsyncIterator[None]:
    async with Background((Loop("consumer", broker.consume),)):
        yield


def left(valkey: Valkey) -> tuple[bytes, bytes]:
    """Return how many ids the stream holds, and how many of them a worker holds."""
    return valkey.command("XLEN", STREAM), valkey.command("XPENDING", STREAM, GROUP).split(b"\r\n")[1]


async def test_what_was_sent_before_the_first_worker_came_is_delivered_once_and_nothing_stays(
    brokers: Brokers, valkey: Valkey
) -> None:
    delivered = Delivered()
    sender, one, two = brokers(delivered), brokers(delivered), brokers(delivered)
    for message_id in IDS[:20]:
        await sender.send(message(message_id))
    async with consuming(one), consuming(two):
        await until("all are delivered", lambda: len(delivered.ids) == 20)
        await until("nothing stays", lambda: left(valkey) == (b":0\r\n", b":0"))
    assert sorted(delivered.ids) == IDS[:20]


async def test_there_is_no_room_while_nobody_takes_what_was_sent(brokers: Brokers) -> None:
    delivered = Delivered()
    broker = brokers(delivered, at_once=2)
    await broker.wait_for_room()
    assert broker.room == 4
    for message_id in IDS[:4]:
        await broker.send(message(message_id))
    assert broker.room == 0
    await broker.wait_for_room()
    assert broker.room == 0
    waiting = asyncio.create_task(broker.wait_for_room())
    async with consuming(broker):
        await waiting
        assert broker.room > 0


async def test_no_more_are_begun_than_a_worker_does_at_once(brokers: Brokers) -> None:
    delivered = Delivered()
    delivered.gate.clear()
    broker = brokers(delivered, at_once=2)
    async with consuming(broker):
        for message_id in IDS[:6]:
            await broker.send(message(message_id))
        await until("two have begun", lambda: delivered.begun == 2)
        await broker.wait_for_room()
        assert (broker.room, delivered.begun) == (0, 2)
        delivered.gate.set()
        await until("all are delivered", lambda: len(delivered.ids) == 6)


async def test_what_a_dead_worker_held_is_taken_over_on_a_quiet_queue(brokers: Brokers, valkey: Valkey) -> None:
    valkey.command("XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM")
    delivered = Delivered()
    broker = brokers(delivered, reclaim_after=SOON)
    await broker.send(message(IDS[0]))
    taken = valkey.command("XREADGROUP", "GROUP", GROUP, "a worker that dies", "COUNT", "1", "STREAMS", STREAM, ">")
    assert str(IDS[0]).encode() in taken
    async with consuming(broker):
        await until("it is delivered", lambda: delivered.ids == [IDS[0]])
        await until("nothing stays", lambda: left(valkey) == (b":0\r\n", b":0"))


async def test_what_a_worker_still_works_on_is_not_taken_over(brokers: Brokers) -> None:
    delivered, others = Delivered(), Delivered()
    delivered.gate.clear()
    busy, idle = brokers(delivered, reclaim_after=SOON), brokers(others, reclaim_after=SOON)
    async with consuming(busy):
        await busy.send(message(IDS[0]))
        await until("it has begun", lambda: delivered.begun == 1)
        async with consuming(idle):
            await asyncio.sleep(4 * SOON.total_seconds())  # nothing may happen in this time
            assert others.begun == 0
            delivered.gate.set()
            await until("it is delivered", lambda: delivered.ids == [IDS[0]])


async def test_a_wipe_while_workers_run_loses_what_waits_and_nothing_else(brokers: Brokers, valkey: Valkey) -> None:
    delivered = Delivered()
    broker = brokers(delivered)
    async with consuming(broker):
        await broker.send(message(IDS[0]))
        await until("it is delivered", lambda: len(delivered.ids) == 1)
        for message_id in IDS[1:4]:
            valkey.flush()
            await broker.wait_for_room()
            assert broker.room > 0
            await broker.send(message(message_id))
            await until("it is delivered", lambda: delivered.ids[-1] == message_id)  # noqa: B023
    assert delivered.ids == IDS[:4]


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_workers_outlive_a_server_that_is_gone_for_a_while(
    end: str, brokers: Brokers, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures, wait = list[BaseException](), _Outage.wait

    async def note(outage: _Outage, error: BaseException) -> None:
        failures.append(error)
        await wait(outage, error)

    monkeypatch.setattr(_Outage, "wait", note)
    delivered = Delivered()
    broker = brokers(delivered)
    with capture_logs() as lines:
        async with consuming(broker):
            await broker.send(message(IDS[0]))
            await until("it is delivered", lambda: len(delivered.ids) == 1)
            getattr(valkey, end)()
            with pytest.raises(BrokerAway):
                await broker.send(message(IDS[1]))
            await broker.wait_for_room()
            assert broker.room == 0
            failures.clear()
            await asyncio.sleep(0.5)  # for a loop that does not wait to show itself
            assert len(failures) < 10
            valkey.start()
            await until("it is back", lambda: any(line["event"] == "redis_back" for line in lines))
            await broker.send(message(IDS[2]))
            await until("it is delivered", lambda: delivered.ids[-1] == IDS[2])
    assert [line["event"] for line in lines].count("redis_away") <= 2, "one line for each end"


async def test_a_server_that_answers_nothing_holds_nobody_up_for_long(
    brokers: Brokers, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.redis.broker.ANSWER_WITHIN_S", 0.3)
    delivered = Delivered()
    broker = brokers(delivered)
    valkey.pause()
    began = time.monotonic()
    await broker.wait_for_room()
    with pytest.raises(BrokerAway):
        await broker.send(message(IDS[0]))
    assert (broker.room, time.monotonic() - began < 2) == (0, True)
    valkey.resume()
    await broker.wait_for_room()
    assert broker.room > 0


async def test_a_full_server_takes_no_ids_and_still_lets_what_waits_be_done(brokers: Brokers, valkey: Valkey) -> None:
    delivered = Delivered()
    broker = brokers(delivered)
    await broker.send(message(IDS[0]))
    valkey.fill()
    with pytest.raises(BrokerAway):
        await broker.send(message(IDS[1]))
    valkey.empty()
    async with consuming(broker):
        await until("what was taken is delivered", lambda: delivered.ids == [IDS[0]])


async def test_what_cannot_be_read_is_removed(brokers: Brokers, valkey: Valkey) -> None:
    delivered = Delivered()
    broker = brokers(delivered)
    valkey.command("XADD", STREAM, "*", "data", "{nonsense")
    valkey.command("XADD", STREAM, "*", "other", "field")
    async with consuming(broker):
        await broker.send(message(IDS[0]))
        await until("the next is delivered", lambda: delivered.ids == [IDS[0]])
        await until("nothing stays", lambda: left(valkey) == (b":0\r\n", b":0"))


async def test_what_nobody_can_get_any_more_is_removed_in_time(
    brokers: Brokers, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    valkey.command("XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM")
    valkey.command("XADD", STREAM, "*", "data", "left by a worker that was removed")
    valkey.command("XREADGROUP", "GROUP", GROUP, "gone", "STREAMS", STREAM, ">")
    valkey.command("XGROUP", "DELCONSUMER", STREAM, GROUP, "gone")
    valkey.command("XGROUP", "CREATECONSUMER", STREAM, GROUP, "of an earlier life")
    assert left(valkey) == (b":1\r\n", b":0")
    broker = brokers(Delivered(), reclaim_after=SOON)
    monkeypatch.setattr("infrastructure.redis.broker.FORGET_AFTER", timedelta(seconds=-1))
    async with consuming(broker):
        await until("it is removed", lambda: left(valkey) == (b":0\r\n", b":0"))
        await until("so is he", lambda: b"earlier life" not in valkey.command("XINFO", "CONSUMERS", STREAM, GROUP))
