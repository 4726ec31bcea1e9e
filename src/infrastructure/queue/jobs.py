"""Plan what is due and run it: the row in `job_runs` says who runs what, and until when."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Protocol

import structlog

from application.core.kernel.ports import Clock, IdSource
from application.core.kernel.request_context import RequestContext, request_context
from application.core.kernel.tracing import NO_TRACING, Tracing
from application.core.operations.figures import Figures
from domain.core.kernel.errors import Unavailable
from domain.core.operations.schedule import Schedule
from infrastructure.postgres.core.job_runs import LEASE, PostgresJobRuns, Run
from infrastructure.queue.tries import kept_lease, said_by

PLAN_EVERY_S = 1.0
LOOK_EVERY_S = 1.0
BATCHES_MAX = 100
"""A run that has not come to its end after so many full batches leaves the rest to the next one."""

TRIES_MAX = 5
RETRY_FIRST = timedelta(seconds=5)
RETRY_LONGEST = timedelta(minutes=5)

_log = structlog.get_logger("soko.jobs")


class ScheduledJob(Protocol):
    """A job as the timetable lists it."""

    @property
    def name(self) -> str: ...

    @property
    def schedule(self) -> Schedule: ...

    @property
    def run(self) -> Callable[[int], Awaitable[int]]: ...

    @property
    def batch_max(self) -> int: ...


class Scheduler:
    """Writes down which runs are due. Any number may run at once; missed runs collapse into one."""

    def __init__(self, runs: PostgresJobRuns, clock: Clock, jobs: Sequence[ScheduledJob]) -> None:
        self._runs = runs
        self._clock = clock
        self._jobs = jobs

    async def run(self, stop: asyncio.Event) -> None:
        """Plan until stopped. Raises DatabaseUnavailable."""
        while not stop.is_set():
            await self.plan_due()
            await _wait(stop, PLAN_EVERY_S)

    async def plan_due(self) -> list[str]:
        """Write down what is due now, and return the names of the jobs for which that was new."""
        now = self._clock.now()
        return await self._runs.plan({job.name: job.schedule.latest_due(now) for job in self._jobs})


class JobRunner:
    """Runs what was planned, one run at a time; start several for more at once."""

    def __init__(
        self,
        runs: PostgresJobRuns,
        ids: IdSource,
        jobs: Sequence[ScheduledJob],
        *,
        figures: Figures | None = None,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._runs = runs
        self._ids = ids
        self._figures = figures or Figures()
        self._tracing = tracing
        self._jobs: Mapping[str, ScheduledJob] = {job.name: job for job in jobs}
        self._names = list(self._jobs)

    async def run(self, stop: asyncio.Event) -> None:
        """Run jobs until stopped. Raises DatabaseUnavailable."""
        while not stop.is_set():
            if not await self.run_one(stop):
                await _wait(stop, LOOK_EVERY_S)

    async def run_one(self, stop: asyncio.Event | None = None) -> bool:
        """Run what has waited longest, if anything is due, and tell whether there was something."""
        run = await self._runs.take(self._names)
        if run is None:
            return False
        job = self._jobs[run.job]
        trace_id = run.trace_id or self._ids.new().hex
        begun = self._tracing.span(f"run {run.job}", trace_id=trace_id)
        with begun as span, request_context(RequestContext(trace_id=trace_id, span_id=span.id)):
            try:
                async with kept_lease(partial(self._runs.renew, run), life=LEASE):
                    with self._figures.timed(self._figures.run_times, run.job):
                        handled = await self._all_batches(job, stop)
            except Exception as error:
                span.failed(type(error).__name__)
                self._figures.runs[run.job, "failed"] += 1
                await self._failed(run, error)
            else:
                self._figures.runs[run.job, "done"] += 1
                await self._runs.finish(run, handled)
                if handled:
                    _log.info("job_done", job=job.name, handled=handled)
        return True

    async def _all_batches(self, job: ScheduledJob, stop: asyncio.Event | None) -> int:
        total = 0
        for _ in range(BATCHES_MAX):
            handled = await job.run(job.batch_max)
            total += handled
            if handled < job.batch_max or (stop is not None and stop.is_set()):
                break
        return total

    async def _failed(self, run: Run, error: Exception) -> None:
        tries = run.failures + 1
        wait = None if tries >= TRIES_MAX else min(RETRY_FIRST * 2 ** (tries - 1), RETRY_LONGEST)
        if isinstance(error, Unavailable):
            _log.error("job_failed", job=run.job, tries=tries, reason=error.sentence)
        else:
            _log.error("job_failed", job=run.job, tries=tries, exc_info=error)
        await self._runs.fail(run, said_by(error), again_after=wait)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
