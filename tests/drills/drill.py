"""What every drill has: a name, a size, what it measured against which goal, and the oracle's verdict."""

import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.drills.journal import Journal
from tests.drills.verdict import Broken

NOTES_MAX: Final = 10
SLOWEST_NAMED: Final = 3
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")

SMALL: Final = 0.1
"""The size of a drill inside the tests; 1 is what `make drill` runs."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure against its goal."""

    what: str
    found: float
    goal: float
    is_floor: bool = False
    """Whether the figure must reach the goal; else it must not exceed it."""
    unit: str = ""

    @property
    def is_met(self) -> bool:
        return self.found >= self.goal if self.is_floor else self.found <= self.goal

    def __str__(self) -> str:
        sign = "\N{GREATER-THAN OR EQUAL TO}" if self.is_floor else "\N{LESS-THAN OR EQUAL TO}"
        return f"{self.what}: {_short(self.found)} {sign} {_short(self.goal)}{self.unit and ' ' + self.unit}"


@dataclass(slots=True)
class Result:
    """What came of one drill."""

    size: str
    measures: list[Measure] = field(default_factory=list)
    broken: Broken = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What helps to find out why a goal was missed."""

    def measure(self, what: str, found: float, goal: float, unit: str = "", *, is_floor: bool = False) -> None:
        """Add a figure."""
        self.measures.append(Measure(what, found, goal, is_floor, unit))

    def measure_clients(self, journal: Journal, logs: Mapping[str, bytes]) -> None:
        """Add what no client may see, whatever the fault; the logs tell where it came from."""
        broken = journal.broken()
        self.measure("mistakes of ours (500, 503 without Retry-After)", len(broken), 0)
        said = Counter(f"{reply.status} {reply.code} {_ID.sub('*', reply.route)}" for reply in broken)
        self.notes += [f"{times} times {what}" for what, times in said.most_common(NOTES_MAX)]
        slowest = sorted(journal.replies, key=lambda reply: -reply.took_s)[:SLOWEST_NAMED]
        self.notes += [f"{reply.took_s:.1f} s for {reply.status} {reply.code} {reply.route}" for reply in slowest]
        failed = Counter(failure for log in logs.values() for failure in _failures_in(log))
        self.notes += [f"{times} times in the logs: {what}" for what, times in failed.most_common(NOTES_MAX)]
        self.measure("keys in progress for over 60 s", len(journal.stuck()), 0)

    @property
    def failures(self) -> list[str]:
        """Return a line for each goal that was missed and each rule that was broken."""
        missed = [f"missed: {measure}" for measure in self.measures if not measure.is_met]
        return missed + [
            f"{rule}: {len(names)}: {'; '.join(names[:5])[:400]}" for rule, names in sorted(self.broken.items())
        ]


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill; `run` takes the seed and the size, 1.0 for the whole."""

    name: str
    about: str
    run: Callable[[int, float], Awaitable[Result]]


def _failures_in(log: bytes) -> Iterator[str]:
    """Yield what requests failed of, and where that was raised."""
    for line in log.splitlines():
        if b'"request_failed"' in line:
            told = str(json.loads(line).get("exception", "")).strip().splitlines()
            raised_at = next((each.strip() for each in reversed(told) if each.lstrip().startswith("File ")), "")
            yield f"{told[-1] if told else ''} {raised_at}"


def _short(number: float) -> str:
    return f"{number:.0f}" if float(number).is_integer() else f"{number:.2f}"
