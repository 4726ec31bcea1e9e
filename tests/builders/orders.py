"""Orders at every stage, as tests of them start from. Everything happens at noon unless a test says otherwise."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from application.gigs.terms import order_terms
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money
from domain.gigs.offering import CategoryId, Offering, OfferingId
from domain.gigs.order import Actor, Order, OrderId
from domain.gigs.policies import FEE
from domain.gigs.transitions import Party, Stage
from tests.fakes.core.policies import DefaultPolicies
from tests.fakes.core.system import NOON, SequentialIds

IDS = SequentialIds(start=1 << 29)

CLIENT, OTHER_CLIENT = AccountId(UUID(int=0xC1)), AccountId(UUID(int=0xC2))
WORKER, OTHER_WORKER, THIRD_WORKER = AccountId(UUID(int=0xE1)), AccountId(UUID(int=0xE2)), AccountId(UUID(int=0xE3))
LISTER = AccountId(UUID(int=0x11))
"""Who lists the services; the others chose to do them."""
ADMIN = AccountId(UUID(int=0xAD))
NAMES = {
    CLIENT: "carol",
    OTHER_CLIENT: "cyrus",
    WORKER: "wanja",
    OTHER_WORKER: "wekesa",
    THIRD_WORKER: "waweru",
    LISTER: "lila",
    ADMIN: "amina",
}
WORKERS = (WORKER, OTHER_WORKER, THIRD_WORKER, LISTER)

TERMS = order_terms(DefaultPolicies())
FEE_BASIS_POINTS = DefaultPolicies().value(FEE)
CATEGORY = CategoryId(UUID(int=0xCA))
VISIT_AT = NOON + timedelta(days=5)
AS_CLIENT, AS_ADMIN, AS_WORKER = Actor(Party.CLIENT, CLIENT), Actor(Party.ADMIN, ADMIN), Actor(Party.WORKER, WORKER)


def an_offering(number: int = 1, *, price: Money | None = None, **changes: Any) -> Offering:
    """Return a service that the lister offers."""
    fields: dict[str, Any] = {
        "id": OfferingId(UUID(int=0x5E0 + number)),
        "owner_id": LISTER,
        "category_id": CATEGORY,
        "name": f"Deep clean {number}",
        "description": "Per flat",
        "base_price": Money(2500_00) if price is None else price,
        "duration": timedelta(hours=2),
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Offering(**{**fields, **changes})


def an_order(
    *,
    client: AccountId = CLIENT,
    offering: Offering | None = None,
    scheduled_at: datetime = VISIT_AT,
    quantity: int = 2,
    now: datetime = NOON,
) -> Order:
    """Return an order that was placed and not paid."""
    order, _ = Order.place(
        id=OrderId(IDS.new()),
        client_id=client,
        offering=offering or an_offering(),
        description="2 flats",
        address="Market Street 1",
        scheduled_at=scheduled_at,
        quantity=quantity,
        expected_total=None,
        terms=TERMS,
        now=now,
    )
    return order


def a_paid_order(*, now: datetime = NOON, **wanted: Any) -> Order:
    """Return an order that waits for a worker."""
    order = an_order(now=now, **wanted)
    order.mark_paid(TERMS, now=now)
    return order


def offer(order: Order, worker: AccountId = WORKER, *, now: datetime = NOON) -> None:
    """Propose an open order to a worker."""
    order.offer_to(worker, id=IDS.new(), reasons="best of 1", terms=TERMS, now=now)


_WORKED = (Stage.UNASSIGNED, Stage.ASSIGNED, Stage.STARTED)
_WAYS: Mapping[Stage, tuple[Stage, ...]] = {
    Stage.UNPAID: (),
    Stage.UNASSIGNED: (Stage.UNASSIGNED,),
    Stage.OFFERED: (Stage.UNASSIGNED, Stage.OFFERED),
    Stage.ASSIGNED: (Stage.UNASSIGNED, Stage.ASSIGNED),
    Stage.STARTED: _WORKED,
    Stage.DELIVERED: (*_WORKED, Stage.DELIVERED),
    Stage.CHANGES: (*_WORKED, Stage.DELIVERED, Stage.CHANGES),
    Stage.COMPLETED: (*_WORKED, Stage.DELIVERED, Stage.COMPLETED),
    Stage.CANCELED: (Stage.CANCELED,),
}


def an_order_at(stage: Stage, *, worker: AccountId = WORKER, now: datetime = NOON, **wanted: Any) -> Order:
    """Return an order at a stage, brought there by the shortest way."""
    order = an_order(now=now, **wanted)
    by_client, by_worker = Actor(Party.CLIENT, order.client_id), Actor(Party.WORKER, worker)
    steps: dict[Stage, Callable[[], object]] = {
        Stage.UNASSIGNED: lambda: order.mark_paid(TERMS, now=now),
        Stage.OFFERED: lambda: offer(order, worker, now=now),
        Stage.ASSIGNED: lambda: order.take(worker, is_specialised=True, comment="", now=now),
        Stage.STARTED: lambda: order.start(by=by_worker, comment="", now=now),
        Stage.DELIVERED: lambda: order.deliver(worker, comment="done", terms=TERMS, now=now),
        Stage.CHANGES: lambda: order.request_changes(by=by_client, reason="the oven", terms=TERMS, now=now),
        Stage.COMPLETED: lambda: order.accept(by=by_client, comment="", fee_basis_points=FEE_BASIS_POINTS, now=now),
        Stage.CANCELED: lambda: order.cancel(by=by_client, reason="", fee_basis_points=FEE_BASIS_POINTS, now=now),
    }
    for step in _WAYS[stage]:
        if step is not order.stage:  # what costs nothing is paid already
            steps[step]()
    return order
