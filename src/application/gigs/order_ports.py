"""What the use cases of orders need from outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from application.core.payments.refund_ports import RefundsUnitOfWork
from application.gigs.order_queries import PersonView
from application.gigs.ports import GigsUnitOfWork
from domain.core.kernel.ids import AccountId
from domain.gigs.offering import Offering, OfferingId
from domain.gigs.order import Actor, Order, OrderId, OrderNotFound
from domain.gigs.transitions import Party


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLoad:
    """An order, locked, and what somebody is to it."""

    order: Order
    is_specialist: bool
    """He is a worker with an open account, and does this service."""
    is_blocked: bool
    """There is a block between him and the client."""

    def actor(self, account_id: AccountId, *, is_admin: bool) -> Actor:
        """Return in which part he acts. Raises OrderNotFound: a block hides open orders, not running ones
        (identity.block_works_both_ways).
        """
        actor = self.order.part_of(account_id, is_admin=is_admin, is_specialist=self.is_specialist)
        if self.is_blocked and actor.party in {Party.OFFERED, Party.SPECIALIST}:
            raise OrderNotFound
        return actor


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a person is to an order that somebody else acts on."""

    is_worker: bool
    """He has an open account with the grant of a worker."""
    is_specialist: bool
    is_blocked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferingLoad:
    """A service, locked against changes, and who orders it."""

    offering: Offering
    client: PersonView


class OrderRepository(Protocol):
    """Orders as whole aggregates, with the offer that is open. Promises (tests/contract/gigs/orders.py):

    - `get` and `get_for` lock the order until the unit of work ends, and raise OrderNotFound;
    - an order loaded or added here is saved by commit, its new history and ended offers included, and by nothing else;
    - history is only added to, in the order of the steps;
    - an order has one open offer: a second one raises AlreadyAssigned at commit, whatever was read before.
    """

    def add(self, order: Order) -> None: ...

    async def get(self, order_id: OrderId) -> Order: ...

    async def get_for(self, order_id: OrderId, account_id: AccountId) -> OrderLoad:
        """Return an order and what this person is to it, in one round trip."""
        ...

    async def standing_of(self, account_id: AccountId, order: Order) -> Standing:
        """Return what a person is to an order that was loaded here."""
        ...

    async def offering_for(self, offering_id: OfferingId, client_id: AccountId) -> OfferingLoad:
        """Return a service as it is ordered: its row is locked against changes, not against other orders.

        Raises OfferingNotFound, also for a service whose owner's account is shut.
        """
        ...

    async def held_by(self, worker_id: AccountId) -> Sequence[OrderId]:
        """Return the orders that a worker is on or has offered to him, in the order of ids, not locked."""
        ...


class OrdersUnitOfWork(GigsUnitOfWork, RefundsUnitOfWork, Protocol):
    """One transaction over orders, the catalogue, and the core they move with."""

    @property
    def orders(self) -> OrderRepository: ...
