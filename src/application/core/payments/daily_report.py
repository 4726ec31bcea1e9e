"""Count the payments of the business day that has ended; once more on a later run, once per day and not twice."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from application.core.kernel.ports import Clock
from application.core.payments.queries import DailyFiguresWriter
from domain.core.kernel.periods import BUSINESS_ZONE, business_date


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyReport:
    daily_figures: DailyFiguresWriter
    clock: Clock

    async def __call__(self, _: int) -> int:
        """Count yesterday and return 0: one day is the whole batch."""
        now = self.clock.now()
        day = business_date(now) - timedelta(days=1)
        since, until = day_bounds(day)
        await self.daily_figures.count(day, since=since, until=until, now=now)
        return 0


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """Return when a business day starts and ends, in UTC."""
    zone = ZoneInfo(BUSINESS_ZONE)
    start, end = (datetime.combine(one, time.min, zone) for one in (day, day + timedelta(days=1)))
    return start.astimezone(UTC), end.astimezone(UTC)
