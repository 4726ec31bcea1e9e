"""Tell whether this process can serve: what it needs is looked at, all at once, for two and a half seconds at most."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Protocol, runtime_checkable

from application.core.kernel.ports import Clock

CHECK_S_MAX = 2.5
"""A little longer than a request waits for a connection, so that a check can say that there was none."""

LATE = timedelta(minutes=1)
"""A message that has been due for longer says that no worker runs, or that too few do."""

SILENT = timedelta(minutes=3)


class NotHealthy(Exception):
    """What was looked at answers, but not as it should; the message says how. It is shown to everybody."""


class HealthCheck(Protocol):
    """One thing to look at. Promises: raises when it cannot be used; what it says names no secret and no address."""

    @property
    def name(self) -> str: ...

    @property
    def is_needed(self) -> bool:
        """Whether nothing can be served without it."""
        ...

    async def check(self) -> str:
        """Return a word or two about how it is. Raises NotHealthy, or anything."""
        ...


class Draining:
    """Whether this process is about to stop: it still answers, and wants no new work."""

    name = "serving"
    is_needed = True

    def __init__(self) -> None:
        self.has_begun = False

    async def check(self) -> str:
        """Say that it serves. Raises NotHealthy."""
        if self.has_begun:
            raise NotHealthy("stopping")
        return "serving"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    name: str
    is_ok: bool
    is_needed: bool
    detail: str
    seconds: float


class Readiness(StrEnum):
    """Whether a process can serve."""

    OK = "ok"
    DEGRADED = "degraded"
    """It can, and something that is not needed is down."""
    DOWN = "down"

    @classmethod
    def of(cls, results: Sequence[CheckResult]) -> "Readiness":
        """Sum up what was looked at."""
        failed = [each for each in results if not each.is_ok]
        if any(each.is_needed for each in failed):
            return cls.DOWN
        return cls.DEGRADED if failed else cls.OK


@dataclass(slots=True, kw_only=True)
class ReadHealth:
    checks: Sequence[HealthCheck]
    elapsed: Callable[[], float] = time.monotonic

    _look: "asyncio.Task[list[CheckResult]] | None" = field(default=None, init=False)

    async def __call__(self) -> list[CheckResult]:
        """Return a result for each check, in their order.

        Everybody may ask, and is never refused. So who asks while somebody is looking is told what that one finds: any
        number who ask at once cost the database one look.
        """
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._look_at_all())
        return list(await asyncio.shield(self._look))

    async def _look_at_all(self) -> list[CheckResult]:
        return list(await asyncio.gather(*(self._result(check) for check in self.checks)))

    async def _result(self, check: HealthCheck) -> CheckResult:
        started_at, is_ok = self.elapsed(), False
        try:
            async with asyncio.timeout(CHECK_S_MAX):
                detail, is_ok = await check.check(), True
        except NotHealthy as error:
            detail = str(error)
        except TimeoutError:
            detail = "no answer in time"
        except Exception:
            detail = "cannot be used"
        seconds = self.elapsed() - started_at
        return CheckResult(name=check.name, is_ok=is_ok, is_needed=check.is_needed, detail=detail, seconds=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class VitalSigns:
    """Figures for monitoring, taken at one moment. Ages in seconds."""

    outbox_waiting: int
    outbox_dead: int
    outbox_oldest_s: float
    job_lag_s: Mapping[str, float]
    job_failures: Mapping[str, int]
    """Tries of the latest run that failed; none once it has ended well."""
    job_succeeded_s: Mapping[str, float]
    """How long ago a run ended well; a job that has none, or none that is kept, is not in it."""
    last_job_started_s: float | None
    """None when no job ever ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UndecidedPayments:
    """Payments of one gateway of which nobody knows yet how they ended."""

    gateway: str
    count: int
    oldest_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSigns:
    """Figures about money that waits for somebody; each count stops at 10,000."""

    undecided: Sequence[UndecidedPayments]
    cases_open: int
    ledger_alarms_open: int


@runtime_checkable  # the framework looks at what it hands to a controller
class Vitals(Protocol):
    """Reads the vital signs."""

    async def read(self) -> VitalSigns:
        """Return the figures. Raises Unavailable."""
        ...

    async def payments(self) -> PaymentSigns:
        """Return the figures about money. Raises Unavailable."""
        ...


class WorkerCheck:
    """Whether somebody delivers events and runs jobs; there are jobs that run every minute.

    The rule: nothing counts as waiting or silent for longer than this process has been up. What was left by a server
    that stood still all night says nothing about the workers that have just started beside us.
    """

    name = "worker"
    is_needed = False

    def __init__(self, vitals: Vitals, clock: Clock) -> None:
        self._vitals = vitals
        self._clock = clock
        self._up_since = clock.now()

    async def check(self) -> str:
        """Say how many messages wait. Raises NotHealthy, Unavailable."""
        signs = await self._vitals.read()
        up_s = (self._clock.now() - self._up_since).total_seconds()
        behind_s = min(signs.outbox_oldest_s, up_s)
        silent_s = up_s if signs.last_job_started_s is None else min(signs.last_job_started_s, up_s)
        if behind_s > LATE.total_seconds():
            raise NotHealthy(f"deliveries are behind by {behind_s:.0f} s")
        if silent_s > SILENT.total_seconds():
            raise NotHealthy(f"no job has run for {silent_s:.0f} s")
        return f"{signs.outbox_waiting} messages waiting"
