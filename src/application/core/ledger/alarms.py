"""Alarms about the books: what was found broken stays an alarm until a person closes it.

- While an alarm about somebody is open, he is paid out nothing (payments.payouts_frozen).
- Nothing is corrected by itself.
- The same finding is one alarm, however often it is found; closed and found again, it is a new one.
- Who is meant is the owner of the account, or everybody whose accounts a transfer touches. Nobody is where seals are
  late: that tells of the job that makes them, as after a night without workers, and of nobody's money.
- Freezing is audited as FREEZE_PAYOUTS, closing as CLOSE_ALARM with the reason.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from application.core.kernel.ports import AuditEntry, Clock, IdSource, UnitOfWork
from application.core.ledger.proof import Breach, Broken, LedgerBroken, ProveLedger
from domain.core.kernel.errors import NotFound
from domain.core.kernel.ids import AccountId

ALARMS_MAX = 500
"""Rows of a list: whatever broke so much is one cause."""

NOBODY: Sequence[AccountId | None] = (None,)

_log = logging.getLogger("soko.ledger")


class AlarmNotFound(NotFound):
    """No alarm is open under this id."""

    code = "ledger.alarm_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One thing that is broken; `owner` is who is not paid out because of it."""

    id: UUID
    breach: str
    name: str
    owner: AccountId | None
    detail: str
    found_at: datetime


class LedgerAlarms(Protocol):
    """Open alarms, in a unit of work."""

    async def owners(self, names: Collection[str]) -> Mapping[str, Sequence[AccountId]]:
        """Return who is meant by the names of accounts and transfers; a name that means nobody is not in it."""
        ...

    async def raise_new(self, alarms: Sequence[Alarm]) -> Sequence[Alarm]:
        """Store those that are not open yet, and return them."""
        ...

    async def close(self, alarm_id: UUID, *, by: AccountId | None, reason: str, now: datetime) -> Alarm | None:
        """Close one and return it; None where none is open under the id."""
        ...


class AlarmsUnitOfWork(UnitOfWork, Protocol):
    @property
    def ledger_alarms(self) -> LedgerAlarms: ...


class AlarmQueries(Protocol):
    """Reads open alarms."""

    async def open_alarms(self, rows_max: int) -> Sequence[Alarm]:
        """Return the oldest ones."""
        ...


class InvariantCheck(Protocol):
    """Something beside the books that must always hold."""

    async def broken(self) -> Sequence[Broken]:
        """Return what breaks it. It reads one consistent state and blocks nobody."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchLedger:
    """The proof of every five minutes: what is broken becomes an alarm, a line in the log, and a failed run."""

    prove_ledger: ProveLedger
    unit_of_work: Callable[[], AlarmsUnitOfWork]
    clock: Clock
    ids: IdSource
    checks: Sequence[InvariantCheck] = ()

    async def __call__(self, batch_max: int) -> int:
        """Return 0. Raises LedgerBroken, which fails the run where everybody looks."""
        proof = await self.prove_ledger()
        broken = [
            Broken(breach=Breach.SUM_DIFFERS, name=f"asset:{one.asset}", detail=f"{one.minor} minor units")
            for one in proof.assets
            if one.minor
        ]
        broken += proof.broken
        for check in self.checks:
            broken += await check.broken()
        if broken:
            await self._raise(broken)
            found = [f"{one.breach}: {one.name}: {one.detail}" for one in broken]
            _log.critical("ledger_broken", extra={"broken": found})
            raise LedgerBroken(f"broken {found}")
        return 0

    async def _raise(self, broken: Sequence[Broken]) -> None:
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            of_somebody = [one for one in broken if one.breach is not Breach.UNSEALED_TOO_LONG]
            owners = await uow.ledger_alarms.owners({one.name for one in of_somebody})
            meant = [(one, owner) for one in of_somebody for owner in (owners.get(one.name) or NOBODY)]
            meant += [(one, None) for one in broken if one.breach is Breach.UNSEALED_TOO_LONG]
            alarms = [
                Alarm(
                    id=self.ids.new(),
                    breach=one.breach.value,
                    name=one.name,
                    owner=owner,
                    detail=one.detail,
                    found_at=now,
                )
                for one, owner in meant
            ]
            for alarm in await uow.ledger_alarms.raise_new(alarms):
                if alarm.owner is not None:
                    uow.audit(
                        AuditEntry(
                            action="FREEZE_PAYOUTS",
                            target=f"account:{alarm.owner}",
                            after={"breach": alarm.breach, "name": alarm.name},
                            reason=alarm.detail,
                        )
                    )
            await uow.commit()


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseAlarm:
    """Say that an alarm is seen to; its owner is paid out again once none is left."""

    unit_of_work: Callable[[], AlarmsUnitOfWork]
    clock: Clock

    async def __call__(self, alarm_id: UUID, *, by: AccountId | None, reason: str) -> Alarm:
        """Return the alarm. Raises AlarmNotFound."""
        async with self.unit_of_work() as uow:
            alarm = await uow.ledger_alarms.close(alarm_id, by=by, reason=reason, now=self.clock.now())
            if alarm is None:
                raise AlarmNotFound
            uow.audit(
                AuditEntry(
                    action="CLOSE_ALARM",
                    target=f"alarm:{alarm_id}",
                    before={"breach": alarm.breach, "name": alarm.name},
                    reason=reason,
                )
            )
            await uow.commit()
        return alarm
