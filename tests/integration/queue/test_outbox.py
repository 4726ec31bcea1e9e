"""What was committed is delivered, once, whoever dies meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

import asyncpg
import pytest
from taskiq.exceptions import SendTaskError

from application.core.kernel.ports import Delivery
from application.core.kernel.request_context import RequestContext, current_request, request_context
from domain.core.kernel.errors import Unavailable
from domain.core.kernel.events import Event
from domain.core.kernel.money import Money
from infrastructure.postgres.core.outbox import LEASE, Message, PostgresOutbox
from infrastructure.postgres.database import Database
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork
from infrastructure.queue.broker import HELD_MAX, InProcessBroker, held_most
from infrastructure.queue.delivery import RETRY_FIRST, TRIES_MAX, DeliverMessage
from infrastructure.queue.relay import BrokerAway, OutboxRelay
from interface.bootstrap.area import Subscription, SubscriptionList
from tests.contract.core.realtime import until
from tests.fakes.core.system import NOON, FixedClock, SequentialIds


@dataclass(frozen=True, slots=True, kw_only=True)
class ThingSold(Event):
    area: ClassVar[str] = "market"

    thing_id: UUID
    price: Money


@dataclass
class Hearing:
    """A subscriber whose effect is what it heard; told to fail, it fails first."""

    unit_of_work: Callable[[], PostgresUnitOfWork]
    failures: list[Exception] = field(default_factory=list)
    heard: list[Event] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)
    has_heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, event: Event, delivery: Delivery) -> None:
        async with self.unit_of_work() as uow:
            if self.failures:
                raise self.failures.pop(0)
            uow.done(delivery)
            await uow.commit()
        self.heard.append(event)
        self.traces.append(current_request().trace_id)
        self.has_heard.set()


class Market:
    """One process: units of work, an outbox, one subscriber and a relay."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = FixedClock()
        self.ids = SequentialIds()
        self.subscriptions = SubscriptionList()
        self.hearing = Hearing(self.unit_of_work)
        self.subscriptions.fill([Subscription(ThingSold, "market.hearing", self.hearing)])
        self.outbox = PostgresOutbox(database, self.clock)
        self.broker = InProcessBroker(DeliverMessage(self.outbox, self.subscriptions).taken)
        self.relay = OutboxRelay(self.outbox, self.broker, written=database.messages_written)

    def unit_of_work(self) -> PostgresUnitOfWork:
        return PostgresUnitOfWork(self.database, clock=self.clock, ids=self.ids, subscriptions=self.subscriptions)

    async def sell(self, *, commit: bool = True) -> ThingSold:
        sold = ThingSold(thing_id=self.ids.new(), price=Money(1_50))
        async with self.unit_of_work() as uow:
            uow.record(sold)
            if commit:
                await uow.commit()
        return sold

    async def deliver_due(self) -> int:
        """Relay what is due once, and let it end."""
        taken = await self.relay.relay_due()
        await self.broker.drain()
        return taken

    async def messages(self) -> list[asyncpg.Record]:
        async with self.database.connection() as connection:
            rows: list[asyncpg.Record] = await connection.fetch("SELECT * FROM outbox_messages ORDER BY id")
        return rows


@pytest.fixture
async def market(database_url: str) -> AsyncIterator[Market]:
    database = Database(database_url)
    market = Market(database)
    await market.broker.start()
    yield market
    await market.broker.stop()
    await database.close()


async def test_an_event_reaches_its_subscriber_as_it_was_recorded_under_the_same_trace(market: Market) -> None:
    with request_context(RequestContext(trace_id="a-trace")):
        sold = await market.sell()
    assert await market.deliver_due() == 1
    assert market.hearing.heard == [sold]
    assert market.hearing.traces == ["a-trace"]
    (message,) = await market.messages()
    assert message["done_at"] == market.clock.now()
    assert await market.deliver_due() == 0


async def test_an_event_of_a_unit_without_commit_is_never_delivered(market: Market) -> None:
    await market.sell(commit=False)
    assert await market.deliver_due() == 0
    assert await market.messages() == []


async def test_two_relays_never_take_the_same_message(market: Market) -> None:
    for _ in range(40):
        await market.sell()
    taken = await asyncio.gather(*(market.outbox.take(10) for _ in range(8)))
    ids = [each.delivery.id for some in taken for each in some]
    assert len(ids) == len(set(ids)) == 40


async def test_a_message_carried_twice_has_one_effect(market: Market) -> None:
    await market.sell()
    message_id = (await market.outbox.take(10))[0].delivery.id
    deliver = DeliverMessage(market.outbox, market.subscriptions)
    await asyncio.gather(*(deliver(message_id) for _ in range(4)))
    await deliver(message_id)
    assert len(market.hearing.heard) == 1


async def test_a_message_whose_worker_died_is_taken_again_when_its_lease_ends(market: Market) -> None:
    await market.sell()
    assert len(await market.outbox.take(10)) == 1  # and then nothing is heard of the taker
    market.clock.advance(LEASE - timedelta(seconds=1))
    assert await market.deliver_due() == 0
    market.clock.advance(timedelta(seconds=1))
    assert await market.deliver_due() == 1
    assert len(market.hearing.heard) == 1


async def test_a_failed_delivery_is_tried_again_later_each_time_and_keeps_the_reason(market: Market) -> None:
    market.hearing.failures = [Unavailable("mail is away"), ValueError("a bug")]
    await market.sell()
    await market.deliver_due()
    (message,) = await market.messages()
    assert (message["attempts"], message["last_error"]) == (1, "Unavailable: mail is away")
    assert message["due_at"] == market.clock.now() + RETRY_FIRST
    market.clock.advance(RETRY_FIRST)
    await market.deliver_due()
    (message,) = await market.messages()
    assert (message["attempts"], message["last_error"]) == (2, "ValueError: a bug")
    assert message["due_at"] == market.clock.now() + 2 * RETRY_FIRST
    market.clock.advance(2 * RETRY_FIRST)
    await market.deliver_due()
    assert len(market.hearing.heard) == 1


async def test_a_message_that_always_fails_is_given_up_with_its_reason_and_can_be_replayed(market: Market) -> None:
    market.hearing.failures = [ValueError("a bug")] * TRIES_MAX
    await market.sell()
    for _ in range(TRIES_MAX):
        assert await market.deliver_due() == 1
        market.clock.advance(timedelta(hours=1))
    (message,) = await market.messages()
    assert message["dead_at"] is not None
    assert message["last_error"] == "ValueError: a bug"
    assert await market.deliver_due() == 0
    (dead,) = await market.outbox.dead(10)
    assert (dead.id, dead.dead_at, dead.last_error) == (message["id"], message["dead_at"], "ValueError: a bug")
    assert (dead.event_name, dead.subscriber) == (message["event_name"], message["subscriber"])
    assert await market.outbox.replay(message["id"])
    assert await market.outbox.dead(10) == []
    assert await market.deliver_due() == 1
    assert len(market.hearing.heard) == 1
    assert not await market.outbox.replay(message["id"])


async def test_a_message_that_nobody_hears_any_more_is_given_up_with_a_reason(market: Market) -> None:
    await market.sell()
    broker = InProcessBroker(DeliverMessage(market.outbox, SubscriptionList()).taken)
    await broker.start()
    await OutboxRelay(market.outbox, broker, written=asyncio.Event()).relay_due()
    await broker.stop()
    (message,) = await market.messages()
    assert message["dead_at"] is not None
    assert message["last_error"] == "nobody is called market.hearing any more"


async def test_the_relay_hears_of_a_commit_in_its_process_at_once(market: Market) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(market.relay.run(stop))
    market.database.messages_written.clear()
    await market.sell()
    async with asyncio.timeout(5):
        await market.hearing.has_heard.wait()
    stop.set()
    await running


async def test_the_state_counts_what_waits_and_what_was_given_up(market: Market) -> None:
    await market.sell()
    await market.sell()
    (first, _) = await market.outbox.take(10)
    await market.outbox.bury(first.delivery.id, "a reason")
    state = await market.outbox.state()
    assert (state.waiting, state.dead, state.oldest_waiting_since) == (1, 1, market.clock.now())


class Refusing:
    """A broker with room that takes a number of ids and then refuses."""

    room = 3

    def __init__(self, takes: int) -> None:
        self.takes = takes
        self.sent: list[UUID] = []

    async def send(self, message: Message) -> None:
        if len(self.sent) == self.takes:
            raise BrokerAway
        self.sent.append(message.delivery.id)

    async def wait_for_room(self) -> None:
        return


async def test_what_a_broker_refuses_is_due_again_at_once_and_was_not_attempted(market: Market) -> None:
    for _ in range(3):
        await market.sell()
    refusing = Refusing(takes=1)
    relay = OutboxRelay(market.outbox, refusing, written=asyncio.Event())
    for _ in range(TRIES_MAX + 1):
        await relay.relay_due()
        refusing.takes = len(refusing.sent)
    sent, *others = await market.messages()
    assert [sent["id"]] == refusing.sent
    assert (sent["attempts"], sent["due_at"]) == (1, NOON + LEASE)
    assert [(each["attempts"], each["due_at"]) for each in others] == [(0, NOON)] * 2
    assert await market.deliver_due() == 2
    assert len(market.hearing.heard) == 2


async def test_nothing_is_taken_for_a_broker_without_room(market: Market) -> None:
    await market.sell()
    refusing = Refusing(takes=0)
    refusing.room = 0
    assert await OutboxRelay(market.outbox, refusing, written=asyncio.Event()).relay_due() == 0
    (message,) = await market.messages()
    assert (message["attempts"], message["due_at"]) == (0, NOON)


async def test_an_id_that_comes_late_is_taken_anew_by_one_and_counts_as_attempted(market: Market) -> None:
    await market.sell()
    message_id = (await market.outbox.take(1))[0].delivery.id
    market.clock.advance(LEASE / 2)
    assert await market.outbox.read(message_id) is not None
    (message,) = await market.messages()
    assert (message["attempts"], message["due_at"]) == (1, NOON + LEASE), "half of its lease is left"
    market.clock.advance(timedelta(seconds=1))
    found = await asyncio.gather(*(market.outbox.read(message_id) for _ in range(4)))
    assert [each.attempts for each in found if each is not None][:1] == [2]
    (message,) = await market.messages()
    assert (message["attempts"], message["due_at"]) == (2, market.clock.now() + LEASE)


async def test_a_message_that_waited_in_the_process_for_half_of_its_lease_is_taken_anew(market: Market) -> None:
    await market.sell()
    (message,) = await market.outbox.take(1)
    market.clock.advance(LEASE / 2 + timedelta(seconds=1))
    await DeliverMessage(market.outbox, market.subscriptions).taken(message)
    (stored,) = await market.messages()
    assert (stored["attempts"], stored["done_at"]) == (2, market.clock.now())
    await DeliverMessage(market.outbox, market.subscriptions).taken(message)
    assert len(market.hearing.heard) == 1


async def test_a_message_whose_lease_ended_while_it_waited_in_the_process_is_delivered_once(market: Market) -> None:
    """The relay takes it again and sends it to the broker that still holds it."""
    at_once, gate, begun = 2, asyncio.Event(), list[int]()

    async def deliver(message: Message) -> None:
        begun.append(message.attempts)
        await gate.wait()

    broker = InProcessBroker(deliver, at_once=at_once)
    for _ in range(at_once + 1):
        await market.sell()
    first = await market.outbox.take(10)
    for message in first:
        await broker.send(message)
    await until("as many as may are delivered", lambda: len(begun) == at_once)
    market.clock.advance(LEASE)
    for message in await market.outbox.take(10):
        await broker.send(message)
    gate.set()
    await broker.stop()
    assert begun == [1, 1, 2], "the one that waited is known under its new lease"


async def test_the_faster_deliveries_are_the_more_messages_are_taken_together(market: Market) -> None:
    async def deliver(_: Message) -> None:
        return

    broker = InProcessBroker(deliver, at_once=2)
    rooms = [broker.room]
    while broker.room < HELD_MAX and len(rooms) < 20:
        for _ in range(broker.room):
            await market.sell()
        for message in await market.outbox.take(broker.room):
            await broker.send(message)
        assert broker.room == 0
        await broker.drain()
        rooms.append(broker.room)
    assert (rooms[0], rooms[-1]) == (4, HELD_MAX)
    assert rooms == sorted(rooms)
    await broker.stop()


@pytest.mark.parametrize(("each_s", "held"), [(8.0, 4), (1.0, 5), (0.25, 8), (0.05, 24), (0.001, HELD_MAX), (0.0, 100)])
def test_no_more_is_held_than_is_delivered_soon(each_s: float, held: int) -> None:
    assert held_most(4, each_s) == held


async def test_a_task_that_cannot_begin_takes_no_place(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_: object, __: object) -> None:
        raise OSError("no task can begin")

    for _ in range(2):
        await market.sell()
    first, second = await market.outbox.take(2)
    broker = InProcessBroker(DeliverMessage(market.outbox, market.subscriptions).taken, at_once=1)
    with monkeypatch.context() as broken:
        broken.setattr("taskiq.InMemoryBroker.kick", refuse)
        with pytest.raises(SendTaskError):
            await broker.send(first)
    await broker.send(second)
    await broker.stop()
    assert len(market.hearing.heard) == 2
