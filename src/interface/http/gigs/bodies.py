"""What the gigs market's catalogue says on the wire."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from application.gigs.queries import OfferingView, ReviewView, WorkerPage, WorkerView
from domain.gigs.offering import OfferingCategory
from interface.http.wire import AmountInput, CurrencyCode

CategoryName = Annotated[str, Meta(min_length=1, max_length=100)]
ServiceName = Annotated[str, Meta(min_length=1, max_length=120)]
ServiceDescription = Annotated[str, Meta(min_length=1, max_length=5_000)]
Bio = Annotated[str, Meta(max_length=2_000)]
Years = Annotated[int, Meta(ge=0, le=60)]
Hours = Annotated[float, Meta(ge=0.25, le=240)] | Annotated[str, Meta(pattern=r"^[0-9]{1,3}(\.[0-9]{1,2})?$")]
"""A number of hours with up to two digits behind the point, also as a decimal string."""
Specializations = Annotated[list[UUID], Meta(max_length=100)]


def read_hours(hours: float | str) -> timedelta:
    """Read a number of hours, exactly as it was written."""
    return timedelta(microseconds=int(Fraction(str(hours)) * 3_600_000_000))


class AddCategoryBody(Struct, frozen=True, kw_only=True):
    """A category to add; its name is new, in whatever case."""

    name: CategoryName
    description: Annotated[str, Meta(max_length=1_000)] = ""
    icon: Annotated[str, Meta(max_length=100)] = ""


class CategoryBody(Struct, frozen=True, kw_only=True):
    """A category of services."""

    id: UUID
    name: str
    description: str
    icon: str

    @classmethod
    def of(cls, category: OfferingCategory) -> "CategoryBody":
        """Write a category."""
        return cls(id=category.id, name=category.name, description=category.description, icon=category.icon)


class ServiceCategoryBody(Struct, frozen=True):
    """The category that a service stands in."""

    id: UUID
    name: str


class UsernameBody(Struct, frozen=True):
    """Somebody, as others see him."""

    id: UUID
    username: str


class ListServiceBody(Struct, frozen=True, kw_only=True):
    """A service to list. `base_price` is for one unit and may be 0; `duration_hours` is how long one takes."""

    name: ServiceName
    description: ServiceDescription
    category_id: UUID
    base_price: AmountInput
    currency: CurrencyCode = "KES"
    duration_hours: Hours = 1.0


class EditServiceBody(Struct, frozen=True, kw_only=True):
    """What to change of a service; what is not sent stays."""

    name: ServiceName | UnsetType = UNSET
    description: ServiceDescription | UnsetType = UNSET
    category_id: UUID | UnsetType = UNSET
    base_price: AmountInput | UnsetType = UNSET
    currency: CurrencyCode | UnsetType = UNSET
    duration_hours: Hours | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET


class ServiceBody(Struct, frozen=True, kw_only=True):
    """A service. One that is not active is in no list and cannot be ordered."""

    id: UUID
    name: str
    description: str
    category: ServiceCategoryBody
    category_id: UUID
    base_price: str
    currency: str
    duration_hours: float
    is_active: bool
    owner: UsernameBody
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, view: OfferingView) -> "ServiceBody":
        """Write a service."""
        return cls(
            id=view.id,
            name=view.name,
            description=view.description,
            category=ServiceCategoryBody(view.category_id, view.category_name),
            category_id=view.category_id,
            base_price=view.base_price.text,
            currency=view.base_price.currency,
            duration_hours=view.duration / timedelta(hours=1),
            is_active=view.is_active,
            owner=UsernameBody(view.owner_id, view.owner_name),
            created_at=view.created_at,
            updated_at=view.updated_at,
        )


class WorkerUserBody(Struct, frozen=True, kw_only=True):
    """Who a worker is."""

    id: UUID
    username: str
    first_name: str
    last_name: str
    avatar: str


class SpecializationBody(Struct, frozen=True):
    """A service that a worker does."""

    id: UUID
    name: str


class EditWorkerBody(Struct, frozen=True, kw_only=True):
    """What to change of one's profile; what is not sent stays. The services that one lists need not be named."""

    specializations: Specializations | UnsetType = UNSET
    experience_years: Years | UnsetType = UNSET
    hourly_rate: AmountInput | UnsetType = UNSET
    currency: CurrencyCode | UnsetType = UNSET
    is_available: bool | UnsetType = UNSET
    bio: Bio | UnsetType = UNSET


class WorkerBody(Struct, frozen=True, kw_only=True):
    """A worker. `rating` is the mean of his reviews with two digits, `"0.00"` without any."""

    id: UUID
    user: WorkerUserBody
    specializations: Sequence[SpecializationBody]
    experience_years: int
    hourly_rate: str
    currency: str
    rating: str
    reviews_count: int
    is_available: bool
    bio: str

    @classmethod
    def of(cls, view: WorkerView) -> "WorkerBody":
        """Write a worker."""
        return cls(**_worker_fields(view))


class WorkerReviewBody(Struct, frozen=True, kw_only=True):
    """What a client says about a worker."""

    id: UUID
    reviewer: UsernameBody
    rating: int
    comment: str
    created_at: datetime

    @classmethod
    def of(cls, view: ReviewView) -> "WorkerReviewBody":
        """Write a review."""
        return cls(
            id=view.id,
            reviewer=UsernameBody(view.reviewer_id, view.reviewer_name),
            rating=view.rating,
            comment=view.comment,
            created_at=view.created_at,
        )


class WorkerPageBody(WorkerBody, frozen=True, kw_only=True):
    """A worker with his newest reviews."""

    reviews: Sequence[WorkerReviewBody]

    @classmethod
    def of_page(cls, page: WorkerPage) -> "WorkerPageBody":
        """Write a worker and what is said about him."""
        return cls(**_worker_fields(page.worker), reviews=[WorkerReviewBody.of(view) for view in page.reviews])


def _worker_fields(view: WorkerView) -> dict[str, Any]:
    return {
        "id": view.account_id,
        "user": WorkerUserBody(
            id=view.account_id,
            username=view.username,
            first_name=view.first_name,
            last_name=view.last_name,
            avatar=view.avatar,
        ),
        "specializations": [SpecializationBody(one.id, one.name) for one in view.specializations],
        "experience_years": view.experience_years,
        "hourly_rate": view.hourly_rate.text,
        "currency": view.hourly_rate.currency,
        "rating": view.rating.text,
        "reviews_count": view.rating.count,
        "is_available": view.is_available,
        "bio": view.bio,
    }
