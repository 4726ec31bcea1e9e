"""More requests than we can serve are refused at once, so that those we serve are served in time."""

import re
from typing import Any, Final

from domain.core.kernel.errors import Unavailable
from interface.http.edge.sending import send_refusal
from interface.http.edge.wire_types import App, Message, Receive, Scope, Send

AT_ONCE_MAX: Final = 256
"""Requests that one process works on at once, where nobody says how many connections it has."""

RETRY_AFTER_S: Final = 1

ALWAYS: Final = re.compile(r"/(health/|metrics/?$|api/payments/(\w+/)?callback/?$|api/payments/daraja/)", re.ASCII)
"""Who watches us, and the providers: they tell of money, and would tell it again to a server that is just as busy."""


class TooManyAtOnce(Unavailable):
    """The server has more to do than it can; try again in a moment."""


class Crowd:
    """Counts the requests that are worked on, and refuses what is too many.

    A client who is slow to send or to read takes no place: nobody can keep others out by being slow.
    """

    def __init__(self, app: App, *, at_once_max: int = AT_ONCE_MAX) -> None:
        self._app = app
        self._at_once_max = at_once_max
        self.worked_on = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self.worked_on >= self._at_once_max and ALWAYS.match(scope["path"]) is None:
            await send_refusal(send, TooManyAtOnce(retry_after_s=RETRY_AFTER_S))
            return

        async def receive_aside() -> Any:
            self.worked_on -= 1
            try:
                return await receive()
            finally:
                self.worked_on += 1

        async def send_aside(message: Message) -> None:
            self.worked_on -= 1
            try:
                await send(message)
            finally:
                self.worked_on += 1

        self.worked_on += 1
        try:
            await self._app(scope, receive_aside, send_aside)
        finally:
            self.worked_on -= 1
