"""What clients know about what they asked for: done, refused, or unknown, as in Jepsen's histories."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Kind(StrEnum):
    """The operations that have an effect which the oracle can find again."""

    TOP_UP = "top up"
    PLAN = "buy a plan"
    POST = "post a task"
    CANCEL = "cancel a task"
    APPROVE = "approve a task"
    REJECT = "reject a task"
    CLAIM = "claim"
    SUBMIT = "submit"
    RELEASE = "approve the work"
    WITHDRAW = "withdraw"
    PAY_OUT = "approve a withdrawal"


STUCK_AFTER_S: Final = 60.0


@dataclass(slots=True, kw_only=True)
class Entry:
    """One operation under one key, over all its tries."""

    key: str
    kind: Kind
    owner: str
    """The account that asked."""
    marker: str
    """What the effect is recognised by in the books."""
    outcome: Outcome = Outcome.UNKNOWN
    status: int = 0
    code: str = ""
    is_reply_lost: bool = False
    tries: int = 0
    in_progress_s: float = 0.0
    """How long repeats were answered 409 kernel.key_in_progress."""


@dataclass(slots=True)
class Reply:
    """One try as its client saw it. Times in seconds, `at` on the clock of the event loop."""

    at: float
    took_s: float
    status: int
    """0 where there was no reply."""
    has_retry_after: bool = False
    code: str = ""
    route: str = ""


@dataclass(slots=True)
class Journal:
    """What all clients of one drill saw."""

    entries: list[Entry] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    error_bodies: list[bytes] = field(default_factory=list)

    def begin(self, entry: Entry) -> Entry:
        """Write an operation down before it is sent."""
        self.entries.append(entry)
        return entry

    def outcomes(self) -> Counter[Outcome]:
        return Counter(entry.outcome for entry in self.entries)

    def stuck(self) -> list[Entry]:
        """Return the operations whose key was in progress for longer than a minute."""
        return [entry for entry in self.entries if entry.in_progress_s > STUCK_AFTER_S]

    def broken(self) -> list[Reply]:
        """Return the replies that say a mistake of ours, and the 503s without a Retry-After."""
        return [
            reply
            for reply in self.replies
            if reply.status in {500, 502, 504} or (reply.status == 503 and not reply.has_retry_after)
        ]

    def gap_s(self, at: float) -> float:
        """Return how long after a moment the first request was answered that was sent after it; in seconds."""
        return min(
            (reply.at + reply.took_s - at for reply in self.replies if reply.at > at and 200 <= reply.status < 300),
            default=float("inf"),
        )

    def longest_s(self, *, since: float = 0.0) -> float:
        """Return how long the slowest try took."""
        return max((reply.took_s for reply in self.replies if reply.at >= since), default=0.0)


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value that this share of values does not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0
