"""When the clock starts a job. Days begin where the market is, instants are UTC."""

from calendar import day_name
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from domain.core.kernel.errors import Conflict, NotFound
from domain.core.kernel.periods import BUSINESS_ZONE

DAYS_IN_WEEK = 7
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class JobNotFound(NotFound):
    """There is no job of that name."""

    code = "operations.job_not_found"


class RunDueAlready(Conflict):
    """A run of this job is due at this very moment already."""

    code = "operations.run_due_already"


@dataclass(frozen=True, slots=True)
class Schedule:
    """Every so often, or once a business day, or on one day of the week, at a time of that day."""

    every: timedelta | None = None
    daily_at: time | None = None
    weekday: int | None = None
    """1 is Monday, 7 Sunday (ISO 8601); None: every day."""

    def __post_init__(self) -> None:
        assert (self.every is None) != (self.daily_at is None), "a job has one schedule"
        assert self.weekday is None or (self.daily_at is not None and 1 <= self.weekday <= DAYS_IN_WEEK)

    def latest_due(self, now: datetime) -> datetime:
        """Return the last instant, now included, at which the job was due; missed ones before it do not count."""
        if self.every is not None:
            return _EPOCH + (now - _EPOCH) // self.every * self.every
        assert self.daily_at is not None
        local = now.astimezone(ZoneInfo(BUSINESS_ZONE))
        back = 0 if self.weekday is None else (local.isoweekday() - self.weekday) % DAYS_IN_WEEK
        due = datetime.combine(local.date() - timedelta(days=back), self.daily_at, local.tzinfo)
        period = timedelta(days=1 if self.weekday is None else DAYS_IN_WEEK)
        return (due if due <= local else due - period).astimezone(UTC)

    @property
    def text(self) -> str:
        """The schedule for a person: `every 30 s`, `daily 04:00`, `Sunday 03:00`."""
        if self.weekday is not None:
            return f"{day_name[self.weekday - 1]} {self.daily_at:%H:%M}"
        if self.daily_at is not None:
            return f"daily {self.daily_at:%H:%M}"
        assert self.every is not None
        seconds = round(self.every.total_seconds())
        for unit, size in (("h", 3600), ("min", 60)):
            if seconds % size == 0:
                return f"every {seconds // size} {unit}"
        return f"every {seconds} s"
