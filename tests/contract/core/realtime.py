"""What everything promises that carries wake-ups."""

import asyncio
from collections.abc import Callable

from application.core.kernel.realtime import Realtime

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
