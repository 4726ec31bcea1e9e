"""A request is answered in bounded time, whatever the database or a provider does."""

import asyncio
from typing import Any, Final

from domain.core.kernel.errors import Unavailable
from interface.http.edge.sending import send_refusal
from interface.http.edge.wire_types import App, Message, Receive, Scope, Send

WORKED_S_MAX: Final = 8.0
"""Seconds from the last byte of a request to the first of its reply. A transaction under way is ended within two more,
and clients wait ten."""

RETRY_AFTER_S: Final = 2


class TookTooLong(Unavailable):
    """This took too long and was given up; look whether it was done, or repeat it under the same Idempotency-Key."""


class Deadline:
    """Gives a request up that takes us too long, and answers 503. What a slow client takes does not count."""

    def __init__(self, app: App, *, seconds: float = WORKED_S_MAX) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        loop, deadline = asyncio.get_running_loop(), asyncio.timeout(self._seconds)
        has_begun = False

        async def receive_untimed() -> Any:
            _move(deadline, None)
            message = await receive()
            if not has_begun:
                _move(deadline, loop.time() + self._seconds)
            return message

        async def send_untimed(message: Message) -> None:
            nonlocal has_begun
            has_begun = True  # the rest takes as long as the client takes to read it
            _move(deadline, None)
            await send(message)

        try:
            async with deadline:
                await self._app(scope, receive_untimed, send_untimed)
        except TimeoutError:
            if not deadline.expired():
                raise
            await send_refusal(send, TookTooLong(retry_after_s=RETRY_AFTER_S))


def _move(deadline: asyncio.Timeout, at: float | None) -> None:
    """Set when a request is given up, unless it is being given up."""
    if not deadline.expired():
        deadline.reschedule(at)
