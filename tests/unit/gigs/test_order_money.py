"""The money of an order: what leaves its escrow when it ends, to the last cent (ledger.escrow_ends_empty)."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.core.kernel.ids import TransferId
from domain.core.kernel.money import AMOUNT_MINOR_MAX, Money
from domain.core.ledger.accounts import FEES, AccountRef
from domain.core.ledger.transfer import Transfer, TransferKind
from domain.gigs.order import Actor, CancelPolicy, Order
from domain.gigs.order_money import cancellation_transfer, completion_transfer, earnings_hold, escrow_of, net_of
from domain.gigs.transitions import Stage
from tests.builders.orders import (
    AS_ADMIN,
    AS_CLIENT,
    CLIENT,
    FEE_BASIS_POINTS,
    IDS,
    VISIT_AT,
    WORKER,
    an_offering,
    an_order_at,
)
from tests.fakes.core.system import NOON

NOTHING = Money.zero()
LATE = VISIT_AT - timedelta(hours=1)
WALLET, EARNED = AccountRef.wallet(CLIENT), AccountRef.pending(WORKER)
CENTS = st.integers(min_value=0, max_value=AMOUNT_MINOR_MAX)
BASIS_POINTS = st.integers(min_value=0, max_value=10_000)
PERCENT = st.integers(min_value=0, max_value=100)


def an_order_worth(minor: int, stage: Stage = Stage.ASSIGNED) -> Order:
    return an_order_at(stage, offering=an_offering(price=Money(minor)), quantity=1)


def parts(transfer: Transfer | None, order: Order) -> dict[AccountRef, str]:
    """Return what each account gets out of the escrow, in whole units."""
    found: Counter[AccountRef] = Counter()
    for leg in () if transfer is None else transfer.legs:
        assert leg.source == escrow_of(order.id)
        found[leg.destination] += leg.amount.minor
    return {account: Money(minor).text for account, minor in found.items()}


def complete(
    order: Order, *, fee: int = FEE_BASIS_POINTS, owed: Money = NOTHING, waits: bool = True
) -> Transfer | None:
    order.accept(by=AS_CLIENT, comment="", fee_basis_points=fee, now=NOON)
    return completion_transfer(order, id=TransferId(IDS.new()), owed=owed, waits=waits, actor=CLIENT, now=NOON)


def cancel(order: Order, *, by: Actor = AS_CLIENT, fee: int = FEE_BASIS_POINTS) -> Transfer | None:
    returned = order.returned_on_cancel(by, LATE)
    order.cancel(by=by, reason="why", fee_basis_points=fee, now=LATE)
    return cancellation_transfer(
        order, returned, id=TransferId(IDS.new()), owed=NOTHING, waits=True, actor=CLIENT, now=LATE
    )


@pytest.mark.parametrize(
    ("total", "worker", "fee"),
    [(5000_00, "4250.00", "750.00"), (99_99, "85.00", "14.99"), (1_00, "0.85", "0.15")],
)
def test_a_completed_order_pays_the_worker_less_the_fee(total: int, worker: str, fee: str) -> None:
    order = an_order_worth(total)
    transfer = complete(order)
    assert parts(transfer, order) == {EARNED: worker, FEES: fee}
    assert transfer is not None
    assert (transfer.reference, transfer.kind) == (f"order:{order.id}:complete", TransferKind.EARNING)
    assert (transfer.area, transfer.subject, transfer.actor) == ("gigs", f"order:{order.id}", CLIENT)


@pytest.mark.parametrize(
    ("total", "client", "worker", "fee"),
    [
        (5000_00, "2500.00", "2125.00", "375.00"),
        (2500_00, "1250.00", "1062.50", "187.50"),
        (99_99, "50.00", "42.50", "7.49"),
    ],
)
def test_a_late_cancellation_is_shared(total: int, client: str, worker: str, fee: str) -> None:
    order = an_order_worth(total)
    transfer = cancel(order)
    assert parts(transfer, order) == {WALLET: client, EARNED: worker, FEES: fee}
    assert transfer is not None
    assert (transfer.reference, transfer.kind) == (f"order:{order.id}:cancel", TransferKind.REFUND)


def test_of_one_cent_the_client_has_the_half_that_is_one() -> None:
    order = an_order_worth(1)
    assert parts(cancel(order), order) == {WALLET: "0.01"}
    assert (order.earning, net_of(order)) == (None, None)


@pytest.mark.parametrize("stage", [Stage.UNASSIGNED, Stage.OFFERED])
def test_an_open_order_goes_back_whole(stage: Stage) -> None:
    order = an_order_worth(2500_00, stage)
    assert parts(cancel(order), order) == {WALLET: "2500.00"}


@pytest.mark.parametrize("stage", [Stage.ASSIGNED, Stage.STARTED, Stage.DELIVERED, Stage.CHANGES])
def test_what_an_administrator_cancels_goes_back_whole(stage: Stage) -> None:
    order = an_order_worth(99_99, stage)
    assert parts(cancel(order, by=AS_ADMIN), order) == {WALLET: "99.99"}


def test_an_unpaid_order_moves_nothing() -> None:
    order = an_order_worth(2500_00, Stage.UNPAID)
    assert cancel(order) is None


def test_an_order_of_nothing_moves_nothing() -> None:  # gigs.zero_is_paid_at_once
    completed = an_order_worth(0)
    assert complete(completed) is None
    assert earnings_hold(completed, id=IDS.new(), wait=timedelta(days=3), now=NOON) is None
    assert cancel(an_order_worth(0)) is None


def test_earnings_wait_for_three_days() -> None:  # gigs.earnings_wait_three_days
    order = an_order_worth(5000_00)
    complete(order)
    hold = earnings_hold(order, id=IDS.new(), wait=timedelta(days=3), now=NOON)
    assert hold is not None
    assert (hold.payee, hold.amount, hold.available_at) == (WORKER, Money(4250_00), NOON + timedelta(days=3))
    assert (hold.area, hold.subject) == ("gigs", f"order:{order.id}")


def test_of_a_late_cancellation_the_worker_s_share_waits_too() -> None:
    order = an_order_worth(99_99)
    cancel(order)
    hold = earnings_hold(order, id=IDS.new(), wait=timedelta(days=3), now=LATE)
    assert hold is not None
    assert hold.amount == Money(42_50)


def test_what_went_back_whole_has_nothing_that_waits() -> None:
    order = an_order_worth(2500_00, Stage.STARTED)
    cancel(order, by=AS_ADMIN)
    assert earnings_hold(order, id=IDS.new(), wait=timedelta(days=3), now=LATE) is None


def test_without_a_wait_what_the_worker_owes_is_filled_first() -> None:
    order = an_order_worth(5000_00)
    transfer = complete(order, owed=Money(-1000_00), waits=False)
    assert parts(transfer, order) == {
        AccountRef.owed(WORKER): "1000.00",
        AccountRef.wallet(WORKER): "3250.00",
        FEES: "750.00",
    }


def test_currencies_without_cents_are_shared_in_whole_units() -> None:
    order = an_order_at(Stage.ASSIGNED, offering=an_offering(price=Money(99, "UGX")), quantity=1)
    returned = order.returned_on_cancel(AS_CLIENT, LATE)
    assert (returned, order.cancel_policy is not None) == (Money(50, "UGX"), True)


@settings(max_examples=200, deadline=None)
@given(minor=CENTS, fee=BASIS_POINTS)
def test_the_parts_of_a_completed_order_are_the_whole(minor: int, fee: int) -> None:
    order = an_order_worth(minor)
    transfer = complete(order, fee=fee)
    legs = () if transfer is None else transfer.legs
    assert sum(leg.amount.minor for leg in legs) == minor
    by_account = {leg.destination: leg.amount.minor for leg in legs}
    assert by_account.get(FEES, 0) == minor * fee // 10_000  # ledger.fee_rounds_down
    net = net_of(order)
    assert net is not None
    assert net.minor == by_account.get(EARNED, 0)


@settings(max_examples=200, deadline=None)
@given(minor=CENTS, fee=BASIS_POINTS, percent=PERCENT)
def test_the_parts_of_a_late_cancellation_are_the_whole(minor: int, fee: int, percent: int) -> None:
    order = an_order_worth(minor)
    order.cancel_policy = CancelPolicy(timedelta(hours=24), percent)
    transfer = cancel(order, fee=fee)
    legs = () if transfer is None else transfer.legs
    assert sum(leg.amount.minor for leg in legs) == minor
    by_account = {leg.destination: leg.amount.minor for leg in legs}
    kept = minor * (100 - percent) // 100
    assert by_account.get(WALLET, 0) == minor - kept
    assert by_account.get(FEES, 0) == kept * fee // 10_000
    assert by_account.get(EARNED, 0) == kept - kept * fee // 10_000


@settings(max_examples=100, deadline=None)
@given(minor=CENTS)
def test_half_back_is_the_larger_half(minor: int) -> None:
    policy, total = CancelPolicy(timedelta(hours=24), 50), Money(minor)
    assert policy.kept_of(total) == Money(minor // 2)
