"""Take what is due from the outbox and hand it to the broker, for ever."""

import asyncio
import contextlib
from typing import Protocol

from domain.core.kernel.errors import Unavailable
from infrastructure.postgres.core.outbox import Message, PostgresOutbox

POLL_S = 0.1
"""How long a message waits at most that another process wrote, or that is due again."""


class BrokerAway(Unavailable):
    """The broker did not take a message."""


class DeliveryBroker(Protocol):
    """Carries messages from the relay to whoever delivers, or no more than their ids. Promises: each call returns or
    fails soon, and one that fails has waited a moment; a message may get lost or doubled.
    """

    @property
    def room(self) -> int:
        """How many more it takes now."""
        ...

    async def send(self, message: Message) -> None:
        """Take a message. Raises BrokerAway."""
        ...

    async def wait_for_room(self) -> None:
        """Return once there is room, or, where that takes long, without."""
        ...


class OutboxRelay:
    """Many relays may run, in any number of processes: each message is leased to one at a time.

    `written` is set by units of work of this process that have committed messages, so that those wait for no poll.
    """

    def __init__(self, outbox: PostgresOutbox, broker: DeliveryBroker, *, written: asyncio.Event) -> None:
        self._outbox = outbox
        self._broker = broker
        self._written = written

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until stopped. Raises DatabaseUnavailable."""
        while not stop.is_set():
            self._written.clear()
            if await self.relay_due() == 0:
                await _first(stop, self._written, timeout_s=POLL_S)

    async def relay_due(self) -> int:
        """Hand on as many due messages as the broker has room for, and return how many. Raises DatabaseUnavailable.

        While the broker is away nothing is taken, and what it refuses is given back: only what was on its way to a
        worker counts as attempted.
        """
        await self._broker.wait_for_room()
        room = self._broker.room
        taken = await self._outbox.take(room) if room > 0 else []
        for sent, message in enumerate(taken):
            try:
                await self._broker.send(message)
            except BrokerAway:
                await self._outbox.give_back([each.delivery.id for each in taken[sent:]])
                return sent
        return len(taken)


async def _first(*events: asyncio.Event, timeout_s: float) -> None:
    """Return when one of the events is set or the time is over."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*waiting, return_exceptions=True)
