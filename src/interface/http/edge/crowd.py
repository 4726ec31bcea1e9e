"""More requests than we can serve are refused at once, so that those we serve are served in time."""

import re
from math import inf
from typing import Any, Final

from domain.core.kernel.errors import Unavailable
from interface.http.edge.sending import send_refusal
from interface.http.edge.wire_types import App, Message, Receive, Scope, Send

AT_ONCE_MAX: Final = 256
"""Requests that one process works on at once, where nobody says how many connections it has."""

RETRY_AFTER_S: Final = 1

WATCHERS: Final = re.compile(r"/(health/|metrics/?$)", re.ASCII)
"""Who asks how we are is let in always."""

READING: Final = frozenset({"GET", "HEAD"})

PROVIDERS: Final = re.compile(r"/api/payments/((\w+/)?callback/?$|daraja/)", re.ASCII)
"""They tell of money, and would tell it again to a server that is just as busy. Strangers can send there as well, so
there are as many places more, and not more than that."""


class TooManyAtOnce(Unavailable):
    """The server has more to do than it can; try again in a moment."""


class Crowd:
    """Counts the requests that are worked on, and refuses what is too many.

    A client who is slow to send or to read takes no place: nobody can keep others out by being slow. Nor does anybody
    get in by it: whether there is a place is asked again when all of a slow request has come.
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
        places = self._places(scope)
        if self.worked_on >= places:
            await send_refusal(send, TooManyAtOnce(retry_after_s=RETRY_AFTER_S))
            return
        has_begun = False

        async def receive_aside() -> Any:
            self.worked_on -= 1
            try:
                message = await receive()
            finally:
                self.worked_on += 1
            is_whole = message["type"] == "http.request" and not message.get("more_body")
            if is_whole and not has_begun and self.worked_on > places:
                raise TooManyAtOnce(retry_after_s=RETRY_AFTER_S)
            return message

        async def send_aside(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            self.worked_on -= 1
            try:
                await send(message)
            finally:
                self.worked_on += 1

        self.worked_on += 1
        try:
            await self._app(scope, receive_aside, send_aside)
        except TooManyAtOnce as refusal:
            await send_refusal(send, refusal)
        finally:
            self.worked_on -= 1

    def _places(self, scope: Scope) -> float:
        path = scope["path"]
        if PROVIDERS.match(path):
            return 2 * self._at_once_max
        # only to read: a body or a key sent there costs what it costs anywhere
        return inf if WATCHERS.match(path) and scope["method"] in READING else self._at_once_max
