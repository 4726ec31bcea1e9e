"""What was revoked lately, followed from memory."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, select

from application.core.identity.security import AccessClaims
from application.core.kernel.ports import Clock
from application.core.kernel.realtime import Realtime
from domain.core.identity.policies import ACCESS_LIFE_MAX_MIN
from domain.core.kernel.errors import Unavailable
from domain.core.kernel.ids import AccountId
from infrastructure.postgres.core.identity_tables import access_revocations
from infrastructure.postgres.database import Database
from infrastructure.postgres.statements import Statement

STALE_AFTER_S = 5.0
"""identity.access_follows_account: older knowledge than this lets nobody in."""

REFRESH_S = 1.0
"""How often the rows are read at least, whatever becomes of wake-ups."""

SPACING_S = 0.2
"""How long each reading is followed by none, however often something is revoked."""

TOPIC = "revocations"

OVERLAP = timedelta(minutes=2)
"""Rows are stamped before they commit, and by other machines' clocks; each refresh looks back this far again."""

REMEMBERED = timedelta(minutes=ACCESS_LIFE_MAX_MIN)
"""No access token lives longer."""

_AFTER_ITS_TIME = (1 << 80) - 1
"""Of an id, the bits behind its milliseconds."""

_R = access_revocations.c
_SINCE = Statement(
    select(_R.id, _R.family_id, _R.account_id, _R.before_epoch, _R.created_at)
    .where(_R.created_at > bindparam("since"))
    .order_by(_R.created_at)
)


def every_family_until(at: datetime) -> UUID:
    """Return what stands for all sign-ins that began up to a time, where a revocation names a family.

    Their ids begin with the milliseconds of their time and are not greater than this; it is nobody's own.
    """
    return UUID(int=int(at.timestamp() * 1000) << 80 | _AFTER_ITS_TIME)


class PostgresRevocations:
    """Follows `access_revocations` while `run` runs: each second, and sooner when a process says that it has revoked.

    What it says carries nothing: whoever could speak on that line could make us read, and could let nobody in or out.

    `elapsed` counts seconds and never jumps: how old our knowledge is does not depend on anybody's clock.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        realtime: Realtime | None = None,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._realtime = realtime
        self._is_told = asyncio.Event()
        self._clock = clock
        self._elapsed = elapsed
        self._families: dict[UUID, datetime] = {}
        self._all_until = UUID(int=0)
        self._epochs: dict[AccountId, tuple[int, datetime]] = {}
        self._followed_at: float | None = None
        self._since: datetime | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Refresh until stopped. Raises Unavailable; then it has to be run again."""
        leave = self._realtime.follow(TOPIC, self._is_told.set) if self._realtime else None
        stopping = asyncio.create_task(self._tell_at(stop))
        try:
            while not stop.is_set():
                self._is_told.clear()
                await self.refresh()
                await asyncio.sleep(SPACING_S)
                with suppress(TimeoutError):
                    async with asyncio.timeout(REFRESH_S - SPACING_S):
                        await self._is_told.wait()
        finally:
            stopping.cancel()
            if leave is not None:
                leave()

    async def refresh(self) -> None:
        """Read what was revoked since the last time. Raises Unavailable."""
        asked_at, now = self._elapsed(), self._clock.now()
        since = now - REMEMBERED if self._since is None else self._since - OVERLAP
        async with self._database.connection() as connection:
            rows = await _SINCE.fetch(connection, since=since)
        for row in rows:
            family_id = row["family_id"]
            if family_id is not None and family_id.int & _AFTER_ITS_TIME == _AFTER_ITS_TIME:
                self._all_until = max(self._all_until, family_id)
            elif family_id is not None:
                self._families[family_id] = row["created_at"]
            else:
                self._remember_epoch(AccountId(row["account_id"]), row["before_epoch"], row["created_at"])
        self._followed_at, self._since = asked_at, now
        self._forget(before=now - REMEMBERED)

    def covers(self, claims: AccessClaims) -> bool:
        if self._followed_at is None or self._elapsed() - self._followed_at > STALE_AFTER_S:
            raise Unavailable(retry_after_s=1)
        if claims.family_id in self._families or claims.family_id <= self._all_until:
            return True
        ended = self._epochs.get(claims.account_id)
        return ended is not None and claims.epoch < ended[0]

    def family_ended(self, family_id: UUID) -> None:
        self._families[family_id] = self._clock.now()
        self._tell()

    def epochs_ended(self, account_id: AccountId, *, before: int) -> None:
        self._remember_epoch(account_id, before, self._clock.now())
        self._tell()

    def _tell(self) -> None:
        if self._realtime is not None:
            self._realtime.publish([TOPIC])

    async def _tell_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._is_told.set()

    def _remember_epoch(self, account_id: AccountId, before: int, at: datetime) -> None:
        known = self._epochs.get(account_id)
        if known is None or known[0] < before:
            self._epochs[account_id] = before, at

    def _forget(self, *, before: datetime) -> None:
        # both are in the order in which they were learned, near enough for stopping at the first that is young
        for family_id, at in list(self._families.items()):
            if at > before:
                break
            del self._families[family_id]
        for account_id, (_, at) in list(self._epochs.items()):
            if at > before:
                break
            del self._epochs[account_id]
