"""Wake-ups inside one process."""

from collections.abc import Callable, Collection

import structlog

_log = structlog.get_logger("soko.realtime")


class InMemoryRealtime:
    """Calls the followers at once. Enough where one process does everything."""

    def __init__(self) -> None:
        self._followers: dict[str, dict[object, Callable[[], None]]] = {}

    def publish(self, topics: Collection[str]) -> None:
        for topic in topics:
            for woken in tuple(self._followers.get(topic, {}).values()):
                self._call(woken, topic)

    def follow(self, topic: str, woken: Callable[[], None]) -> Callable[[], None]:
        key = object()
        self._followers.setdefault(topic, {})[key] = woken

        def leave() -> None:
            followers = self._followers.get(topic, {})
            followers.pop(key, None)
            if not followers:
                self._followers.pop(topic, None)

        return leave

    def wake_everybody(self) -> None:
        """Wake the followers of every topic: wake-ups may have been lost."""
        self.publish(tuple(self._followers))

    def _call(self, woken: Callable[[], None], topic: str) -> None:
        try:
            woken()
        except Exception as error:
            _log.error("follower_failed", topic=topic, exc_info=error)
