"""What one area of the house brings to the server: controllers, subscriptions and jobs."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Any

from litestar.types import ControllerRouterHandler

from application.core.files.ports import FilePurpose
from application.core.kernel.ports import EventHandler
from application.core.payments.refund_ports import RefundPurpose
from domain.core.kernel.events import Event
from domain.core.operations.schedule import Schedule
from interface.bootstrap.background import Loop


@dataclass(frozen=True, slots=True)
class Subscription:
    """One handler that hears one kind of event. `name` is stored with each message: never rename it."""

    event: type[Event]
    name: str
    handler: EventHandler


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work that the clock starts: every so often, or daily or weekly at a time of the business day.

    `run` does a bounded batch and returns how many things it handled; a full batch is run again at once.
    """

    name: str
    run: Callable[[int], Awaitable[int]]
    every: timedelta | None = None
    daily_at: time | None = None
    weekday: int | None = None
    """The one day of the week for `daily_at`: 1 is Monday, 7 Sunday."""
    batch_max: int = 200

    @property
    def schedule(self) -> Schedule:
        """When the clock starts it."""
        return Schedule(self.every, self.daily_at, self.weekday)


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """One core module or vertical as the server sees it.

    `use_cases` is a dataclass whose fields are the use cases and query ports; each field's name is the name under which
    controllers ask for it, so names are unique across areas.
    """

    name: str
    use_cases: object
    controllers: tuple[ControllerRouterHandler, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    jobs: tuple[Job, ...] = ()
    file_purposes: tuple[FilePurpose, ...] = ()
    refund_purposes: tuple[RefundPurpose[Any], ...] = ()
    loops: tuple[Loop, ...] = ()
    """What runs in every process that answers requests, as long as it does."""


class SubscriptionList:
    """Who hears which event, as the unit of work asks; filled once when all areas are built."""

    def __init__(self) -> None:
        self._by_name: dict[str, Subscription] = {}
        self._by_event: dict[str, tuple[str, ...]] = {}

    def fill(self, subscriptions: Iterable[Subscription]) -> None:
        """Take the subscriptions of all areas."""
        for one in subscriptions:
            assert one.name not in self._by_name, f"two subscriptions are called {one.name}"
            self._by_name[one.name] = one
            event_name = one.event.event_name()
            self._by_event[event_name] = (*self._by_event.get(event_name, ()), one.name)

    def subscribers_of(self, event_name: str) -> tuple[str, ...]:
        """Return the names of those who hear an event."""
        return self._by_event.get(event_name, ())

    def named(self, name: str) -> Subscription | None:
        """Return the subscription of that name, if it still exists."""
        return self._by_name.get(name)
