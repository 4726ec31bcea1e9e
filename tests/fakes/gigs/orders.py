"""Orders in memory: the aggregates, their history and the offers that were made of them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from application.gigs.order_ports import OfferingLoad, OrderLoad, Standing
from application.gigs.order_queries import PersonView
from domain.core.identity.account import Account
from domain.core.kernel.ids import AccountId
from domain.gigs.offering import Offering, OfferingId, OfferingNotFound
from domain.gigs.order import AlreadyAssigned, JobOffer, Order, OrderId, OrderNotFound
from domain.gigs.transitions import ENDED
from tests.fakes.core.store import InMemoryCoreUnitOfWork


def is_open_worker(account: Account | None) -> bool:
    """Tell whether an account is open and has the grant of a worker."""
    return account is not None and account.is_active and "worker" in account.active_roles


def person_view(account: Account) -> PersonView:
    """Return an account as the others on an order see it."""
    return PersonView(
        id=account.id,
        username=account.username,
        first_name=account.first_name,
        last_name=account.last_name,
        avatar=account.avatar,
    )


class InMemoryOrders:
    def __init__(self, unit_of_work: InMemoryCoreUnitOfWork) -> None:
        self._orders = unit_of_work.table("gigs_orders")
        self._events = unit_of_work.table("gigs_order_events")
        self._offers = unit_of_work.table("gigs_job_offers")
        self._offerings = unit_of_work.table("offerings")
        self._does = unit_of_work.table("worker_specializations")
        self._accounts = unit_of_work.table("accounts")
        self._blocks = unit_of_work.table("blocks")
        self._loaded: dict[OrderId, Order] = {}
        unit_of_work.at_commit(self._store)

    def add(self, order: Order) -> None:
        self._orders[order.id] = order
        self._loaded[order.id] = order

    async def get(self, order_id: OrderId) -> Order:
        if order_id not in self._loaded:
            if order_id not in self._orders:
                raise OrderNotFound
            self._loaded[order_id] = self._orders[order_id]
        return self._loaded[order_id]

    async def get_for(self, order_id: OrderId, account_id: AccountId) -> OrderLoad:
        order = await self.get(order_id)
        standing = await self.standing_of(account_id, order)
        return OrderLoad(order=order, is_specialist=standing.is_specialist, is_blocked=standing.is_blocked)

    async def standing_of(self, account_id: AccountId, order: Order) -> Standing:
        is_worker = is_open_worker(self._accounts.get(account_id))
        pair = (account_id, order.client_id)
        return Standing(
            is_worker=is_worker,
            is_specialist=is_worker and (account_id, order.offering_id) in self._does,
            is_blocked=pair in self._blocks or pair[::-1] in self._blocks,
        )

    async def offering_for(self, offering_id: OfferingId, client_id: AccountId) -> OfferingLoad:
        offering: Offering | None = self._offerings.get(offering_id)
        if offering is None or not self._accounts[offering.owner_id].is_active:
            raise OfferingNotFound
        return OfferingLoad(offering=offering, client=person_view(self._accounts[client_id]))

    async def held_by(self, worker_id: AccountId) -> Sequence[OrderId]:
        orders: list[Order] = list(self._orders.values())
        return sorted(one.id for one in orders if one.worker_id == worker_id and one.stage not in ENDED)

    def _store(self) -> None:
        for order in self._loaded.values():
            known = sum(1 for key in self._keys() if key[0] == order.id)
            for index, step in enumerate(order.new_events, start=known + 1):
                self._events[order.id, index] = step
            for offer in (*order.ended_offers, *([] if order.offer is None else [order.offer])):
                self._offers[offer.id] = (order.id, offer)
            if len(self._open_offers(order.id)) > 1:
                raise AlreadyAssigned
            order.new_events.clear()
            order.ended_offers.clear()

    def _keys(self) -> list[tuple[UUID, int]]:
        keys: list[Any] = list(self._events)
        return keys

    def _open_offers(self, order_id: OrderId) -> list[JobOffer]:
        return [offer for of_order, offer in self._offers.values() if of_order == order_id and offer.end is None]
