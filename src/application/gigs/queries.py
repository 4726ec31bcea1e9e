"""What the vertical's replies show of services and workers: read models, one round trip each, always bounded."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from application.core.kernel.ports import Listing, Page
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money
from domain.core.reputation.review import RatingSummary
from domain.gigs.offering import CategoryId, OfferingCategory, OfferingId

SPECIALIZATIONS_SHOWN_MAX = 100
"""As many services as a worker's entry names."""
REVIEWS_SHOWN = 5


class OfferingOrder(StrEnum):
    """How a list of services is ordered."""

    NAME = "name"
    NAME_DOWN = "-name"
    PRICE = "base_price"
    PRICE_DOWN = "-base_price"
    CREATED = "created_at"
    CREATED_DOWN = "-created_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferingFilter:
    """Which services are wanted; None is no condition.

    Prices are compared as numbers of whole units of each service's own currency, in thousandths.
    """

    category_id: CategoryId | None = None
    search: str | None = None
    price_min: int | None = None
    price_max: int | None = None
    owner_id: AccountId | None = None
    with_inactive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferingView:
    """A service with everything that its reply shows."""

    id: OfferingId
    name: str
    description: str
    category_id: CategoryId
    category_name: str
    base_price: Money
    duration: timedelta
    is_active: bool
    owner_id: AccountId
    owner_name: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFilter:
    """Which workers are wanted; None is no condition. `rating_min` is in hundredths."""

    offering_id: OfferingId | None = None
    is_available: bool | None = None
    search: str | None = None
    rating_min: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Specialization:
    """A service that a worker does."""

    id: OfferingId
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """A worker with everything that lists show."""

    account_id: AccountId
    username: str
    first_name: str
    last_name: str
    avatar: str
    specializations: tuple[Specialization, ...]
    experience_years: int
    hourly_rate: Money
    rating: RatingSummary
    is_available: bool
    bio: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewView:
    """What somebody says about a worker."""

    id: UUID
    reviewer_id: AccountId
    reviewer_name: str
    rating: int
    comment: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPage:
    """A worker, and the newest reviews of him."""

    worker: WorkerView
    reviews: tuple[ReviewView, ...]


class GigsCatalogue(Protocol):
    """Lists for everybody. They may lag: what was written a few seconds ago may not be in them yet.

    A suspended worker is not there, nor are his services.
    """

    async def categories(self, page: Page) -> Listing[OfferingCategory]:
        """Return the categories, oldest first."""
        ...

    async def offerings(self, wanted: OfferingFilter, order: OfferingOrder, page: Page) -> Listing[OfferingView]:
        """Return the services that fit."""
        ...

    async def workers(self, wanted: WorkerFilter, page: Page) -> Listing[WorkerView]:
        """Return the workers that fit, the best rated first."""
        ...


class GigsQueries(GigsCatalogue, Protocol):
    """Reads of services and workers, one round trip each, which show everything that was written."""

    async def offering(self, offering_id: OfferingId) -> OfferingView:
        """Return a service, listed or not, since orders name it. Raises OfferingNotFound."""
        ...

    async def worker(self, account_id: AccountId) -> WorkerPage:
        """Return a worker. Raises WorkerNotFound."""
        ...
