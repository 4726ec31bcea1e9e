"""What a process counts of itself while it works: plain numbers, for whoever shows them.

Everything here is added to by the one thread of the event loop, so nothing is locked: counting a request costs less
than a microsecond.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeAlias

BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper edges of the histograms: around what a short request takes, and around the limits that it must not pass."""

SERIES_MAX: Final = 5_000
"""Label sets that one histogram keeps; what comes after is not counted, so that nobody can fill the memory."""

Labels: TypeAlias = tuple[str, ...]


class Timing:
    """How often something happened and how long it took. Times in seconds."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        """By bucket, not added up; the last one is beyond every edge."""
        self.sum_s = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.sum_s += seconds


class Timings(dict[Labels, Timing]):
    """Timings by their labels, made when they are first asked for."""

    def __missing__(self, labels: Labels) -> Timing:
        timing = Timing()
        if len(self) < SERIES_MAX:
            self[labels] = timing
        return timing


@dataclass(slots=True)
class Figures:
    """The figures of one process since it started. Labels are words of our own: never an id, never what was sent."""

    replies: Counter[Labels] = field(default_factory=Counter)
    """By method, route and status."""
    reply_times: Timings = field(default_factory=Timings)
    """By method and route."""
    refusals: Counter[Labels] = field(default_factory=Counter)
    """By the code of the problem document."""
    in_flight: int = 0
    sockets: Counter[Labels] = field(default_factory=Counter)
    """Open ones, by route."""
    wakes: int = 0
    """Topics that commits woke sockets of."""
    deliveries: Counter[Labels] = field(default_factory=Counter)
    """Of the outbox, by event and outcome."""
    delivery_times: Timings = field(default_factory=Timings)
    """From the commit of an event to its effect, by event."""
    runs: Counter[Labels] = field(default_factory=Counter)
    """Of jobs, by job and outcome."""
    run_times: Timings = field(default_factory=Timings)
    """By job."""
    provider_calls: Counter[Labels] = field(default_factory=Counter)
    """By provider and outcome."""
    provider_times: Timings = field(default_factory=Timings)
    """By provider."""
    circuits: dict[str, Callable[[], bool]] = field(default_factory=dict)
    """Tells of each provider whether its circuit is open now."""
    elapsed: Callable[[], float] = time.perf_counter

    @contextmanager
    def timed(self, times: Timings, *labels: str) -> Iterator[None]:
        """Time the block."""
        started_at = self.elapsed()
        try:
            yield
        finally:
            times[labels].observe(self.elapsed() - started_at)
