"""Count the payments of the business days that have ended: each has its own report, also when the server was down for
some of them (rule jobs.twice_is_once). Counting a day once more replaces its figures.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from application.core.kernel.ports import Clock
from application.core.payments.queries import DailyFiguresWriter
from domain.core.kernel.periods import BUSINESS_ZONE, business_date

DAYS_BACK_MAX: Final = 31
"""A longer pause is made up for no further."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyReport:
    daily_figures: DailyFiguresWriter
    clock: Clock

    async def __call__(self, _: int) -> int:
        """Count every day since the last one that has figures, and that one again; return 0: it is the whole batch."""
        now = self.clock.now()
        yesterday = business_date(now) - timedelta(days=1)
        earliest = yesterday - timedelta(days=DAYS_BACK_MAX - 1)
        last = await self.daily_figures.last_day()
        day = earliest if last is None else min(max(last, earliest), yesterday)
        while day <= yesterday:
            since, until = day_bounds(day)
            await self.daily_figures.count(day, since=since, until=until, now=now)
            day += timedelta(days=1)
        return 0


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """Return when a business day starts and ends, in UTC."""
    zone = ZoneInfo(BUSINESS_ZONE)
    start, end = (datetime.combine(one, time.min, zone) for one in (day, day + timedelta(days=1)))
    return start.astimezone(UTC), end.astimezone(UTC)
