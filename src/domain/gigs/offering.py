"""What can be ordered: services, and the flat list of categories they stand in."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NewType
from uuid import UUID

from domain.core.kernel.errors import Conflict, FieldError, Forbidden, Invalid, NotFound
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money

OfferingId = NewType("OfferingId", UUID)
CategoryId = NewType("CategoryId", UUID)

SECONDS_IN_A_HUNDREDTH = 36
DURATION_MIN = timedelta(minutes=15)
DURATION_MAX = timedelta(hours=240)


class OfferingNotFound(NotFound):
    """There is no such service."""

    code = "gigs.service_not_found"


class CategoryExists(Conflict):
    """There is a category of this name."""

    code = "gigs.category_exists"


class UnknownCategory(Invalid):
    """There is no such category."""

    code = "gigs.unknown_category"

    def __init__(self) -> None:
        super().__init__(errors=(FieldError("category_id", "is not a category here"),))


class NotServiceOwner(Forbidden):
    """Only who listed this service may change it."""

    code = "gigs.not_service_owner"


def folded(text: str) -> str:
    """Return a text as names are compared: in any case, any composition of letters and any spacing the same."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def read_name(text: str) -> str:
    """Return a name without the spaces around it. Raises Invalid for an empty one."""
    name = text.strip()
    if not name:
        raise Invalid(errors=(FieldError("name", "is empty"),))
    return name


def check_duration(duration: timedelta) -> timedelta:
    """Return a duration between a quarter of an hour and 240 h, in whole hundredths of an hour. Raises Invalid."""
    if not DURATION_MIN <= duration <= DURATION_MAX:
        raise Invalid(errors=(FieldError("duration_hours", "is between 0.25 and 240"),))
    if duration % timedelta(seconds=SECONDS_IN_A_HUNDREDTH):
        raise Invalid(errors=(FieldError("duration_hours", "has more than two digits behind the point"),))
    return duration


@dataclass(slots=True, kw_only=True)
class OfferingCategory:
    """One heading of the flat list."""

    id: CategoryId
    name: str
    description: str
    icon: str
    created_at: datetime

    def __post_init__(self) -> None:
        self.name = read_name(self.name)


@dataclass(slots=True, kw_only=True)
class Offering:
    """A service of the worker who listed it. What is not active is out of the lists and cannot be ordered."""

    id: OfferingId
    owner_id: AccountId
    category_id: CategoryId
    name: str
    description: str
    base_price: Money
    duration: timedelta
    created_at: datetime
    updated_at: datetime
    is_active: bool = True

    def __post_init__(self) -> None:
        self.name = read_name(self.name)
        check_duration(self.duration)

    def check_editor(self, account_id: AccountId, *, is_admin: bool) -> None:
        """Let the owner and administrators change it (gigs.only_workers_list). Raises NotServiceOwner."""
        if not is_admin and account_id != self.owner_id:
            raise NotServiceOwner

    def edit(
        self,
        *,
        now: datetime,
        name: str | None = None,
        description: str | None = None,
        category_id: CategoryId | None = None,
        base_price: Money | None = None,
        duration: timedelta | None = None,
        is_active: bool | None = None,
    ) -> None:
        """Change what is given; orders keep the price at which they were placed. Raises Invalid."""
        self.name = self.name if name is None else read_name(name)
        self.description = self.description if description is None else description
        self.category_id = self.category_id if category_id is None else category_id
        self.base_price = self.base_price if base_price is None else base_price
        self.duration = self.duration if duration is None else check_duration(duration)
        self.is_active = self.is_active if is_active is None else is_active
        self.updated_at = now
