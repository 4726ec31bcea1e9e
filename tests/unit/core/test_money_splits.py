"""Amounts, fees and parties at random: parts sum to the whole, in currencies of 0, 2 and 3 digits."""

import os
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import AMOUNT_MINOR_MAX, BASIS_POINTS, DIGITS_BY_CURRENCY, InvalidAmount, Money
from domain.core.ledger.accounts import FEES, AccountRef
from domain.core.ledger.earnings import pay_earnings, reach_wallet

EXAMPLES = 100_000 if os.environ.get("SOKO_DRILL") else 300
MANY = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
BY_DIGITS = {0: "JPY", 2: "KES", 3: "KWD"}

AMOUNTS = st.builds(
    Money, st.integers(1, AMOUNT_MINOR_MAX) | st.integers(1, 200), st.sampled_from([*BY_DIGITS.values()])
)
RATES = st.integers(0, BASIS_POINTS)
PAYEE = AccountId(UUID(int=0xBE))
SOURCE = AccountRef.escrow("task", UUID(int=1))


def test_the_currencies_have_the_digits_that_they_stand_for() -> None:
    assert {DIGITS_BY_CURRENCY[currency]: currency for currency in BY_DIGITS.values()} == BY_DIGITS


@MANY
@given(AMOUNTS, RATES)
@example(Money(1, "JPY"), 1_500)
@example(Money(AMOUNT_MINOR_MAX, "KWD"), 9_999)
def test_the_fee_and_the_rest_are_the_whole_and_the_rest_of_the_division_is_the_payees(
    amount: Money, rate: int
) -> None:
    """Goal M8: the fee is the exact share rounded down, so what does not divide goes to the payee."""
    fee, rest = amount.split_fee(rate)
    assert fee + rest == amount
    assert 0 <= fee.minor <= amount.minor
    exact = Decimal(amount.minor) * rate / BASIS_POINTS
    assert 0 <= exact - fee.minor < 1


@MANY
@given(AMOUNTS, RATES, st.integers(0, AMOUNT_MINOR_MAX) | st.integers(0, 300), st.booleans())
def test_no_minor_unit_is_lost_between_the_fee_a_debt_and_the_wallet(
    amount: Money, rate: int, owed_minor: int, hold: bool
) -> None:
    """Goal M8: whatever is owed and whether it waits, the legs are the whole, and a debt is filled up to zero."""
    owed = Money(-owed_minor, amount.currency)
    legs = pay_earnings(source=SOURCE, payee=PAYEE, amount=amount, fee_basis_points=rate, owed=owed, hold=hold)
    assert sum(leg.amount.minor for leg in legs) == amount.minor
    assert {leg.source for leg in legs} == {SOURCE}
    by_account = {leg.destination: leg.amount.minor for leg in legs}
    assert len(by_account) == len(legs)
    fee, net = amount.split_fee(rate)
    filled = 0 if hold else min(owed_minor, net.minor)
    expected = {
        FEES: fee.minor,
        AccountRef.owed(PAYEE): filled,
        AccountRef.pending(PAYEE): net.minor if hold else 0,
        AccountRef.wallet(PAYEE): 0 if hold else net.minor - filled,
    }
    assert by_account == {account: minor for account, minor in expected.items() if minor}


@MANY
@given(AMOUNTS, st.lists(st.integers(1, AMOUNT_MINOR_MAX), max_size=6))
def test_earnings_of_many_deals_never_overfill_a_debt(owed: Money, parts: list[int]) -> None:
    """Goal M8: after any number of arrivals the debt and the wallet together have exactly what arrived."""
    left, spendable = -owed, 0
    for minor in parts:
        arrived = Money(minor, owed.currency)
        for leg in reach_wallet(source=SOURCE, payee=PAYEE, amount=arrived, owed=left):
            if leg.destination == AccountRef.owed(PAYEE):
                left = left + leg.amount
            else:
                spendable += leg.amount.minor
        assert left.minor <= 0
    assert left.minor + owed.minor + spendable == sum(parts)
    assert spendable == 0 or left.minor == 0


@MANY
@given(AMOUNTS)
def test_an_amount_survives_the_wire(amount: Money) -> None:
    """Goal M8: what is written is read again to the minor unit."""
    assert Money.parse(amount.text, amount.currency) == amount


@pytest.mark.parametrize("digits", BY_DIGITS)
@MANY
@given(st.data())
def test_one_digit_too_many_is_refused(digits: int, data: st.DataObject) -> None:
    """Goal M8: an amount finer than its currency is refused, never rounded."""
    whole = data.draw(st.integers(0, 10**9))
    length = data.draw(st.integers(digits + 1, digits + 4))
    fraction = data.draw(st.integers(0, 10**length - 1))
    with pytest.raises(InvalidAmount):
        Money.parse(f"{whole}.{fraction:0{length}d}", BY_DIGITS[digits])


@pytest.mark.parametrize("currency", BY_DIGITS.values())
@pytest.mark.parametrize(
    "wrong",
    [
        "NaN", "nan", "Infinity", "-Infinity", "inf", "1e3", "1E3", "+1", "-1", "0", "00", "01", "1_000", "1,000",
        " 1", "1 ", "1.", ".5", "", "٣", "\uff11", "0x10", float("nan"), float("inf"), float("-inf"), -1, 0, True, 1e22,
        "9" * 16, AMOUNT_MINOR_MAX + 1, 0.1 + 0.2,
    ],
)  # fmt: skip
def test_what_is_no_amount_is_refused(currency: str, wrong: str | float) -> None:
    """Goal M8: every amount that is not finite, not plain or not above zero is refused."""
    with pytest.raises(InvalidAmount):
        Money.parse(wrong, currency)
