"""Orders on a real PostgreSQL: the contracts that the store in memory keeps, and what only a database does."""

import asyncpg
import pytest

from domain.gigs.transitions import Stage
from infrastructure.postgres.database import Database
from infrastructure.postgres.gigs.order_queries import PostgresOrderQueries
from infrastructure.postgres.gigs.unit_of_work import PostgresGigsUnitOfWork
from infrastructure.system.ids import UuidV7Source
from interface.bootstrap.area import SubscriptionList
from tests.builders.orders import CLIENT, an_offering, an_order_at
from tests.contract.gigs.order_queries import OrderQueriesContract
from tests.contract.gigs.orders import OrderRepositoryContract, OrderStore, furnish, steps, store
from tests.fakes.core.system import FixedClock

WAITING = (
    "SELECT EXISTS (SELECT FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid"
    " WHERE NOT l.granted AND a.datname = current_database())"
)


class PostgresOrderStore:
    @pytest.fixture
    async def orders(self, database: Database, clock: FixedClock) -> OrderStore:
        ids = UuidV7Source()

        def units() -> PostgresGigsUnitOfWork:
            return PostgresGigsUnitOfWork(database, clock=clock, ids=ids, subscriptions=SubscriptionList())

        async def is_somebody_waiting() -> bool:
            async with database.connection() as connection:
                return bool(await connection.fetchval(WAITING))

        store = OrderStore(units=units, queries=PostgresOrderQueries(database), is_somebody_waiting=is_somebody_waiting)
        await furnish(store)
        return store


class TestPostgresOrders(PostgresOrderStore, OrderRepositoryContract): ...


class TestPostgresOrderLocks(PostgresOrderStore):
    async def test_a_service_being_ordered_is_kept_from_edits_and_not_from_other_orders(
        self, orders: OrderStore
    ) -> None:
        offering_id = an_offering().id
        async with orders.units() as uow:
            await uow.orders.offering_for(offering_id, CLIENT)
            async with orders.units() as other:
                assert (await other.orders.offering_for(offering_id, CLIENT)).offering.id == offering_id
            async with orders.units() as editor:
                await editor.connection.execute("SET LOCAL lock_timeout = '50ms'")
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await editor.offerings.get(offering_id)

    @pytest.mark.parametrize("as_somebody", [False, True])
    async def test_who_reads_an_order_to_change_it_waits_for_who_did_before(
        self, orders: OrderStore, as_somebody: bool
    ) -> None:
        order = an_order_at(Stage.STARTED)
        await store(orders, order)
        async with orders.units() as first, orders.units() as second:
            await first.orders.get(order.id)
            await second.connection.execute("SET LOCAL lock_timeout = '50ms'")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await (second.orders.get_for(order.id, CLIENT) if as_somebody else second.orders.get(order.id))


class TestPostgresOrderQueries(PostgresOrderStore, OrderQueriesContract): ...


class TestPostgresOrderHistory(PostgresOrderStore):
    @pytest.mark.parametrize("sql", ["UPDATE gigs_order_events SET comment = 'x'", "DELETE FROM gigs_order_events"])
    async def test_history_is_only_added_to(self, database: Database, orders: OrderStore, sql: str) -> None:
        order = an_order_at(Stage.STARTED)
        await store(orders, order)
        before = await steps(orders, order.id)
        async with database.connection() as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(sql)
        assert await steps(orders, order.id) == before
        assert len(before) == 4

    async def test_what_the_domain_never_does_is_refused_by_the_table_too(
        self, database: Database, orders: OrderStore
    ) -> None:
        order = an_order_at(Stage.STARTED)
        await store(orders, order)
        async with database.connection() as connection:
            for change in (
                "worker_id = client_id",
                "worker_id = NULL",
                "quantity = 0",
                "unit_price = -1",
                "ends_at = scheduled_at",
                "stage = 'offered'",
                "ended_at = now()",
            ):
                with pytest.raises(asyncpg.CheckViolationError):
                    await connection.execute(f"UPDATE gigs_orders SET {change}")
