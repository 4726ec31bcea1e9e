"""What everything promises that carries wake-ups."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from application.core.kernel.realtime import Realtime
from infrastructure.local.wake_ups import TOPICS_WAITING_MAX
from interface.bootstrap.background import Background, Loop

WITHIN_S = 5.0
LOOK_EVERY_S = 0.01


async def until(what: str, is_so: Callable[[], bool]) -> None:
    """Return once it is so."""
    for _ in range(int(WITHIN_S / LOOK_EVERY_S)):
        if is_so():
            return
        await asyncio.sleep(LOOK_EVERY_S)
    raise AssertionError(f"not within {WITHIN_S} s: {what}")


class Heard:
    """A follower that counts."""

    def __init__(self, realtime: Realtime, topic: str) -> None:
        self.times = 0
        self.leave = realtime.follow(topic, self._woken)

    def _woken(self) -> None:
        self.times += 1


class CarriedRealtime(Realtime, Protocol):
    """What carries wake-ups to other processes, as long as it runs."""

    async def run(self, stop: asyncio.Event) -> None: ...


AnyCarried = TypeVar("AnyCarried", bound=CarriedRealtime)


@asynccontextmanager
async def running(realtime: AnyCarried) -> AsyncIterator[AnyCarried]:
    """Run it as a process does, from the moment at which it listens."""
    first = Heard(realtime, "anything")
    async with Background((Loop("realtime", realtime.run),)):
        await until("it listens", lambda: first.times == 1)
        first.leave()
        yield realtime


class RealtimeContract:
    """The fixtures `here` and `there` are two processes, or twice the same where there can be only one."""

    async def test_a_wake_up_reaches_who_follows_the_topic_in_every_process_and_nobody_else(
        self, here: Realtime, there: Realtime
    ) -> None:
        ours, theirs, again = Heard(here, "a"), Heard(there, "a"), Heard(there, "a")
        others = [Heard(here, "b"), Heard(there, "ab"), Heard(there, "")]
        here.publish(["a"])
        await until("all three have heard", lambda: min(ours.times, theirs.times, again.times) == 1)
        there.publish(["a"])
        await until("all three have heard", lambda: min(ours.times, theirs.times, again.times) == 2)
        assert [one.times for one in others] == [0, 0, 0]

    async def test_who_has_left_is_not_called(self, here: Realtime, there: Realtime) -> None:
        gone, stays = Heard(there, "a"), Heard(there, "a")
        gone.leave()
        gone.leave()
        here.publish(["a"])
        await until("the other has heard", lambda: stays.times == 1)
        assert gone.times == 0

    async def test_a_follower_that_fails_keeps_no_other_from_being_called(
        self, here: Realtime, there: Realtime
    ) -> None:
        def fail() -> None:
            raise RuntimeError("no")

        for realtime in (here, there):
            realtime.follow("a", fail)
        ours, theirs = Heard(here, "a"), Heard(there, "a")
        here.publish(["a", "b"])
        await until("both have heard", lambda: min(ours.times, theirs.times) == 1)

    async def test_a_follower_may_leave_while_it_is_called(self, here: Realtime, there: Realtime) -> None:
        def leave_first() -> None:
            first.leave()

        here.follow("a", leave_first)
        first, last = Heard(here, "a"), Heard(here, "a")
        here.publish(["a"])
        here.publish(["a"])
        assert (first.times, last.times) == (1, 2)

    async def test_thousands_of_topics_are_woken_at_once(self, here: Realtime, there: Realtime) -> None:
        topics = [f"person:{number:032}" for number in range(2_000)]
        heard = [Heard(there, topic) for topic in topics]
        here.publish(topics)
        await until("everybody has heard", lambda: all(one.times for one in heard))
        assert {one.times for one in heard} == {1}


class CarriedRealtimeContract(RealtimeContract):
    """The fixtures `here` and `there` are two processes that run, and `idle` is a third one that does not yet."""

    async def test_what_a_process_says_itself_does_not_come_back_to_it(
        self, here: CarriedRealtime, there: CarriedRealtime
    ) -> None:
        ours, theirs, later = Heard(here, "a"), Heard(there, "a"), Heard(here, "b")
        here.publish(["a"])
        await until("the other has heard", lambda: theirs.times == 1)
        there.publish(["b"])
        await until("what was said later has come", lambda: later.times == 1)
        assert ours.times == 1

    async def test_a_process_that_is_cut_off_for_long_wakes_everybody_instead_of_remembering_all(
        self, idle: CarriedRealtime, there: CarriedRealtime
    ) -> None:
        theirs = Heard(there, "never named")
        idle.publish([f"t{number}" for number in range(TOPICS_WAITING_MAX + 1)])
        async with Background((Loop("realtime", idle.run),)):
            await until("they were woken", lambda: theirs.times == 1)

    async def test_it_stops_at_once_and_says_what_is_left(self, idle: CarriedRealtime, there: CarriedRealtime) -> None:
        theirs, stop = Heard(there, "a"), asyncio.Event()
        idle.publish(["a"])
        stop.set()
        async with asyncio.timeout(2):
            await idle.run(stop)
        await until("it was said", lambda: theirs.times == 1)
