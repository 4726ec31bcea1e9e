"""Business days. Limits and reports count in the market's own time zone, whatever the server's clock shows."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

BUSINESS_ZONE = "Africa/Nairobi"
"""Default of the policy business.timezone; no summer time, UTC+3."""


def business_date(moment: datetime, zone: str = BUSINESS_ZONE) -> date:
    """Return the business day that an instant falls on."""
    assert moment.tzinfo is not None, "an instant has a zone"
    return moment.astimezone(ZoneInfo(zone)).date()


def next_business_midnight(moment: datetime, zone: str = BUSINESS_ZONE) -> datetime:
    """Return the UTC instant at which the business day after `moment` starts; daily limits reset then."""
    tomorrow = business_date(moment, zone) + timedelta(days=1)
    return datetime.combine(tomorrow, time.min, ZoneInfo(zone)).astimezone(UTC)
