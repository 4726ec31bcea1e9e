"""When a channel that failed is tried again (rule notifications.channel_failure_is_local)."""

from datetime import datetime, timedelta

DELAYS = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=12),
)


def next_try(attempt: int, *, now: datetime) -> datetime | None:
    """Return when to try again after the given attempt failed (the first is 1), None when it was the last."""
    return now + DELAYS[attempt - 1] if attempt <= len(DELAYS) else None
