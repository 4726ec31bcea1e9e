"""Who gives back what: the shares of a refund, in however many parts it is made."""

import os
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import BASIS_POINTS, Money
from domain.core.ledger.accounts import FEES, AccountRef
from domain.core.ledger.earnings import EarningsHold
from domain.core.ledger.refunds import collect_refund, refund_shares, undo_refund
from domain.core.ledger.transfer import Posting, Transfer, TransferKind
from tests.fakes.core.system import NOON

MANY = settings(
    max_examples=20_000 if os.environ.get("SOKO_DRILL") else 200, deadline=None, derandomize=True, database=None
)
PAYEE, PAYER = AccountId(UUID(int=0xBE)), AccountId(UUID(int=0xADA))
PARKED = AccountRef.escrow("refund", UUID(int=7))
PENDING, WALLET, OWED = AccountRef.pending(PAYEE), AccountRef.wallet(PAYEE), AccountRef.owed(PAYEE)
ID = TransferId(UUID(int=1))

CASES = [
    pytest.param(5000_00, [1000_00], 3400_00, 600_00, id="5000.00 completed, then 1000.00"),
    pytest.param(2500_00, [1250_00], 1062_50, 187_50, id="2500.00 canceled late"),
    pytest.param(99_99, [50_00], 42_50, 7_49, id="99.99 canceled late"),
    pytest.param(99_99, [33_33], 56_67, 9_99, id="99.99 completed, then 33.33"),
    pytest.param(99_99, [11_11, 11_11, 11_11], 56_67, 9_99, id="the same in three parts"),
    pytest.param(99_99, [50_00, 49_99], 0, 0, id="canceled late, then all of the rest"),
]


@pytest.mark.parametrize(("total", "parts", "payee", "fee"), CASES)
def test_the_shares_are_those_of_the_table(total: int, parts: Sequence[int], payee: int, fee: int) -> None:
    assert shares_after(total, parts, 1_500) == (payee, fee)


def shares_after(total: int, parts: Sequence[int], rate: int) -> tuple[int, int]:
    """Return what payee and market keep when a payment that was paid out is refunded in parts."""
    fee, net = Money(total).split_fee(rate)
    left = Money(total)
    for part in parts:
        ours, his = refund_shares(left=left, amount=Money(part), fee_basis_points=rate)
        fee, net, left = fee - ours, net - his, left - Money(part)
    return net.minor, fee.minor


@st.composite
def refunded_payments(draw: st.DrawFn) -> tuple[int, list[int], int]:
    total = draw(st.integers(1, 10**12) | st.integers(1, 300))
    cuts = draw(st.lists(st.integers(0, total), max_size=6))
    edges = [0, *sorted(set(cuts) - {0})]
    return (
        total,
        [after - before for before, after in pairwise(edges)],
        draw(st.integers(0, BASIS_POINTS)),
    )


@MANY
@given(refunded_payments())
@example((99_99, [33_33, 66_66], 1_500))
def test_however_it_is_cut_the_fee_kept_is_that_of_what_is_left(payment: tuple[int, list[int], int]) -> None:
    """Rule ledger.refund_share_is_stable."""
    total, parts, rate = payment
    net, fee = shares_after(total, parts, rate)
    left = total - sum(parts)
    assert fee == left * rate // BASIS_POINTS
    assert net == left - fee


@MANY
@given(refunded_payments(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_refund_is_collected_to_the_cent_and_from_the_payee_in_order(
    payment: tuple[int, list[int], int], waiting: int, wallet: int
) -> None:
    """Rule refunds.source_order: waiting earnings, then the wallet, and only what is missing is owed."""
    total, parts, rate = payment
    amount = Money(parts[0] if parts else total)
    legs = collect_refund(
        destination=PARKED,
        payee=PAYEE,
        amount=amount,
        left=Money(total),
        fee_basis_points=rate,
        waiting=Money(waiting),
        wallet=Money(wallet),
    )
    taken = {leg.source: leg.amount.minor for leg in legs}
    assert {leg.destination for leg in legs} == {PARKED}
    assert sum(taken.values()) == amount.minor
    ours, his = refund_shares(left=Money(total), amount=amount, fee_basis_points=rate)
    assert taken.get(FEES, 0) == ours.minor
    assert taken.get(PENDING, 0) == min(his.minor, waiting)
    assert taken.get(WALLET, 0) == min(his.minor - taken.get(PENDING, 0), wallet)
    assert taken.get(OWED, 0) == his.minor - taken.get(PENDING, 0) - taken.get(WALLET, 0)


def collected(**parts: int) -> Transfer:
    sources = {"fees": FEES, "pending": PENDING, "wallet": WALLET, "owed": OWED, "escrow": AccountRef("escrow:order:1")}
    return Transfer(
        id=ID,
        reference="refund:7",
        kind=TransferKind.REFUND,
        area="payments",
        subject="order:1",
        legs=tuple(Posting(sources[name], PARKED, Money(minor)) for name, minor in parts.items()),
        posted_at=NOON,
    )


def undone(transfer: Transfer, *, waits_still: bool = True, owed: int = 0) -> dict[AccountRef, int]:
    back = undo_refund(transfer, waits_still=waits_still, owed=Money(owed), holder=PAYER, id=ID, now=NOON)
    assert back.reference == "refund:7:undone"
    return {account: change for account, change in back.changes().items() if change > 0}


def test_a_refused_refund_goes_back_to_where_it_came_from() -> None:
    assert undone(collected(escrow=500)) == {AccountRef("escrow:order:1"): 500}
    taken = collected(fees=15, pending=20, wallet=30, owed=35)
    assert undone(taken, owed=-35) == {FEES: 15, PENDING: 20, WALLET: 30, OWED: 35}


def test_what_the_payee_owed_and_has_settled_meanwhile_is_his_again() -> None:
    assert undone(collected(owed=35), owed=-10) == {OWED: 10, WALLET: 25}


def test_what_waited_and_waits_no_more_reaches_his_wallet() -> None:
    assert undone(collected(fees=15, pending=20), waits_still=False) == {FEES: 15, WALLET: 20}


def test_the_money_that_an_escrow_holds_again_is_the_payers() -> None:
    back = undo_refund(
        collected(escrow=500), waits_still=False, owed=Money(0), holder=PAYER, id=ID, now=NOON + timedelta(1)
    )
    assert back.owners() == {AccountRef("escrow:order:1"): PAYER}


def a_hold() -> EarningsHold:
    return EarningsHold(
        id=UUID(int=1),
        payee=PAYEE,
        amount=Money(100),
        area="gigs",
        subject="order:1",
        available_at=NOON + timedelta(days=3),
        created_at=NOON,
    )


def test_a_hold_that_was_reduced_releases_only_the_rest() -> None:
    hold = a_hold()
    hold.take_back(Money(40), NOON)
    assert hold.waiting == Money(60)
    due = NOON + timedelta(days=3)
    assert hold.is_due(due)
    assert hold.release(id=ID, owed=Money(0), now=due).legs == (Posting(PENDING, WALLET, Money(60)),)
    assert hold.waiting == Money(0)


def test_a_hold_of_which_all_was_taken_has_nothing_to_release_until_it_is_given_back() -> None:
    hold = a_hold()
    hold.take_back(Money(100), NOON)
    assert not hold.is_due(NOON + timedelta(days=3))
    assert hold.give_back(Money(100))
    assert hold == a_hold()


def test_a_hold_that_was_released_meanwhile_takes_nothing_in() -> None:
    hold = a_hold()
    hold.take_back(Money(40), NOON)
    hold.release(id=ID, owed=Money(0), now=NOON + timedelta(days=3))
    assert not hold.give_back(Money(40))
    assert hold.waiting == Money(0)
