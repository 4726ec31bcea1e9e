"""Show every job: its schedule, how its last run ended, and how far it is behind."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from application.core.kernel.ports import Clock, DeadMessage
from application.core.operations.ports import JobState, OperationsQueries, Timetable


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    name: str
    schedule: str
    state: JobState
    lag: timedelta
    """How long the oldest run that is due has been waiting; zero when nothing is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListJobs:
    queries: OperationsQueries
    timetable: Timetable
    clock: Clock

    async def dead_letters(self) -> Sequence[DeadMessage]:
        """Return the events that were given up, the longest dead first, 500 at most."""
        return await self.queries.dead_letters()

    async def __call__(self) -> list[JobView]:
        """Return all jobs in the order of their names."""
        now, states = self.clock.now(), await self.queries.job_states()
        found = []
        for name, schedule in self.timetable.all().items():
            state = states.get(name, JobState())
            lag = _waited(state.waiting_since, now)
            found.append(JobView(name=name, schedule=schedule.text, state=state, lag=lag))
        return found


def _waited(since: datetime | None, now: datetime) -> timedelta:
    return timedelta(0) if since is None else max(now - since, timedelta(0))
