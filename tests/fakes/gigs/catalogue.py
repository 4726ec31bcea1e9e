"""The catalogue in memory: its repositories on the store of the core, and its reads over what is committed."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, TypeVar

from application.core.kernel.ports import Listing, Page
from application.gigs.queries import (
    REVIEWS_SHOWN,
    SPECIALIZATIONS_SHOWN_MAX,
    OfferingFilter,
    OfferingOrder,
    OfferingView,
    ReviewView,
    Specialization,
    WorkerFilter,
    WorkerPage,
    WorkerView,
)
from domain.core.identity.account import Account
from domain.core.kernel.errors import FieldError, Invalid
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money
from domain.core.reputation.review import RatingSummary
from domain.gigs.offering import (
    CategoryExists,
    Offering,
    OfferingCategory,
    OfferingId,
    OfferingNotFound,
    UnknownCategory,
    folded,
)
from domain.gigs.worker import AREA, UnknownService, WorkerNotFound, WorkerProfile
from tests.fakes.core.store import InMemoryCoreUnitOfWork, InMemoryStore
from tests.fakes.gigs.orders import InMemoryOrders

Row = TypeVar("Row")


class InMemoryCategories:
    def __init__(self, unit_of_work: InMemoryCoreUnitOfWork) -> None:
        self._categories = unit_of_work.table("offering_categories")
        self._added: list[OfferingCategory] = []
        unit_of_work.at_commit(self._store)

    def add(self, category: OfferingCategory) -> None:
        self._added.append(category)

    def _store(self) -> None:
        for category in self._added:
            if any(folded(one.name) == folded(category.name) for one in self._categories.values()):
                raise CategoryExists
            self._categories[category.id] = category
        self._added.clear()


class InMemoryOfferings:
    def __init__(self, unit_of_work: InMemoryCoreUnitOfWork) -> None:
        self._offerings = unit_of_work.table("offerings")
        self._categories = unit_of_work.table("offering_categories")
        self._touched: list[Offering] = []
        unit_of_work.at_commit(self._check)

    def add(self, offering: Offering) -> None:
        self._offerings[offering.id] = offering
        self._touched.append(offering)

    async def get(self, offering_id: OfferingId) -> Offering:
        if offering_id not in self._offerings:
            raise OfferingNotFound
        offering: Offering = self._offerings[offering_id]
        self._touched.append(offering)
        return offering

    def _check(self) -> None:
        for offering in self._touched:
            if offering.category_id not in self._categories:
                raise UnknownCategory


class InMemoryWorkers:
    def __init__(self, unit_of_work: InMemoryCoreUnitOfWork) -> None:
        self._profiles = unit_of_work.table("worker_profiles")
        self._does = unit_of_work.table("worker_specializations")
        self._offerings = unit_of_work.table("offerings")
        self._summaries = unit_of_work.table("review_summaries")
        self._changes: list[Callable[[], object]] = []
        unit_of_work.at_commit(self._store)

    def open(self, account_id: AccountId) -> None:
        self._changes.append(lambda: self._open(account_id))

    async def get(self, account_id: AccountId) -> WorkerProfile:
        return self._open(account_id)

    def add_specialization(self, account_id: AccountId, offering_id: OfferingId) -> None:
        self._changes.append(lambda: self._add(account_id, offering_id))

    def replace_specializations(self, account_id: AccountId, offering_ids: Sequence[OfferingId]) -> None:
        def replace() -> None:
            for key in [(who, what) for who, what in self._keys() if who == account_id and what not in offering_ids]:
                if self._offerings[key[1]].owner_id != account_id:
                    del self._does[key]
            for offering_id in offering_ids:
                self._add(account_id, offering_id)

        self._changes.append(replace)

    async def is_specialised(self, account_id: AccountId, offering_id: OfferingId) -> bool:
        return (account_id, offering_id) in self._does

    def _open(self, account_id: AccountId) -> WorkerProfile:
        self._summaries.setdefault((account_id, AREA), RatingSummary(account_id, AREA))
        profile: WorkerProfile = self._profiles.setdefault(account_id, WorkerProfile(account_id=account_id))
        return profile

    def _add(self, account_id: AccountId, offering_id: OfferingId) -> None:
        if offering_id not in self._offerings:
            raise UnknownService
        self._does[account_id, offering_id] = True

    def _keys(self) -> list[tuple[AccountId, OfferingId]]:
        keys: list[Any] = list(self._does)
        return keys

    def _store(self) -> None:
        for change in self._changes:
            change()
        self._changes.clear()


class InMemoryGigsUnitOfWork(InMemoryCoreUnitOfWork):
    @cached_property
    def categories(self) -> InMemoryCategories:
        return InMemoryCategories(self)

    @cached_property
    def offerings(self) -> InMemoryOfferings:
        return InMemoryOfferings(self)

    @cached_property
    def workers(self) -> InMemoryWorkers:
        return InMemoryWorkers(self)

    @cached_property
    def orders(self) -> InMemoryOrders:
        return InMemoryOrders(self)


class InMemoryGigsQueries:
    """Reads over what is committed; a cursor is the id of the edge, and lists go forward only."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    async def categories(self, page: Page) -> Listing[OfferingCategory]:
        categories: list[OfferingCategory] = list(self._store.rows("offering_categories").values())
        return page_of(sorted(categories, key=lambda one: one.id), page, lambda one: one.id, lambda one: one)

    async def offering(self, offering_id: OfferingId) -> OfferingView:
        offering = self._store.rows("offerings").get(offering_id)
        if offering is None:
            raise OfferingNotFound
        return self._offering(offering)

    async def offerings(self, wanted: OfferingFilter, order: OfferingOrder, page: Page) -> Listing[OfferingView]:
        found: list[Offering] = [one for one in self._store.rows("offerings").values() if self._fits(one, wanted)]
        keys: dict[str, Callable[[Offering], Any]] = {
            "name": lambda one: (folded(one.name), one.id),
            "base_price": lambda one: (_thousandths(one.base_price), one.id),
            "created_at": lambda one: one.id,
        }
        found.sort(key=keys[order.removeprefix("-")], reverse=order.startswith("-"))
        return page_of(found, page, lambda one: one.id, self._offering)

    async def worker(self, account_id: AccountId) -> WorkerPage:
        profile = self._store.rows("worker_profiles").get(account_id)
        if profile is None or not self._is_worker(account_id):
            raise WorkerNotFound
        about = [one for one in self._store.rows("reviews").values() if one.person_id == account_id]
        shown = sorted((one for one in about if not one.is_hidden), key=lambda one: one.id, reverse=True)
        return WorkerPage(
            worker=self._worker(profile),
            reviews=tuple(
                ReviewView(
                    id=one.id,
                    reviewer_id=one.reviewer_id,
                    reviewer_name=self._account(one.reviewer_id).username,
                    rating=one.rating,
                    comment=one.comment,
                    created_at=one.created_at,
                )
                for one in shown[:REVIEWS_SHOWN]
            ),
        )

    async def workers(self, wanted: WorkerFilter, page: Page) -> Listing[WorkerView]:
        does = self._store.rows("worker_specializations")
        found = []
        for profile in self._store.rows("worker_profiles").values():
            view, account = self._worker(profile), self._account(profile.account_id)
            name = f"{account.username} {account.first_name} {account.last_name}"
            if (
                self._is_worker(profile.account_id)
                and (wanted.offering_id is None or (profile.account_id, wanted.offering_id) in does)
                and wanted.is_available in {None, profile.is_available}
                and (_has_words(profile.bio, wanted.search) or _has_words(name, wanted.search))
                and (wanted.rating_min is None or view.rating.hundredths >= wanted.rating_min)
            ):
                found.append(view)
        found.sort(key=lambda one: (one.rating.hundredths, one.rating.count, one.account_id), reverse=True)
        return page_of(found, page, lambda one: one.account_id, lambda one: one)

    def _account(self, account_id: AccountId) -> Account:
        account: Account = self._store.tables["accounts"][account_id]
        return account

    def _is_worker(self, account_id: AccountId) -> bool:
        account = self._account(account_id)
        return account.is_active and "worker" in account.active_roles

    def _fits(self, offering: Offering, wanted: OfferingFilter) -> bool:
        price = _thousandths(offering.base_price)
        return (
            (wanted.with_inactive or (offering.is_active and self._account(offering.owner_id).is_active))
            and wanted.category_id in {None, offering.category_id}
            and wanted.owner_id in {None, offering.owner_id}
            and (wanted.price_min is None or price >= wanted.price_min)
            and (wanted.price_max is None or price <= wanted.price_max)
            and _has_words(f"{offering.name} {offering.description}", wanted.search)
        )

    def _offering(self, offering: Offering) -> OfferingView:
        category = self._store.rows("offering_categories")[offering.category_id]
        return OfferingView(
            id=offering.id,
            name=offering.name,
            description=offering.description,
            category_id=category.id,
            category_name=category.name,
            base_price=offering.base_price,
            duration=offering.duration,
            is_active=offering.is_active,
            owner_id=offering.owner_id,
            owner_name=self._account(offering.owner_id).username,
            created_at=offering.created_at,
            updated_at=offering.updated_at,
        )

    def _worker(self, profile: WorkerProfile) -> WorkerView:
        account, offerings = self._account(profile.account_id), self._store.rows("offerings")
        keys: list[Any] = list(self._store.rows("worker_specializations"))
        done = sorted(what for who, what in keys if who == account.id and offerings[what].is_active)
        return WorkerView(
            account_id=account.id,
            username=account.username,
            first_name=account.first_name,
            last_name=account.last_name,
            avatar=account.avatar,
            specializations=tuple(
                Specialization(id=what, name=offerings[what].name) for what in done[:SPECIALIZATIONS_SHOWN_MAX]
            ),
            experience_years=profile.experience_years,
            hourly_rate=profile.hourly_rate,
            rating=self._store.rows("review_summaries")[account.id, AREA],
            is_available=profile.is_available,
            bio=profile.bio,
        )


def _thousandths(price: Money) -> int:
    """Read a price back from its text, whatever digits its currency has."""
    whole, _, fraction = price.text.partition(".")
    return int(whole + fraction.ljust(3, "0"))


def _has_words(text: str, search: str | None) -> bool:
    there = re.findall(r"\w+", text.lower())
    return all(any(word.startswith(one) for word in there) for one in re.findall(r"\w+", (search or "").lower()))


def page_of(found: Iterable[Any], page: Page, key: Callable[[Any], Any], write: Callable[[Any], Row]) -> Listing[Row]:
    """Return what stands behind the cursor, as much as a page holds. Raises Invalid."""
    rows = list(found)
    if page.cursor is not None:
        known = [str(key(row)) for row in rows]
        if page.cursor not in known:
            raise Invalid(errors=(FieldError("cursor", "is not a cursor of this list"),))
        rows = rows[known.index(page.cursor) + 1 :]
    kept = rows[: page.limit]
    return Listing([write(row) for row in kept], next=str(key(kept[-1])) if len(rows) > page.limit else None)
