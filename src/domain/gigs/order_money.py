"""The money of an order: held in its escrow when it is paid, and out of it when the order ends."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.earnings import EarningsHold, pay_earnings
from domain.core.ledger.transfer import Posting, Transfer, TransferKind
from domain.gigs.order import Order, OrderId

AREA: Final = "gigs"
PURPOSE: Final = "order"
"""What a payment of an order is for."""


def escrow_of(order_id: OrderId) -> AccountRef:
    """Return the account that holds an order's money."""
    return AccountRef.escrow("order", order_id)


def subject_of(order_id: OrderId) -> str:
    """Return the name of an order in the books."""
    return f"order:{order_id}"


def completion_transfer(
    order: Order, *, id: TransferId, owed: Money, waits: bool, actor: AccountId | None, now: datetime
) -> Transfer | None:
    """Return the transfer that pays the worker, less the fee, of a completed order; None where it cost nothing.

    `owed` is the balance of what the worker owes, which is filled first; with `waits` the earnings go to their hold.
    """
    if not order.total.minor:
        return None
    return _transfer(
        order, "complete", _share(order, owed=owed, waits=waits), id=id, kind=TransferKind.EARNING, actor=actor, now=now
    )


def cancellation_transfer(
    order: Order,
    returned: Money,
    *,
    id: TransferId,
    owed: Money,
    waits: bool,
    actor: AccountId | None,
    now: datetime,
) -> Transfer | None:
    """Return the transfer that empties the escrow of a canceled order: what goes back to the client's wallet
    (gigs.cancel_pays_the_wallet), and what a late cancellation leaves to the worker, less the fee.
    """
    legs: tuple[Posting, ...] = ()
    if returned.minor:
        legs = (Posting(escrow_of(order.id), AccountRef.wallet(order.client_id), returned),)
    if order.earning is not None:
        legs = (*legs, *_share(order, owed=owed, waits=waits))
    assert sum(leg.amount.minor for leg in legs) in {0, order.total.minor}, "rule ledger.escrow_ends_empty"
    if not legs:
        return None
    return _transfer(order, "cancel", legs, id=id, kind=TransferKind.REFUND, actor=actor, now=now)


def earnings_hold(order: Order, *, id: UUID, wait: timedelta, now: datetime) -> EarningsHold | None:
    """Return the waiting time of what an order earned (gigs.earnings_wait_three_days); None where it earned nothing."""
    net = net_of(order)
    if net is None or not net.minor:
        return None
    assert order.worker_id is not None
    return EarningsHold(
        id=id,
        payee=order.worker_id,
        amount=net,
        area=AREA,
        subject=subject_of(order.id),
        available_at=now + wait,
        created_at=now,
    )


def net_of(order: Order) -> Money | None:
    """Return what the worker gets of an order that has ended; None where it earned nothing."""
    if order.earning is None or order.fee_basis_points is None:
        return None
    return order.earning.split_fee(order.fee_basis_points)[1]


def _share(order: Order, *, owed: Money, waits: bool) -> tuple[Posting, ...]:
    assert order.earning is not None
    assert order.worker_id is not None, "nobody earns from an order without a worker"
    assert order.fee_basis_points is not None
    return pay_earnings(
        source=escrow_of(order.id),
        payee=order.worker_id,
        amount=order.earning,
        fee_basis_points=order.fee_basis_points,
        owed=owed,
        hold=waits,
    )


def _transfer(
    order: Order,
    word: str,
    legs: tuple[Posting, ...],
    *,
    id: TransferId,
    kind: TransferKind,
    actor: AccountId | None,
    now: datetime,
) -> Transfer:
    return Transfer(
        id=id,
        reference=f"order:{order.id}:{word}",
        kind=kind,
        area=AREA,
        subject=subject_of(order.id),
        legs=legs,
        posted_at=now,
        actor=actor,
    )
