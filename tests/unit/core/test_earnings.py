"""ledger.fee_rounds_down, ledger.owed_is_netted, ledger.earnings_wait; no minor unit is lost in any currency (M8)."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.core.ledger.fund_account import FundAccount, FundAccountCommand
from application.core.ledger.release_earnings import ReleaseEarnings
from domain.core.kernel.errors import DomainError
from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import AMOUNT_MINOR_MAX, BASIS_POINTS, DIGITS_BY_CURRENCY, InvalidAmount, Money
from domain.core.ledger.accounts import FEES, OPERATING, AccountRef
from domain.core.ledger.earnings import EarningsHold, EarningsReleased, pay_earnings
from domain.core.ledger.transfer import Posting, ReferenceConflict
from tests.contract.core.earnings_holds import a_hold
from tests.contract.core.ledger import balance, post, transfer
from tests.fakes.core.store import InMemoryStore
from tests.fakes.core.system import NOON, FixedClock, SequentialIds

ADA = AccountId(UUID(int=0xADA))
ADMIN = AccountId(UUID(int=0xAD))
ESCROW = AccountRef.escrow("task", UUID(int=1))
WALLET, PENDING, OWED = AccountRef.wallet(ADA), AccountRef.pending(ADA), AccountRef.owed(ADA)


def paid(amount: int, *, fee: int = 1500, owed: int = 0, hold: bool = False) -> tuple[Posting, ...]:
    return pay_earnings(
        source=ESCROW, payee=ADA, amount=Money(amount), fee_basis_points=fee, owed=Money(owed), hold=hold
    )


@pytest.mark.parametrize(
    ("amount", "net", "fee"), [(1400_00, 1190_00, 210_00), (1499_99, 1275_00, 224_99), (50_00, 42_50, 7_50)]
)
def test_the_fee_rounds_down_and_the_payee_gets_the_rest(amount: int, net: int, fee: int) -> None:
    assert paid(amount) == (Posting(ESCROW, WALLET, Money(net)), Posting(ESCROW, FEES, Money(fee)))


def test_earnings_with_a_hold_go_to_pending_whatever_is_owed() -> None:
    assert paid(100_00, owed=-500_00, hold=True) == (
        Posting(ESCROW, PENDING, Money(85_00)),
        Posting(ESCROW, FEES, Money(15_00)),
    )


def test_what_is_owed_is_filled_first_and_never_beyond_zero() -> None:
    fee = Posting(ESCROW, FEES, Money(15_00))
    assert paid(100_00, owed=-30_00) == (
        Posting(ESCROW, OWED, Money(30_00)),
        Posting(ESCROW, WALLET, Money(55_00)),
        fee,
    )
    assert paid(100_00, owed=-85_00) == (Posting(ESCROW, OWED, Money(85_00)), fee)
    assert paid(100_00, owed=-900_00) == (Posting(ESCROW, OWED, Money(85_00)), fee)


def test_legs_of_nothing_are_left_out() -> None:
    assert paid(1, fee=1500) == (Posting(ESCROW, WALLET, Money(1)),)
    assert paid(100, fee=0) == (Posting(ESCROW, WALLET, Money(100)),)
    assert paid(100, fee=BASIS_POINTS) == (Posting(ESCROW, FEES, Money(100)),)


amounts = st.integers(1, AMOUNT_MINOR_MAX) | st.integers(1, 10_000)
currencies = st.sampled_from(sorted(DIGITS_BY_CURRENCY))


@settings(max_examples=2_000, deadline=None)
@given(amounts, currencies, st.integers(0, BASIS_POINTS), st.integers(-AMOUNT_MINOR_MAX, 0), st.booleans())
def test_the_parts_sum_to_the_whole_and_the_remainder_is_the_payees(
    minor: int, currency: str, fee_basis_points: int, owed: int, hold: bool
) -> None:
    legs = pay_earnings(
        source=ESCROW,
        payee=ADA,
        amount=Money(minor, currency),
        fee_basis_points=fee_basis_points,
        owed=Money(owed, currency),
        hold=hold,
    )
    by_account = {leg.destination: leg.amount.minor for leg in legs}
    assert len(by_account) == len(legs)
    assert {leg.amount.currency for leg in legs} == {currency}
    assert sum(by_account.values()) == minor
    fee = by_account.get(FEES, 0)
    assert fee * BASIS_POINTS <= minor * fee_basis_points < (fee + 1) * BASIS_POINTS
    assert owed + by_account.get(OWED, 0) <= 0
    assert by_account.get(WALLET, 0) == 0 or hold is False


@settings(max_examples=2_000, deadline=None)
@given(amounts, currencies)
def test_an_amount_survives_the_wire(minor: int, currency: str) -> None:
    assert Money.parse(Money(minor, currency).text, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    "value",
    ["NaN", "Infinity", "-Infinity", "1e3", "1_000", "1,000", "+5", "-5", "0", "0.00", "", " 1", "1 ", "٣", "1.", ".5",
     "01", "1.2345", float("nan"), float("inf"), 1e22, -1, 0, True, 0.001, "10000000000.01", 2**63],
)  # fmt: skip
@pytest.mark.parametrize("currency", ["KES", "UGX", "KWD", "CRD"])
def test_what_is_not_an_exact_amount_is_refused(value: str | int | float, currency: str) -> None:
    if currency == "KWD" and value in {0.001, "10000000000.01"}:
        value = "0.0001" if value == 0.001 else "1000000000.001"
    with pytest.raises(InvalidAmount):
        Money.parse(value, currency)


@pytest.mark.parametrize(("currency", "too_fine"), [("UGX", "1.0"), ("KES", "1.001"), ("KWD", "1.0001")])
def test_more_digits_than_the_currency_has_are_refused(currency: str, too_fine: str) -> None:
    with pytest.raises(InvalidAmount):
        Money.parse(too_fine, currency)


class TestWaitingEarnings:
    async def held(self, store: InMemoryStore, *holds: EarningsHold) -> ReleaseEarnings:
        async with store.unit_of_work() as uow:
            for hold in holds:
                uow.earnings_holds.add(hold)
                await uow.ledger.post(
                    transfer(f"pay:{hold.id}", (AccountRef.clearing("lipana"), PENDING, hold.amount.minor))
                )
            await uow.commit()
        return ReleaseEarnings(unit_of_work=store.unit_of_work, clock=store.clock, ids=SequentialIds(start=5_000))

    async def test_earnings_reach_the_wallet_when_their_time_is_over_and_only_once(self) -> None:
        clock = FixedClock()
        store = InMemoryStore(clock=clock)
        release = await self.held(store, a_hold(1))
        clock.advance(timedelta(days=3) - timedelta(microseconds=1))
        assert await release(200) == 0
        assert await balance(store.unit_of_work, WALLET) == 0
        clock.advance(timedelta(microseconds=1))
        assert await release(200) == 1
        assert await release(200) == 0
        assert await balance(store.unit_of_work, WALLET) == 1190_00
        assert await balance(store.unit_of_work, PENDING) == 0

    async def test_released_earnings_first_fill_what_is_owed(self) -> None:
        clock = FixedClock(NOON + timedelta(days=3))
        store = InMemoryStore(clock=clock)
        release = await self.held(store, a_hold(1))
        await post(store.unit_of_work, transfer("a:1", (OWED, FEES, 1000_00)))
        assert await release(200) == 1
        assert await balance(store.unit_of_work, WALLET) == 190_00
        assert await balance(store.unit_of_work, OWED) == 0

    async def test_frozen_earnings_stay_and_go_on_when_thawed(self) -> None:
        store = InMemoryStore(clock=FixedClock(NOON + timedelta(days=9)))
        release = await self.held(store, a_hold(1))
        for freeze, expected in ((True, 0), (False, 1)):
            async with store.unit_of_work() as uow:
                hold = await uow.earnings_holds.find("order:1", ADA)
                assert hold is not None
                hold.freeze() if freeze else hold.thaw()
                await uow.commit()
            assert await release(200) == expected
        async with store.unit_of_work() as uow:
            hold = await uow.earnings_holds.find("order:1", ADA)
            assert hold is not None
            with pytest.raises(EarningsReleased):
                hold.freeze()
            with pytest.raises(EarningsReleased):
                hold.thaw()

    async def test_a_batch_is_bounded_and_one_bad_hold_does_not_stop_the_rest(self) -> None:
        store = InMemoryStore(clock=FixedClock(NOON + timedelta(days=9)))
        release = await self.held(store, *(a_hold(number, days=number) for number in (1, 2, 3)))
        lost = transfer("a:lost", (PENDING, FEES, 2 * 1190_00 + 1))  # the books no longer cover two of the three
        await post(store.unit_of_work, lost)
        assert await release(2) == 0
        assert await balance(store.unit_of_work, WALLET) == 0
        await post(store.unit_of_work, lost.reversal(id=TransferId(UUID(int=77)), posted_at=NOON))
        assert await release(2) == 2
        assert await release(2) == 1
        assert await balance(store.unit_of_work, WALLET) == 3 * 1190_00


class TestFundings:
    def command(self, minor: int = 5_000_00) -> FundAccountCommand:
        return FundAccountCommand(administrator=ADMIN, amount=Money(minor), reference="bank-77", note="float")

    async def test_a_funding_reaches_the_operating_account_and_is_audited(self) -> None:
        store = InMemoryStore()
        fund = FundAccount(unit_of_work=store.unit_of_work, clock=store.clock, ids=SequentialIds())
        funding = await fund(self.command())
        assert (funding.amount, funding.balance, funding.is_new) == (Money(5_000_00), Money(5_000_00), True)
        assert await balance(store.unit_of_work, OPERATING) == 5_000_00
        [entry] = store.audit_entries
        assert (entry.action, entry.target, entry.reason) == ("FUND_ACCOUNT", f"transfer:{funding.id}", "float")
        assert entry.after == {"amount": "5000.00", "currency": "KES", "reference": "bank-77"}

    async def test_a_repeat_answers_the_first_funding_and_audits_nothing(self) -> None:
        store = InMemoryStore()
        fund = FundAccount(unit_of_work=store.unit_of_work, clock=store.clock, ids=SequentialIds())
        first, again = await fund(self.command()), await fund(self.command())
        assert (again.id, again.balance, again.is_new) == (first.id, Money(5_000_00), False)
        assert len(store.audit_entries) == 1

    async def test_another_amount_under_the_same_reference_is_refused(self) -> None:
        store = InMemoryStore()
        fund = FundAccount(unit_of_work=store.unit_of_work, clock=store.clock, ids=SequentialIds())
        await fund(self.command())
        with pytest.raises(ReferenceConflict) as refused:
            await fund(self.command(1))
        assert isinstance(refused.value, DomainError)
        assert await balance(store.unit_of_work, OPERATING) == 5_000_00
        assert len(store.audit_entries) == 1
