"""What every store of orders promises. `orders` gives units of work and reads over one store that knows the people and
services of tests/builders/orders.py: four workers who do the first two services, and one of them the third.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from application.gigs.order_ports import Standing
from application.gigs.order_queries import OrderQueries, Viewer
from domain.core.identity.account import Account
from domain.core.identity.blocks import Block
from domain.core.identity.roles import GrantStatus, Role, RoleGrant
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.kernel.money import Money
from domain.gigs.offering import OfferingCategory, OfferingId, OfferingNotFound
from domain.gigs.order import Actor, AlreadyAssigned, Order, OrderId, OrderNotFound
from domain.gigs.transitions import Party, Stage
from tests.builders.orders import (
    ADMIN,
    AS_ADMIN,
    AS_CLIENT,
    AS_WORKER,
    CATEGORY,
    CLIENT,
    FEE_BASIS_POINTS,
    IDS,
    LISTER,
    NAMES,
    OTHER_CLIENT,
    OTHER_WORKER,
    TERMS,
    THIRD_WORKER,
    WORKER,
    WORKERS,
    a_paid_order,
    an_offering,
    an_order,
    an_order_at,
    offer,
)
from tests.fakes.core.system import NOON

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStore:
    """A store as the contracts see it."""

    units: Callable[[], Any]
    queries: OrderQueries
    is_somebody_waiting: Callable[[], Awaitable[bool]]
    """Whether a unit of work waits for another one."""


async def furnish(orders: OrderStore) -> None:
    """Let people join, services be listed, and workers choose what they do."""
    async with orders.units() as uow:
        for account_id, name in NAMES.items():
            role = Role.ADMIN if account_id == ADMIN else Role.WORKER if account_id in WORKERS else Role.CLIENT
            grants = [RoleGrant(role, GrantStatus.ACTIVE)]
            uow.accounts.add(Account(id=account_id, username=name, password_hash="hash", joined_at=NOON, grants=grants))
        uow.categories.add(
            OfferingCategory(id=CATEGORY, name="Cleaning", description="", icon="broom", created_at=NOON)
        )
        for number in (1, 2, 3):
            uow.offerings.add(an_offering(number))
        for worker in WORKERS:
            does = (1, 2, 3) if worker == LISTER else (1, 2)
            uow.workers.open(worker)
            uow.workers.replace_specializations(worker, [an_offering(number).id for number in does])
        await uow.commit()


async def store(orders: OrderStore, *placed: Order) -> None:
    async with orders.units() as uow:
        for order in placed:
            uow.orders.add(order)
        await uow.commit()


async def stored(orders: OrderStore, order_id: OrderId) -> Order:
    async with orders.units() as uow:
        order: Order = await uow.orders.get(order_id)
    return order


async def change(orders: OrderStore, order_id: OrderId, do: Callable[[Order], object]) -> None:
    async with orders.units() as uow:
        do(await uow.orders.get(order_id))
        await uow.commit()


async def block(orders: OrderStore, blocker: AccountId, blocked: AccountId) -> None:
    async with orders.units() as uow:
        await uow.blocks.add(
            Block(id=IDS.new(), blocker_id=blocker, blocked_id=blocked, reason="rude", created_at=NOON)
        )
        await uow.commit()


async def shut(orders: OrderStore, account_id: AccountId) -> None:
    async with orders.units() as uow:
        (await uow.accounts.get(account_id)).is_active = False
        await uow.commit()


async def suspend_grant(orders: OrderStore, account_id: AccountId) -> None:
    async with orders.units() as uow:
        account = await uow.accounts.get(account_id)
        account.grants = [replace(grant, status=GrantStatus.SUSPENDED) for grant in account.grants]
        await uow.commit()


async def steps(orders: OrderStore, order_id: OrderId) -> list[tuple[Stage, str, AccountId | None]]:
    view = await orders.queries.order(order_id, Viewer(account_id=ADMIN, is_admin=True))
    return [(step.stage, step.comment, step.created_by) for step in view.steps]


async def until_somebody_waits(orders: OrderStore, effects: list[str]) -> None:
    """Return when the other unit of work waits for this one, or when it did not have to."""
    for _ in range(1_000):
        if effects or await orders.is_somebody_waiting():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("nobody came")


def forgotten(order: Order) -> Order:
    """Return the order without what was only for the store."""
    return replace(order, new_events=[], ended_offers=[])


class OrderRepositoryContract:
    async def test_an_order_is_found_as_it_was_stored(self, orders: OrderStore) -> None:
        for stage in Stage:
            order = an_order_at(stage)
            order.intent_id = IntentId(IDS.new())
            expected = forgotten(order)
            await store(orders, order)
            assert await stored(orders, order.id) == expected

    async def test_an_order_of_nothing_is_found_as_it_was_stored(self, orders: OrderStore) -> None:
        order = an_order(offering=an_offering(price=Money(0, "USD")))
        expected = forgotten(order)
        assert expected.stage is Stage.UNASSIGNED
        await store(orders, order)
        assert await stored(orders, order.id) == expected

    async def test_every_change_is_found_again(self, orders: OrderStore) -> None:
        order = a_paid_order()
        expected = forgotten(order)
        await store(orders, order)
        later = NOON + timedelta(hours=1, microseconds=7)

        def whole_story(order: Order) -> None:
            order.edit(by=AS_CLIENT, now=later, description="3 flats", address="Hill Road 2")
            order.take(WORKER, is_specialised=True, comment="mine", now=later)
            order.deliver(WORKER, comment="done", terms=TERMS, now=later)
            order.request_changes(by=AS_CLIENT, reason="the oven", terms=TERMS, now=later)
            order.deliver(WORKER, comment="again", terms=TERMS, now=later)
            order.accept(by=AS_CLIENT, comment="", fee_basis_points=FEE_BASIS_POINTS, now=later)
            order.archive(later)

        whole_story(expected)
        await change(orders, order.id, whole_story)
        assert await stored(orders, order.id) == forgotten(expected)

    async def test_an_unknown_order_is_refused(self, orders: OrderStore) -> None:
        async with orders.units() as uow:
            with pytest.raises(OrderNotFound):
                await uow.orders.get(OrderId(UUID(int=1)))
            with pytest.raises(OrderNotFound):
                await uow.orders.get_for(OrderId(UUID(int=1)), WORKER)

    async def test_a_change_without_commit_leaves_no_trace(self, orders: OrderStore) -> None:
        order = a_paid_order()
        expected = forgotten(order)
        await store(orders, order)
        async with orders.units() as uow:
            load = await uow.orders.get_for(order.id, WORKER)
            load.order.take(WORKER, is_specialised=True, comment="", now=NOON)
        assert await stored(orders, order.id) == expected
        assert [stage for stage, _, _ in await steps(orders, order.id)] == [Stage.UNPAID, Stage.UNASSIGNED]

    async def test_an_order_that_was_loaded_twice_is_one_order(self, orders: OrderStore) -> None:
        order = a_paid_order()
        await store(orders, order)
        async with orders.units() as uow:
            first = await uow.orders.get(order.id)
            first.take(WORKER, is_specialised=True, comment="", now=NOON)
            assert (await uow.orders.get_for(order.id, WORKER)).order is first
            assert await uow.orders.get(order.id) is first
            await uow.commit()
        assert (await stored(orders, order.id)).stage is Stage.ASSIGNED

    async def test_two_orders_of_one_unit_are_both_stored(self, orders: OrderStore) -> None:
        one, other = a_paid_order(), a_paid_order()
        await store(orders, one, other)
        async with orders.units() as uow:
            offer(await uow.orders.get(one.id), WORKER)
            offer(await uow.orders.get(other.id), WORKER)
            await uow.commit()
        assert [(await stored(orders, order.id)).stage for order in (one, other)] == [Stage.OFFERED] * 2

    async def test_history_is_added_in_the_order_of_the_steps(self, orders: OrderStore) -> None:
        order = a_paid_order()
        await store(orders, order)
        await change(orders, order.id, offer)
        await change(orders, order.id, lambda order: order.lapse_offer(NOON + timedelta(minutes=16)))
        await change(orders, order.id, lambda order: order.take(WORKER, is_specialised=True, comment="me", now=NOON))

        def rest(order: Order) -> None:
            order.start(by=AS_WORKER, comment="arrived", now=NOON)
            order.deliver(WORKER, comment="done", terms=TERMS, now=NOON)
            order.request_changes(by=AS_CLIENT, reason="the oven", terms=TERMS, now=NOON)
            order.deliver(WORKER, comment="again", terms=TERMS, now=NOON)
            order.accept(by=AS_CLIENT, comment="thanks", fee_basis_points=FEE_BASIS_POINTS, now=NOON)

        await change(orders, order.id, rest)
        assert await steps(orders, order.id) == [
            (Stage.UNPAID, "", CLIENT),
            (Stage.UNASSIGNED, "", None),
            (Stage.OFFERED, "", None),
            (Stage.UNASSIGNED, "not answered in time", None),
            (Stage.ASSIGNED, "me", WORKER),
            (Stage.STARTED, "arrived", WORKER),
            (Stage.DELIVERED, "done", WORKER),
            (Stage.CHANGES, "the oven", CLIENT),
            (Stage.DELIVERED, "again", WORKER),
            (Stage.COMPLETED, "thanks", CLIENT),
        ]

    async def test_what_is_flushed_is_not_written_twice(self, orders: OrderStore) -> None:
        order = a_paid_order()
        async with orders.units() as uow:
            uow.orders.add(order)
            await uow.flush()
            offer(order)
            await uow.flush()
            order.lapse_offer(NOON + timedelta(minutes=16))
            await uow.commit()
        assert [stage for stage, _, _ in await steps(orders, order.id)] == [
            Stage.UNPAID,
            Stage.UNASSIGNED,
            Stage.OFFERED,
            Stage.UNASSIGNED,
        ]
        assert (await stored(orders, order.id)).offer is None

    async def test_an_offer_that_lapsed_makes_room_for_another_in_the_same_unit(self, orders: OrderStore) -> None:
        order = a_paid_order()
        await store(orders, order)
        await change(orders, order.id, lambda order: offer(order, OTHER_WORKER))

        def again(order: Order) -> None:
            order.lapse_offer(NOON + timedelta(minutes=16))
            offer(order, WORKER, now=NOON + timedelta(minutes=16))

        await change(orders, order.id, again)
        found = await stored(orders, order.id)
        assert (found.stage, found.worker_id) == (Stage.OFFERED, WORKER)
        assert found.offer is not None
        assert (found.offer.worker_id, found.offer.answer_by) == (WORKER, NOON + timedelta(minutes=31))
        refused = {
            one.account_id: one.has_refused for one in await orders.queries.candidates(order.id, load_max=5, limit=10)
        }
        assert refused == {WORKER: False, OTHER_WORKER: True, THIRD_WORKER: False, LISTER: False}

    async def test_an_order_has_one_open_offer(self, orders: OrderStore) -> None:
        order = a_paid_order()
        await store(orders, order)
        await change(orders, order.id, offer)
        async with orders.units() as uow:
            found = await uow.orders.get(order.id)
            found.offer = replace(found.offer, id=IDS.new(), worker_id=OTHER_WORKER)  # a second one, past the domain
            found.worker_id = OTHER_WORKER
            with pytest.raises(AlreadyAssigned):
                await uow.commit()
        assert (await stored(orders, order.id)).worker_id == WORKER

    async def test_a_worker_may_have_several_offers(self, orders: OrderStore) -> None:
        one, other = a_paid_order(), a_paid_order()
        await store(orders, one, other)
        for order in (one, other):
            await change(orders, order.id, offer)
        async with orders.units() as uow:
            assert await uow.orders.held_by(WORKER) == [one.id, other.id]

    @pytest.mark.parametrize("way", ["get", "get_for"])
    async def test_two_workers_who_take_one_order_meet_at_its_lock(self, orders: OrderStore, way: str) -> None:
        order = a_paid_order()
        await store(orders, order)
        first_has_it, effects = asyncio.Event(), list[str]()

        async def load(uow: Any, worker: AccountId) -> Order:
            found: Order
            if way == "get":
                found = await uow.orders.get(order.id)
            else:
                found = (await uow.orders.get_for(order.id, worker)).order
            return found

        async def first() -> None:
            async with orders.units() as uow:
                found = await load(uow, WORKER)
                found.take(WORKER, is_specialised=True, comment="", now=NOON)
                first_has_it.set()
                await until_somebody_waits(orders, effects)
                effects.append("first commits")
                await uow.commit()

        async def second() -> None:
            await first_has_it.wait()
            async with orders.units() as uow:
                found = await load(uow, OTHER_WORKER)
                effects.append("second has it")
                with pytest.raises(AlreadyAssigned):
                    found.take(OTHER_WORKER, is_specialised=True, comment="", now=NOON)

        await asyncio.gather(first(), second())
        assert effects == ["first commits", "second has it"]
        assert (await stored(orders, order.id)).worker_id == WORKER

    async def test_an_administrator_who_waited_sees_the_offer_that_was_accepted_meanwhile(
        self, orders: OrderStore
    ) -> None:
        order = a_paid_order()
        await store(orders, order)
        await change(orders, order.id, offer)
        worker_has_it, effects = asyncio.Event(), list[str]()

        async def worker() -> None:
            async with orders.units() as uow:
                load = await uow.orders.get_for(order.id, WORKER)
                load.order.accept_offer(WORKER, comment="", now=NOON)
                worker_has_it.set()
                await until_somebody_waits(orders, effects)
                effects.append("worker commits")
                await uow.commit()

        async def administrator() -> None:
            await worker_has_it.wait()
            async with orders.units() as uow:
                found = (await uow.orders.get_for(order.id, ADMIN)).order
                effects.append("administrator has it")
                assert (found.stage, found.offer) == (Stage.ASSIGNED, None)
                found.assign(OTHER_WORKER, is_specialised=True, by=AS_ADMIN, comment="", now=NOON)
                await uow.commit()

        await asyncio.gather(worker(), administrator())
        assert effects == ["worker commits", "administrator has it"]
        assert (await stored(orders, order.id)).worker_id == OTHER_WORKER

    async def test_who_loads_an_order_learns_what_he_is_to_it(self, orders: OrderStore) -> None:
        order = a_paid_order(offering=an_offering(3))
        await store(orders, order)
        await suspend_grant(orders, OTHER_WORKER)
        await shut(orders, THIRD_WORKER)
        found = {}
        for person in (WORKER, OTHER_WORKER, THIRD_WORKER, LISTER, CLIENT, ADMIN):
            async with orders.units() as uow:
                load = await uow.orders.get_for(order.id, person)
                standing = await uow.orders.standing_of(person, load.order)
            assert standing.is_specialist == load.is_specialist
            assert not load.is_blocked
            found[person] = standing
        nothing = Standing(is_worker=False, is_specialist=False, is_blocked=False)
        assert found == {
            WORKER: Standing(is_worker=True, is_specialist=False, is_blocked=False),  # he does the other two
            OTHER_WORKER: nothing,  # his grant is suspended
            THIRD_WORKER: nothing,  # his account is shut
            LISTER: Standing(is_worker=True, is_specialist=True, is_blocked=False),
            CLIENT: nothing,
            ADMIN: nothing,
        }

    @pytest.mark.parametrize(("blocker", "blocked"), [(WORKER, CLIENT), (CLIENT, WORKER)])
    async def test_a_block_counts_both_ways(self, orders: OrderStore, blocker: AccountId, blocked: AccountId) -> None:
        order = a_paid_order()
        await store(orders, order)
        await block(orders, blocker, blocked)
        async with orders.units() as uow:
            load = await uow.orders.get_for(order.id, WORKER)
            assert load.is_blocked
            assert (await uow.orders.standing_of(WORKER, load.order)).is_blocked
            assert not (await uow.orders.standing_of(OTHER_WORKER, load.order)).is_blocked
            with pytest.raises(OrderNotFound):
                load.actor(WORKER, is_admin=False)

    async def test_a_block_hides_nothing_from_administrators_and_from_who_is_on_it(self, orders: OrderStore) -> None:
        open_one, running = a_paid_order(), an_order_at(Stage.ASSIGNED)
        await store(orders, open_one, running)
        await block(orders, CLIENT, WORKER)
        await block(orders, ADMIN, CLIENT)
        async with orders.units() as uow:
            as_admin = (await uow.orders.get_for(open_one.id, ADMIN)).actor(ADMIN, is_admin=True)
            as_worker = (await uow.orders.get_for(running.id, WORKER)).actor(WORKER, is_admin=False)
            as_client = (await uow.orders.get_for(open_one.id, CLIENT)).actor(CLIENT, is_admin=False)
        assert (as_admin, as_worker, as_client) == (
            Actor(Party.ADMIN, ADMIN),
            Actor(Party.WORKER, WORKER),
            Actor(Party.CLIENT, CLIENT),
        )

    async def test_a_service_is_ordered_as_it_stands(self, orders: OrderStore) -> None:
        async with orders.units() as uow:
            load = await uow.orders.offering_for(an_offering().id, CLIENT)
        assert load.offering == an_offering()
        assert (load.client.id, load.client.username) == (CLIENT, "carol")

    async def test_a_service_that_is_not_there_cannot_be_ordered(self, orders: OrderStore) -> None:
        async with orders.units() as uow:
            with pytest.raises(OfferingNotFound):
                await uow.orders.offering_for(OfferingId(UUID(int=1)), CLIENT)

    async def test_a_service_of_a_shut_account_cannot_be_ordered(self, orders: OrderStore) -> None:
        await shut(orders, LISTER)
        async with orders.units() as uow:
            with pytest.raises(OfferingNotFound):
                await uow.orders.offering_for(an_offering().id, CLIENT)

    async def test_a_worker_holds_what_he_is_on_and_what_is_offered_to_him(self, orders: OrderStore) -> None:
        by_stage = {stage: an_order_at(stage) for stage in Stage}
        others = an_order_at(Stage.ASSIGNED, worker=OTHER_WORKER)
        await store(orders, *by_stage.values(), others, an_order_at(Stage.STARTED, client=OTHER_CLIENT, worker=LISTER))
        held = [Stage.OFFERED, Stage.ASSIGNED, Stage.STARTED, Stage.DELIVERED, Stage.CHANGES]
        async with orders.units() as uow:
            assert await uow.orders.held_by(WORKER) == [by_stage[stage].id for stage in held]
            assert await uow.orders.held_by(OTHER_WORKER) == [others.id]
            assert await uow.orders.held_by(THIRD_WORKER) == []
