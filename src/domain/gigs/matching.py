"""Which worker an open order is offered to (rule gigs.matcher_order): a list of reasons against, then an order."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from domain.core.kernel.ids import AccountId

RATING_OF_NOBODY: Final = 300
"""What a worker without reviews counts as, in hundredths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A worker who does the service, and what decides whether the order is offered to him."""

    account_id: AccountId
    is_available: bool
    is_active: bool
    is_blocked: bool
    """There is a block between him and the client."""
    has_refused: bool
    """He declined this order before, or let its offer lapse (gigs.offer_lapses)."""
    overlaps: bool
    """He is on another order at that time."""
    running: int
    """How many orders he is on."""
    rating: int | None
    """The mean in hundredths; None without reviews."""
    idle_since: datetime | None
    """When his last order ended; None where he never had one."""


@dataclass(frozen=True, slots=True)
class Match:
    """Who was chosen, and why, for administrators."""

    account_id: AccountId
    reasons: str


Objection = Callable[[Candidate, int], bool]


def is_unavailable(candidate: Candidate, _: int) -> bool:
    """He takes no orders at the moment."""
    return not candidate.is_available


def is_inactive(candidate: Candidate, _: int) -> bool:
    """His account is shut."""
    return not candidate.is_active


def is_blocked(candidate: Candidate, _: int) -> bool:
    """One of the two wants no dealings with the other (rule identity.block_works_both_ways)."""
    return candidate.is_blocked


def has_refused(candidate: Candidate, _: int) -> bool:
    """He had this order offered before."""
    return candidate.has_refused


def is_elsewhere(candidate: Candidate, _: int) -> bool:
    """Another order of his is at the same time."""
    return candidate.overlaps


def is_loaded(candidate: Candidate, load_max: int) -> bool:
    """He is on as many orders as one may be."""
    return candidate.running >= load_max


OBJECTIONS: Final[Mapping[str, Objection]] = {
    "unavailable": is_unavailable,
    "inactive": is_inactive,
    "blocked": is_blocked,
    "refused_before": has_refused,
    "overlapping_order": is_elsewhere,
    "too_many_orders": is_loaded,
}


def best_first(candidate: Candidate) -> tuple[int, int, bool, float, str]:
    """Return the key of the order: rating, then fewest running, then longest idle, then id."""
    rating = RATING_OF_NOBODY if candidate.rating is None else candidate.rating
    idle = candidate.idle_since
    return (
        -rating,
        candidate.running,
        idle is not None,
        0.0 if idle is None else idle.timestamp(),
        str(candidate.account_id),
    )


def choose(candidates: Sequence[Candidate], *, load_max: int) -> Match | None:
    """Return whom to offer the order to, or None where nobody fits."""
    passed_over: Counter[str] = Counter()
    fit: list[Candidate] = []
    for candidate in candidates:
        objection = next((word for word, objects in OBJECTIONS.items() if objects(candidate, load_max)), None)
        if objection is None:
            fit.append(candidate)
        else:
            passed_over[objection] += 1
    if not fit:
        return None
    best = min(fit, key=best_first)
    rating = "none" if best.rating is None else f"{best.rating / 100:.2f}"
    idle = "never" if best.idle_since is None else best.idle_since.isoformat()
    others = ", ".join(f"{word} {count}" for word, count in sorted(passed_over.items())) or "nobody"
    return Match(
        best.account_id,
        f"best of {len(fit)}: rating {rating}, running {best.running}, last ended {idle}; passed over: {others}",
    )
