"""What every store of the catalogue promises."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from application.core.kernel.ports import Page
from application.gigs.ports import CatalogueUnitOfWork
from application.gigs.queries import GigsQueries, OfferingFilter, OfferingOrder, WorkerFilter
from domain.core.kernel.errors import Invalid
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money
from domain.core.reputation.review import Review
from domain.gigs.offering import (
    CategoryExists,
    CategoryId,
    Offering,
    OfferingId,
    OfferingNotFound,
    UnknownCategory,
)
from domain.gigs.worker import AREA, UnknownService, WorkerNotFound
from tests.builders.gigs import (
    CLIENT,
    IDS,
    OTHER_CLIENT,
    OTIENO,
    WANJA,
    a_category,
    a_review,
    an_offering,
)
from tests.fakes.core.system import NOON

NEWEST = OfferingOrder.CREATED_DOWN
ALL = OfferingFilter()


@dataclass(frozen=True, slots=True)
class CatalogueStore:
    """A store with the people of `tests.builders.gigs` in it."""

    units: Callable[[], CatalogueUnitOfWork]
    queries: GigsQueries
    shut: Callable[[AccountId], Awaitable[None]]
    """Suspend an account."""
    take_role: Callable[[AccountId], Awaitable[None]]
    """Suspend an account's grants."""


async def add_category(catalogue: CatalogueStore, name: str = "Cleaning") -> CategoryId:
    category = a_category(name)
    async with catalogue.units() as uow:
        uow.categories.add(category)
        await uow.commit()
    return category.id


async def put(catalogue: CatalogueStore, *offerings: Offering) -> None:
    async with catalogue.units() as uow:
        for offering in offerings:
            uow.offerings.add(offering)
            uow.workers.open(offering.owner_id)
            uow.workers.add_specialization(offering.owner_id, offering.id)
        await uow.commit()


async def open_workers(catalogue: CatalogueStore) -> None:
    async with catalogue.units() as uow:
        uow.workers.open(WANJA)
        uow.workers.open(OTIENO)
        await uow.commit()


async def review(catalogue: CatalogueStore, *reviews: Review) -> None:
    for one in reviews:
        async with catalogue.units() as uow:
            uow.reviews.add(one)
            (await uow.reviews.summary(one.person_id, AREA)).add(one.rating)
            await uow.commit()


async def found(catalogue: CatalogueStore, wanted: OfferingFilter, order: OfferingOrder = NEWEST) -> list[str]:
    return [one.name for one in (await catalogue.queries.offerings(wanted, order, Page())).results]


async def workers_found(catalogue: CatalogueStore, wanted: WorkerFilter) -> list[AccountId]:
    return [one.account_id for one in (await catalogue.queries.workers(wanted, Page())).results]


async def specializations(catalogue: CatalogueStore, account_id: AccountId) -> set[OfferingId]:
    return {one.id for one in (await catalogue.queries.worker(account_id)).worker.specializations}


class CategoryRepositoryContract:
    async def test_categories_come_in_the_order_in_which_they_were_made(self, catalogue: CatalogueStore) -> None:
        for name in ("Plumbing", "Cleaning", "Gardens"):
            await add_category(catalogue, name)
        first = await catalogue.queries.categories(Page(limit=2))
        assert [one.name for one in first.results] == ["Plumbing", "Cleaning"]
        second = await catalogue.queries.categories(Page(limit=2, cursor=first.next))
        assert [(one.name, one.description, one.icon) for one in second.results] == [("Gardens", "Homes", "broom")]
        assert second.next is None

    @pytest.mark.parametrize("name", ["Cleaning", "cLEANING", " Cleaning ", "\uff23leaning"])
    async def test_a_name_is_there_once_in_whatever_case(self, catalogue: CatalogueStore, name: str) -> None:
        await add_category(catalogue)
        with pytest.raises(CategoryExists):
            await add_category(catalogue, name)
        assert [one.name for one in (await catalogue.queries.categories(Page())).results] == ["Cleaning"]


class OfferingRepositoryContract:
    async def test_a_service_comes_back_as_it_was_stored(self, catalogue: CatalogueStore) -> None:
        offering = an_offering(await add_category(catalogue), price=Money(99_99, "USD"))
        await put(catalogue, offering)
        async with catalogue.units() as uow:
            assert await uow.offerings.get(offering.id) == offering

    async def test_a_loaded_service_is_saved_by_commit_and_by_nothing_else(self, catalogue: CatalogueStore) -> None:
        offering = an_offering(await add_category(catalogue))
        await put(catalogue, offering)
        async with catalogue.units() as uow:
            (await uow.offerings.get(offering.id)).edit(now=NOON, name="Forgotten")
        async with catalogue.units() as uow:
            loaded = await uow.offerings.get(offering.id)
            assert loaded.name == "Deep clean"
            loaded.edit(now=NOON, name="Deeper clean", base_price=Money(5, "UGX"), is_active=False)
            await uow.commit()
        view = await catalogue.queries.offering(offering.id)
        assert (view.name, view.base_price, view.is_active) == ("Deeper clean", Money(5, "UGX"), False)
        assert (view.owner_id, view.owner_name, view.category_name) == (WANJA, "wanja", "Cleaning")

    async def test_an_unknown_service_is_refused(self, catalogue: CatalogueStore) -> None:
        async with catalogue.units() as uow:
            with pytest.raises(OfferingNotFound):
                await uow.offerings.get(OfferingId(IDS.new()))
        with pytest.raises(OfferingNotFound):
            await catalogue.queries.offering(OfferingId(IDS.new()))

    async def test_a_category_that_does_not_exist_is_refused_at_commit(self, catalogue: CatalogueStore) -> None:
        offering = an_offering(CategoryId(IDS.new()))
        with pytest.raises(UnknownCategory):
            await put(catalogue, offering)
        with pytest.raises(OfferingNotFound):
            await catalogue.queries.offering(offering.id)


class OfferingListContract:
    async def test_only_what_is_active_and_whose_owner_may_work_is_listed(self, catalogue: CatalogueStore) -> None:
        category = await add_category(catalogue)
        await put(
            catalogue,
            an_offering(category, name="Shown"),
            an_offering(category, name="Gone", is_active=False),
            an_offering(category, name="Shut", owner_id=OTIENO),
        )
        await catalogue.shut(OTIENO)
        assert await found(catalogue, ALL) == ["Shown"]

    async def test_ones_own_list_has_what_is_not_active_too(self, catalogue: CatalogueStore) -> None:
        category = await add_category(catalogue)
        await put(
            catalogue,
            an_offering(category, name="Gone", is_active=False),
            an_offering(category, name="Shown"),
            an_offering(category, name="Another's", owner_id=OTIENO),
        )
        assert await found(catalogue, OfferingFilter(owner_id=WANJA, with_inactive=True)) == ["Shown", "Gone"]
        assert await found(catalogue, OfferingFilter(owner_id=WANJA)) == ["Shown"]

    async def test_each_filter_narrows_and_all_of_them_together(self, catalogue: CatalogueStore) -> None:
        cleaning, gardens = await add_category(catalogue), await add_category(catalogue, "Gardens")
        await put(
            catalogue,
            an_offering(cleaning, name="Windows", description="Inside and out", price=Money(900_00)),
            an_offering(cleaning, name="Carpets", description="Steam", price=Money(1_000_00)),
            an_offering(gardens, name="Hedges", description="Cut and out of your way", price=Money(1_000_00)),
        )
        assert await found(catalogue, OfferingFilter(category_id=gardens)) == ["Hedges"]
        assert await found(catalogue, OfferingFilter(price_min=1_000_000)) == ["Hedges", "Carpets"]
        assert await found(catalogue, OfferingFilter(price_max=999_999)) == ["Windows"]
        assert await found(catalogue, OfferingFilter(search="OUT")) == ["Hedges", "Windows"]
        everything = OfferingFilter(category_id=cleaning, price_max=999_000, owner_id=WANJA, search="inside win")
        assert await found(catalogue, everything) == ["Windows"]

    @pytest.mark.parametrize("search", ["carp", "STEAM carpets", "steam!", "carpets & (steam)", "car-steam"])
    async def test_a_search_finds_beginnings_of_words_in_any_case(self, catalogue: CatalogueStore, search: str) -> None:
        await put(catalogue, an_offering(await add_category(catalogue), name="Carpets", description="By steam"))
        assert await found(catalogue, OfferingFilter(search=search)) == ["Carpets"]

    @pytest.mark.parametrize("search", ["arpets", "carpets towels", "' OR true --", "steam:*|x", "carpets!x"])
    async def test_a_search_finds_nothing_else(self, catalogue: CatalogueStore, search: str) -> None:
        await put(catalogue, an_offering(await add_category(catalogue), name="Carpets", description="By steam"))
        assert await found(catalogue, OfferingFilter(search=search)) == []

    @pytest.mark.parametrize("search", ["", "  ", "!?"])
    async def test_a_search_for_no_word_is_none(self, catalogue: CatalogueStore, search: str) -> None:
        await put(catalogue, an_offering(await add_category(catalogue)))
        assert await found(catalogue, OfferingFilter(search=search)) == ["Deep clean"]

    @pytest.mark.parametrize(
        ("order", "expected"),
        [
            ("name", ["alpha", "beta", "Beta", "\u00e9clair"]),
            ("base_price", ["Beta", "beta", "\u00e9clair", "alpha"]),
            ("created_at", ["beta", "\u00e9clair", "alpha", "Beta"]),
        ],
    )
    async def test_each_order_is_whole_and_goes_both_ways_page_by_page(
        self, catalogue: CatalogueStore, order: str, expected: list[str]
    ) -> None:
        category = await add_category(catalogue)
        prices = {
            "beta": Money(20_00),
            "\u00e9clair": Money(20_00),
            "alpha": Money(30, "UGX"),  # thirty shillings of Uganda are 30, not 0.30
            "Beta": Money(1_999, "BHD"),  # and 1.999 dinars less than two
        }
        for name, price in prices.items():
            await put(catalogue, an_offering(category, name=name, price=price))
        for way, names in ((order, expected), (f"-{order}", expected[::-1])):
            seen, cursor = [], None
            for _ in names:
                page = await catalogue.queries.offerings(ALL, OfferingOrder(way), Page(limit=1, cursor=cursor))
                seen += [one.name for one in page.results]
                cursor = page.next
            assert seen == names
            assert cursor is None

    @pytest.mark.parametrize("order", list(OfferingOrder))
    async def test_a_cursor_that_was_never_ours_is_refused(
        self, catalogue: CatalogueStore, order: OfferingOrder
    ) -> None:
        await put(catalogue, an_offering(await add_category(catalogue)))
        for cursor in ("", "x", "AAAA", "%%%", "é", "YQ" * 50):
            with pytest.raises(Invalid) as refusal:
                await catalogue.queries.offerings(ALL, order, Page(cursor=cursor))
            assert [one.field for one in refusal.value.errors] == ["cursor"]


class WorkerRepositoryContract:
    async def test_a_profile_is_made_once_with_nothing_in_it(self, catalogue: CatalogueStore) -> None:
        await open_workers(catalogue)
        async with catalogue.units() as uow:
            profile = await uow.workers.get(WANJA)
            assert (profile.experience_years, profile.hourly_rate, profile.is_available) == (0, Money.zero(), True)
            profile.edit(experience_years=7, hourly_rate=Money(5_000, "UGX"), is_available=False, bio="Ten houses")
            await uow.commit()
        await open_workers(catalogue)
        worker = (await catalogue.queries.worker(WANJA)).worker
        assert (worker.experience_years, worker.hourly_rate) == (7, Money(5_000, "UGX"))
        assert (worker.is_available, worker.bio) == (False, "Ten houses")
        assert (worker.username, worker.first_name, worker.rating.text, worker.rating.count) == (
            "wanja",
            "Wanja",
            "0.00",
            0,
        )

    async def test_getting_a_profile_makes_it_where_there_is_none(self, catalogue: CatalogueStore) -> None:
        async with catalogue.units() as uow:
            assert (await uow.workers.get(WANJA)).bio == ""
            await uow.commit()
        assert await workers_found(catalogue, WorkerFilter()) == [WANJA]

    async def test_what_is_not_committed_leaves_no_trace(self, catalogue: CatalogueStore) -> None:
        await open_workers(catalogue)
        async with catalogue.units() as uow:
            (await uow.workers.get(WANJA)).edit(bio="Forgotten")
        assert (await catalogue.queries.worker(WANJA)).worker.bio == ""

    async def test_who_lists_a_service_is_specialised_in_it_whatever_he_chooses(
        self, catalogue: CatalogueStore
    ) -> None:
        category = await add_category(catalogue)
        own, other, third = an_offering(category), *(an_offering(category, owner_id=OTIENO) for _ in range(2))
        await put(catalogue, own, other, third)
        async with catalogue.units() as uow:
            uow.workers.replace_specializations(WANJA, [other.id, other.id])
            await uow.commit()
        assert await specializations(catalogue, WANJA) == {own.id, other.id}
        async with catalogue.units() as uow:
            uow.workers.replace_specializations(WANJA, [third.id])
            await uow.commit()
        async with catalogue.units() as uow:
            does = [await uow.workers.is_specialised(WANJA, one.id) for one in (own, other, third)]
        assert does == [True, False, True]
        assert await specializations(catalogue, OTIENO) == {other.id, third.id}

    async def test_a_service_that_does_not_exist_is_refused_at_commit(self, catalogue: CatalogueStore) -> None:
        own = an_offering(await add_category(catalogue))
        await put(catalogue, own)
        async with catalogue.units() as uow:
            uow.workers.replace_specializations(WANJA, [OfferingId(IDS.new())])
            with pytest.raises(UnknownService):
                await uow.commit()
        assert await specializations(catalogue, WANJA) == {own.id}


class WorkerListContract:
    async def test_the_best_rated_come_first_then_the_most_reviewed(self, catalogue: CatalogueStore) -> None:
        await open_workers(catalogue)
        assert await workers_found(catalogue, WorkerFilter()) == [OTIENO, WANJA]
        await review(catalogue, a_review(rating=1))
        assert await workers_found(catalogue, WorkerFilter()) == [WANJA, OTIENO]
        first = await catalogue.queries.workers(WorkerFilter(), Page(limit=1))
        assert [(one.account_id, one.rating.text) for one in first.results] == [(WANJA, "1.00")]
        second = await catalogue.queries.workers(WorkerFilter(), Page(limit=1, cursor=first.next))
        assert [(one.account_id, one.rating.text) for one in second.results] == [(OTIENO, "0.00")]
        assert second.next is None

    async def test_each_filter_narrows(self, catalogue: CatalogueStore) -> None:
        offering = an_offering(await add_category(catalogue))
        await put(catalogue, offering)
        await open_workers(catalogue)
        async with catalogue.units() as uow:
            (await uow.workers.get(OTIENO)).edit(is_available=False, bio="Gardens since 1999")
            await uow.commit()
        await review(catalogue, a_review(rating=4), a_review(rating=5))
        assert await workers_found(catalogue, WorkerFilter(offering_id=offering.id)) == [WANJA]
        assert await workers_found(catalogue, WorkerFilter(is_available=True)) == [WANJA]
        assert await workers_found(catalogue, WorkerFilter(is_available=False)) == [OTIENO]
        assert await workers_found(catalogue, WorkerFilter(search="gard 1999")) == [OTIENO]
        assert await workers_found(catalogue, WorkerFilter(search="BRI")) == [OTIENO]
        assert await workers_found(catalogue, WorkerFilter(search="wanja")) == [WANJA]
        assert await workers_found(catalogue, WorkerFilter(search="carol")) == []
        assert await workers_found(catalogue, WorkerFilter(rating_min=450)) == [WANJA]
        assert await workers_found(catalogue, WorkerFilter(rating_min=451)) == []

    async def test_who_is_suspended_is_not_there(self, catalogue: CatalogueStore) -> None:
        await open_workers(catalogue)
        await catalogue.shut(WANJA)
        assert await workers_found(catalogue, WorkerFilter()) == [OTIENO]
        with pytest.raises(WorkerNotFound):
            await catalogue.queries.worker(WANJA)

    async def test_who_may_work_no_longer_is_not_there(self, catalogue: CatalogueStore) -> None:
        await open_workers(catalogue)
        await catalogue.take_role(WANJA)
        assert await workers_found(catalogue, WorkerFilter()) == [OTIENO]
        with pytest.raises(WorkerNotFound):
            await catalogue.queries.worker(WANJA)

    async def test_who_is_no_worker_is_not_there(self, catalogue: CatalogueStore) -> None:
        for account in (CLIENT, AccountId(IDS.new())):
            with pytest.raises(WorkerNotFound):
                await catalogue.queries.worker(account)

    async def test_a_worker_comes_with_the_newest_five_reviews_that_are_not_hidden(
        self, catalogue: CatalogueStore
    ) -> None:
        await open_workers(catalogue)
        reviews = [a_review(rating=rating, reviewer_id=OTHER_CLIENT) for rating in (1, 2, 3, 4, 5, 1, 2)]
        await review(catalogue, *reviews)
        async with catalogue.units() as uow:
            hidden = await uow.reviews.get(reviews[-2].id)
            hidden.hide(await uow.reviews.summary(WANJA, AREA))
            await uow.commit()
        page = await catalogue.queries.worker(WANJA)
        assert [one.id for one in page.reviews] == [one.id for one in (reviews[-1], *reviews[-3:-7:-1])]
        shown = page.reviews[0]
        assert (shown.reviewer_name, shown.rating, shown.comment, shown.created_at) == ("chris", 2, "spotless", NOON)
        assert (page.worker.rating.total, page.worker.rating.count, page.worker.rating.text) == (17, 6, "2.83")

    async def test_a_service_that_is_not_active_is_not_shown_among_what_he_does(
        self, catalogue: CatalogueStore
    ) -> None:
        category = await add_category(catalogue)
        shown, gone = an_offering(category), an_offering(category, is_active=False)
        await put(catalogue, shown, gone)
        assert await specializations(catalogue, WANJA) == {shown.id}

    async def test_a_cursor_that_was_never_ours_is_refused(self, catalogue: CatalogueStore) -> None:
        await open_workers(catalogue)
        with pytest.raises(Invalid):
            await catalogue.queries.workers(WorkerFilter(), Page(cursor="AAAA"))
