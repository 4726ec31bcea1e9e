"""Points and badges: a sum of entries that never falls below zero."""

from dataclasses import dataclass
from enum import StrEnum

from domain.core.kernel.errors import Conflict, NotFound
from domain.core.kernel.ids import AccountId


class NoRating(NotFound):
    """Only writers have a rating."""

    code = "reputation.no_rating"


class PointsGivenBefore(Conflict):
    """These points were given already."""

    code = "reputation.points_given_before"


class Badge(StrEnum):
    """What a number of points is called (rule reputation.points_are_entries)."""

    BRONZE = "Bronze"
    SILVER = "Silver"
    GOLD = "Gold"
    PLATINUM = "Platinum"


BADGE_UP_TO = ((10, Badge.BRONZE), (30, Badge.SILVER), (60, Badge.GOLD))
"""The highest points of each badge; above the last one it is Platinum."""


def badge_of(points: int) -> Badge:
    """Return the badge of a number of points."""
    return next((badge for most, badge in BADGE_UP_TO if points <= most), Badge.PLATINUM)


@dataclass(frozen=True, slots=True)
class PointsEntry:
    """Points given or taken once, for one reason such as `task:<id>:approved`."""

    account_id: AccountId
    reason: str
    points: int


@dataclass(slots=True)
class Rating:
    """The points of one account."""

    account_id: AccountId
    points: int

    @property
    def badge(self) -> Badge:
        """The badge of these points."""
        return badge_of(self.points)

    def add(self, points: int, reason: str) -> PointsEntry:
        """Give points, or take as many as are there, and return the entry of what really changed."""
        changed = max(points, -self.points)
        self.points += changed
        assert self.points >= 0
        return PointsEntry(self.account_id, reason, changed)
