"""Show people their notices as they are written: on every socket all of them, in order, once.

A socket is a line with a place: the number up to which its notices were shown. A wake-up only says that there may be
more after it; what there is, is read from the database, for all lines that were woken at once. So it does not matter
whether a wake-up comes twice, late, or while the socket still connects, and none can show what was rolled back.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from application.core.identity.security import AccessClaims
from application.core.identity.socket_access import SocketAccess
from application.core.kernel.realtime import Realtime, person_topic
from application.core.notifications.queries import NoticeQueries, NoticeView, Place
from domain.core.kernel.errors import Unavailable

PLACES_AT_ONCE = 200
"""Places that one query reads from."""

NOTICES_AT_ONCE = 50
"""Notices of one line that one query reads; with the longest texts they are a fifth of what a socket may hold back."""


class Screen(Protocol):
    """What a line shows on. Its methods return at once, whoever is at the other end."""

    @property
    def is_clear(self) -> bool:
        """Whether all that was shown has been taken off our hands."""
        ...

    def show(self, notices: Sequence[NoticeView]) -> None:
        """Show notices, in their order."""
        ...

    def sign_out(self) -> None:
        """Show nothing more, and say that the access has ended."""
        ...


class Line:
    """One socket that follows a person's notices."""

    __slots__ = ("_live", "claims", "is_behind", "place", "screen")

    def __init__(self, live: "LiveNotices", claims: AccessClaims, screen: Screen) -> None:
        self._live = live
        self.claims = claims
        self.screen = screen
        self.place = Place(claims.account_id, 0)
        self.is_behind = False
        """Whether there is more than was read at once: the rest waits until the screen is clear."""

    def woken(self) -> None:
        """Look for more, soon."""
        self._live.look_for(self)

    def cleared(self) -> None:
        """Go on with what waited for the screen to be clear."""
        if self.is_behind:
            self._live.look_for(self)


class LiveNotices:
    """The lines of one process. `run`, `check_access` and `catch_up` are its loops."""

    def __init__(self, *, realtime: Realtime, notices: NoticeQueries, access: SocketAccess) -> None:
        self._realtime = realtime
        self._notices = notices
        self._access = access
        self._lines: set[Line] = set()
        self._due: dict[Line, None] = {}  # in the order in which they were woken
        self._has_due = asyncio.Event()

    @asynccontextmanager
    async def line(self, claims: AccessClaims, screen: Screen, *, after: int | None) -> AsyncIterator[Line]:
        """Have a line inside the block that shows what comes after a number; without one, what is new from now on.

        `Line.place` is where it begins. Nothing is shown before `Line.woken` was called. Raises Unavailable.
        """
        line = Line(self, claims, screen)
        last = (await self._notices.last_numbers({claims.account_id}))[claims.account_id]
        line.place = Place(claims.account_id, last if after is None else min(after, last))
        leave = self._realtime.follow(person_topic(claims.account_id), line.woken)
        self._lines.add(line)
        try:
            yield line
        finally:
            leave()
            self._lines.discard(line)
            self._due.pop(line, None)

    def look_for(self, line: Line) -> None:
        """Read what comes after the place of a line, soon."""
        if line in self._lines:
            self._due[line] = None
            self._has_due.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Read for the lines that are woken, until stopped. Raises Unavailable."""
        stopping = asyncio.create_task(self._wake_at(stop))
        try:
            while not stop.is_set():
                await self._has_due.wait()
                await self.show_due()
        finally:
            stopping.cancel()

    async def show_due(self) -> None:
        """Read for the lines that were woken, and show them what there is. Raises Unavailable."""
        self._has_due.clear()
        while batch := self._take_due():
            try:
                found = await self._notices.following({line.place for line in batch}, each_max=NOTICES_AT_ONCE)
            except BaseException:
                for line in batch:
                    self.look_for(line)
                raise
            for line in batch:
                if line in self._lines:
                    self._show(line, found.get(line.place, ()))

    async def check_access(self) -> None:
        """End the lines whose access has ended, and look again for those that could not be asked about."""
        for line in tuple(self._lines):
            try:
                if self._access.has_ended(line.claims):
                    self._end(line)
                elif line in self._due:
                    self._has_due.set()
            except Unavailable:
                return  # nobody knows; until somebody does, nothing is shown

    async def catch_up(self) -> None:
        """Look for what no wake-up told of: a process may die between commit and wake-up. Raises Unavailable."""
        people = {line.place.person for line in self._lines}
        if not people:
            return
        last = await self._notices.last_numbers(people)
        for line in self._lines:
            if last.get(line.place.person, 0) > line.place.after:
                self.look_for(line)

    def _take_due(self) -> list[Line]:
        """Take as many lines as one query reads for; who is woken from here on is due again."""
        taken, places = list[Line](), set[Place]()
        for line in tuple(self._due):
            if len(places) == PLACES_AT_ONCE:
                break
            if self._may_read(line):
                del self._due[line]
                taken.append(line)
                places.add(line.place)
        return taken

    def _may_read(self, line: Line) -> bool:
        """Tell whether to read for a line now, and end it if its access has ended."""
        if line.is_behind and not line.screen.is_clear:
            return False
        try:
            if not self._access.has_ended(line.claims):
                return True
            self._end(line)
        except Unavailable:
            pass
        return False

    def _show(self, line: Line, notices: Sequence[NoticeView]) -> None:
        line.is_behind = len(notices) == NOTICES_AT_ONCE
        if notices:
            line.place = Place(line.place.person, notices[-1].seq)
            line.screen.show(notices)
        if line.is_behind:
            self.look_for(line)

    def _end(self, line: Line) -> None:
        self._lines.discard(line)
        self._due.pop(line, None)
        line.screen.sign_out()

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._has_due.set()
