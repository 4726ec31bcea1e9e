"""Wake-ups that also have to leave this process: what every way of carrying them has in common."""

import asyncio
from collections.abc import Callable, Collection, Iterator

from infrastructure.local.realtime import InMemoryRealtime

TOPICS_WAITING_MAX = 20_000
"""Beyond it everybody is woken instead: a process that is cut off from the others must not fill its memory."""

EVERYBODY = "*"


class WakeUps:
    """Followers in this process are woken at once; for the others topics wait until somebody carries them."""

    def __init__(self) -> None:
        self._here = InMemoryRealtime()
        self._waiting: set[str] = set()
        self._has_work = asyncio.Event()

    def publish(self, topics: Collection[str]) -> None:
        self._here.publish(topics)
        if EVERYBODY not in self._waiting:
            self._waiting.update(topics)
            if len(self._waiting) > TOPICS_WAITING_MAX:
                self._waiting = {EVERYBODY}
        self.look()

    def follow(self, topic: str, woken: Callable[[], None]) -> Callable[[], None]:
        return self._here.follow(topic, woken)

    def heard(self, payload: str) -> None:
        """Wake those whom another process means."""
        if payload == EVERYBODY:
            self.wake_everybody()
        else:
            self._here.publish(payload.split(" "))

    def wake_everybody(self) -> None:
        """Wake all followers of this process: something may not have been heard."""
        self._here.wake_everybody()

    def take(self) -> set[str]:
        """Return what waits to be carried; it waits no longer."""
        self._has_work.clear()
        topics, self._waiting = self._waiting, set()
        return topics

    def put_back(self, topics: Collection[str]) -> None:
        """Let topics wait that could not be carried."""
        self._waiting.update(topics)

    def look(self, *_: object) -> None:
        """Have `work_comes` return: there is something to carry, or to see."""
        self._has_work.set()

    async def look_at(self, stop: asyncio.Event) -> None:
        """Look when it is time to stop."""
        await stop.wait()
        self.look()

    async def work_comes(self, within_s: float) -> bool:
        """Wait for something to do, and tell whether it came in time."""
        try:
            async with asyncio.timeout(within_s):
                await self._has_work.wait()
        except TimeoutError:
            return False
        return True


def payloads(topics: Collection[str], bytes_max: int) -> Iterator[str]:
    """Put as many topics into each payload as it takes."""
    if EVERYBODY in topics:
        yield EVERYBODY
        return
    gathered, size = list[str](), 0
    for topic in topics:
        size += len(topic.encode()) + 1
        if size > bytes_max:
            yield " ".join(gathered)
            gathered, size = [], len(topic.encode()) + 1
        gathered.append(topic)
    if gathered:
        yield " ".join(gathered)
