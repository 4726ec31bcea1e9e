"""What one side of a finished deal says about the other, and the sum of what is said."""

import re
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import NewType
from uuid import UUID

from domain.core.kernel.errors import Conflict, FieldError, Forbidden, Invalid, NotFound
from domain.core.kernel.ids import AccountId

ReviewId = NewType("ReviewId", UUID)

RATING_MIN, RATING_MAX = 1, 5
COMMENT_MAX = 2_000
"""Characters."""


class AlreadyReviewed(Conflict):
    """You have reviewed this deal."""

    code = "reputation.already_reviewed"


class SelfReview(Forbidden):
    """Nobody reviews himself."""

    code = "reputation.self_review"


class ReviewNotFound(NotFound):
    """There is no such review."""

    code = "reputation.review_not_found"


def read_mean(text: str | None, *, field: str) -> int | None:
    """Read a mean from 0 to 5 with up to two digits, in hundredths. Raises Invalid."""
    if text is None:
        return None
    found = re.fullmatch(r"([0-5])(?:\.([0-9]{1,2}))?", text, re.ASCII)
    hundredths = int(found[1] + (found[2] or "").ljust(2, "0")) if found else -1
    if not 0 <= hundredths <= RATING_MAX * 100:
        raise Invalid(errors=(FieldError(field, f"is a number from 0 to {RATING_MAX}"),))
    return hundredths


@dataclass(slots=True)
class RatingSummary:
    """What the reviews of a person in one area add up to: the exact sum and count of those that are not hidden."""

    person_id: AccountId
    area: str
    total: int = 0
    count: int = 0

    @property
    def hundredths(self) -> int:
        """The mean in hundredths, rounded half even; 0 without reviews (reputation.summary_is_exact)."""
        return round(Fraction(self.total * 100, self.count)) if self.count else 0

    @property
    def text(self) -> str:
        """The mean with two digits, such as `"4.67"`."""
        return f"{self.hundredths // 100}.{self.hundredths % 100:02d}"

    def add(self, rating: int) -> None:
        """Count a review."""
        self.total += rating
        self.count += 1

    def remove(self, rating: int) -> None:
        """Count a review no longer."""
        self.total -= rating
        self.count -= 1
        assert 0 <= self.count <= self.total, "only what was counted is taken out"


@dataclass(slots=True, kw_only=True)
class Review:
    """One rating of one person for one deal, by the other side of it."""

    id: ReviewId
    area: str
    deal_id: UUID
    reviewer_id: AccountId
    person_id: AccountId
    rating: int
    comment: str
    created_at: datetime
    is_hidden: bool = False

    def __post_init__(self) -> None:
        if self.reviewer_id == self.person_id:
            raise SelfReview
        if type(self.rating) is not int or not RATING_MIN <= self.rating <= RATING_MAX:
            raise Invalid(errors=(FieldError("rating", f"is a whole number from {RATING_MIN} to {RATING_MAX}"),))
        self.comment = self.comment.strip()
        if len(self.comment) > COMMENT_MAX:
            raise Invalid(errors=(FieldError("comment", f"has more than {COMMENT_MAX} characters"),))

    def hide(self, summary: RatingSummary) -> None:
        """Take the review out of sight, and out of the summary (reputation.hidden_does_not_count)."""
        if not self.is_hidden:
            self.is_hidden = True
            summary.remove(self.rating)

    def show(self, summary: RatingSummary) -> None:
        """Bring a hidden review back, into the summary too."""
        if self.is_hidden:
            self.is_hidden = False
            summary.add(self.rating)
