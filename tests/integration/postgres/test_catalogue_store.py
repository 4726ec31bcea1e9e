"""The catalogue on a real PostgreSQL: the contracts that the store in memory keeps, and what only it can show."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest

from application.core.kernel.ports import Page
from application.gigs.queries import OfferingFilter, OfferingOrder
from domain.core.identity.roles import GrantStatus, Role, RoleGrant
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money
from domain.gigs.offering import CategoryExists
from infrastructure.postgres.database import Database
from infrastructure.postgres.gigs.queries import PostgresGigsQueries, _offering_list
from infrastructure.postgres.gigs.unit_of_work import PostgresGigsUnitOfWork
from infrastructure.system.ids import UuidV7Source
from interface.bootstrap.area import SubscriptionList
from tests.builders.gigs import WANJA, a_category, a_review, an_offering, people
from tests.contract.gigs.catalogue import (
    CatalogueStore,
    CategoryRepositoryContract,
    OfferingListContract,
    OfferingRepositoryContract,
    WorkerListContract,
    WorkerRepositoryContract,
    add_category,
    open_workers,
    put,
    review,
)
from tests.fakes.core.system import FixedClock


class PostgresCatalogue:
    @pytest.fixture
    async def catalogue(self, database: Database, clock: FixedClock) -> CatalogueStore:
        ids = UuidV7Source()

        def units() -> PostgresGigsUnitOfWork:
            return PostgresGigsUnitOfWork(database, clock=clock, ids=ids, subscriptions=SubscriptionList())

        async with units() as uow:
            for account in people():
                uow.accounts.add(account)
            await uow.commit()

        async def shut(account_id: AccountId) -> None:
            async with units() as uow:
                (await uow.accounts.get(account_id)).is_active = False
                await uow.commit()

        async def take_role(account_id: AccountId) -> None:
            async with units() as uow:
                account = await uow.accounts.get(account_id)
                account.grants = [RoleGrant(Role.WORKER, GrantStatus.SUSPENDED)]
                await uow.commit()

        return CatalogueStore(units=units, queries=PostgresGigsQueries(database), shut=shut, take_role=take_role)


class TestPostgresCategories(PostgresCatalogue, CategoryRepositoryContract):
    async def test_of_two_with_one_name_at_once_one_is_refused(self, catalogue: CatalogueStore) -> None:
        async with catalogue.units() as first, catalogue.units() as second:
            first.categories.add(a_category("Gardens"))
            await first.flush()
            second.categories.add(a_category("gardens"))
            waiting = asyncio.create_task(second.commit())
            await asyncio.sleep(0)
            await first.commit()
            with pytest.raises(CategoryExists):
                await waiting


class TestPostgresOfferings(PostgresCatalogue, OfferingRepositoryContract):
    async def test_a_loaded_service_is_locked(self, catalogue: CatalogueStore) -> None:
        offering = an_offering(await add_category(catalogue))
        await put(catalogue, offering)

        async def raise_price() -> None:
            async with catalogue.units() as uow:
                loaded = await uow.offerings.get(offering.id)
                loaded.base_price += Money(1_00)
                await uow.commit()

        await asyncio.gather(*(raise_price() for _ in range(4)))
        assert (await catalogue.queries.offering(offering.id)).base_price == Money(2_504_00)


FORBIDDEN = {
    "ck_offerings_base_price": "UPDATE offerings SET base_price = -1",
    "ck_reviews_nobody_himself": "UPDATE reviews SET reviewer_id = person_id",
    "ck_reviews_rating": "UPDATE reviews SET rating = 6",
    "ck_worker_profiles_experience_years": "UPDATE worker_profiles SET experience_years = 61",
    "ck_worker_profiles_hourly_rate": "UPDATE worker_profiles SET hourly_rate = -1",
}
MANY = """
    INSERT INTO offerings (id, owner_id, category_id, name, description, base_price, currency, duration_s, is_active,
        created_at, updated_at, price_order, sort_name)
    SELECT ('01900000-0000-7000-a000-' || lpad(to_hex(n), 12, '0'))::uuid, $1, $2, 'Clean ' || n,
        CASE WHEN n <= 30 THEN 'ancient' ELSE 'new' END, n, 'KES', 3600, true, now(), now(), n * 10, 'clean ' || n
    FROM generate_series(1, 5000) AS n
"""


class TestPostgresOfferingLists(PostgresCatalogue, OfferingListContract):
    @pytest.fixture
    async def crowded(self, catalogue: CatalogueStore, database: Database) -> CatalogueStore:
        """Give the test five thousand services; the oldest and cheapest thirty have a word of their own."""
        category = await add_category(catalogue)
        async with database.connection() as connection:
            await connection.execute(MANY, WANJA, category)
        return catalogue

    @pytest.mark.parametrize("order", [OfferingOrder.CREATED_DOWN, OfferingOrder.PRICE_DOWN])
    async def test_what_few_have_is_found_far_down_the_list_page_by_page(
        self, crowded: CatalogueStore, order: OfferingOrder
    ) -> None:
        wanted = OfferingFilter(search="anci")
        first = await crowded.queries.offerings(wanted, order, Page(limit=20))
        assert [one.name for one in first.results] == [f"Clean {n}" for n in range(30, 10, -1)]
        second = await crowded.queries.offerings(wanted, order, Page(limit=20, cursor=first.next))
        assert [one.name for one in second.results] == [f"Clean {n}" for n in range(10, 0, -1)]
        assert second.next is None
        back = await crowded.queries.offerings(wanted, order, Page(limit=20, cursor=second.previous))
        assert back.results == first.results

    @pytest.mark.parametrize(("search", "most"), [("'anci':*", 1_100), ("'clean':*", 100), ("'nothere':*", 600)])
    async def test_a_search_reads_few_rows_whether_many_have_the_word_or_few(
        self, crowded: CatalogueStore, database_dsn: str, search: str, most: int
    ) -> None:
        statement = _offering_list(OfferingOrder.CREATED_DOWN, ("search",), False).pages.first
        arguments = statement.arguments({"search": search, "limit_rows": 21})
        owner = await asyncpg.connect(database_dsn)
        await owner.execute("ANALYZE; SET enable_seqscan = off")  # five thousand are soon read; many more are not
        plan = await owner.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.sql}", *arguments)
        await owner.close()
        assert _rows_read(json.loads(plan)[0]["Plan"]) <= most


def _rows_read(node: Mapping[str, Any]) -> int:
    """Return how many services a plan looked at."""
    mine = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    here = mine if node.get("Relation Name") == "offerings" else 0
    return int(here) + sum(_rows_read(inner) for inner in node.get("Plans", ()))


class TestPostgresWorkers(PostgresCatalogue, WorkerRepositoryContract):
    async def test_a_loaded_profile_is_locked(self, catalogue: CatalogueStore) -> None:
        await open_workers(catalogue)

        async def gain_experience() -> None:
            async with catalogue.units() as uow:
                profile = await uow.workers.get(WANJA)
                profile.edit(experience_years=profile.experience_years + 1)
                await uow.commit()

        await asyncio.gather(*(gain_experience() for _ in range(4)))
        assert (await catalogue.queries.worker(WANJA)).worker.experience_years == 4

    async def test_what_no_rule_lets_through_is_not_stored_either(
        self, catalogue: CatalogueStore, database: Database
    ) -> None:
        await put(catalogue, an_offering(await add_category(catalogue)))
        await review(catalogue, a_review())
        refused = {}
        async with database.connection() as connection:
            for constraint, change in FORBIDDEN.items():
                with pytest.raises(asyncpg.CheckViolationError) as refusal:
                    await connection.execute(change)
                refused[constraint] = refusal.value.constraint_name
        assert refused == {constraint: constraint for constraint in FORBIDDEN}


class TestPostgresWorkerLists(PostgresCatalogue, WorkerListContract): ...
