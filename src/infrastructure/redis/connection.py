"""How Redis is spoken to: every answer has a deadline, nothing is asked twice, and what fails is for the caller.

The library's defaults wait 5 s and try ten times more, which is longer than a request may take.
"""

import asyncio
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

AWAY = (RedisError, OSError)
"""What is raised when Redis cannot be reached, is late, is full, or is just starting; TimeoutError is an OSError."""

PREFIX = "soko:"
"""Begins the name of every key and channel."""


def raise_if_cancelled() -> None:
    """Raise CancelledError where this task was cancelled: the library may swallow that, or take it for a lost line."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def line_settings(within_s: float) -> dict[str, Any]:
    """Return how to connect so that connecting, and each answer, takes so long at most."""
    return {
        "socket_timeout": within_s,
        "socket_connect_timeout": within_s,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }


def open_redis(url: str, *, within_s: float) -> Redis:
    """Return a client that connects when it is first used."""
    return Redis.from_url(url, **line_settings(within_s))
