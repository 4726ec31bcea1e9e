"""When jobs are due, by the clock of the market: Nairobi, three hours ahead of UTC all year."""

from datetime import UTC, datetime, time, timedelta

import pytest

from domain.core.operations.schedule import Schedule

SUNDAY = 7
SECOND = timedelta(seconds=1)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (at(2, 8), at(2, 8)),
        (at(2, 8) + SECOND, at(2, 8)),
        (at(2, 8, 5) - SECOND, at(2, 8)),
        (at(2, 8, 5), at(2, 8, 5)),
    ],
)
def test_every_five_minutes_is_by_the_full_five_minutes(now: datetime, due: datetime) -> None:
    assert Schedule(timedelta(minutes=5)).latest_due(now) == due


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (at(2, 0), at(2, 0)),  # 03:00 in Nairobi
        (at(2, 0) - SECOND, at(1, 0)),
        (at(2, 23, 59), at(2, 0)),
    ],
)
def test_daily_is_by_the_business_day(now: datetime, due: datetime) -> None:
    assert Schedule(daily_at=time(3)).latest_due(now) == due


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (at(1, 0), at(1, 0)),  # Sunday, 2026-03-01, 03:00 in Nairobi
        (at(1, 0) - SECOND, datetime(2026, 2, 22, tzinfo=UTC)),
        (at(7, 23, 59), at(1, 0)),  # Sunday already in Nairobi, and not yet 03:00
        (at(8, 0), at(8, 0)),
    ],
)
def test_weekly_is_on_that_day_of_the_business_week(now: datetime, due: datetime) -> None:
    assert Schedule(daily_at=time(3), weekday=SUNDAY).latest_due(now) == due


def test_a_schedule_can_be_read() -> None:
    schedules = [Schedule(timedelta(minutes=5)), Schedule(daily_at=time(3)), Schedule(daily_at=time(3), weekday=SUNDAY)]
    assert [one.text for one in schedules] == ["every 5 min", "daily 03:00", "Sunday 03:00"]
