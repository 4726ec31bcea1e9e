"""Plans: what they cost, when they run, and where their money goes; rules 31 and 32 of the assignment market."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.assignments.buy_plan import BuyPlanCommand
from application.assignments.read_plan import ReadPlan
from application.core.payments.simulation import SimulatedOutcome
from application.core.payments.start_payment import GatewayUnavailable, PhoneRequired
from domain.assignments.plan import (
    PLAN_LIFE,
    ActivePlan,
    Plan,
    PlanLowerThanCurrent,
    PlanPaymentInFlight,
    PlanUnknown,
    SubscriptionState,
    amount_due,
)
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import SUBSCRIPTIONS, AccountRef
from domain.core.ledger.transfer import InsufficientFunds
from domain.core.payments.policies import FX_USD_KES
from tests.builders.assignments import OTHER_WRITER, WRITER, a_plan
from tests.fakes.assignments.market import PHONE, Market, kes
from tests.fakes.core.system import NOON

MOMENT = timedelta(microseconds=1)
DAY = timedelta(days=1)
PRICES = {Plan.P2: kes(259), Plan.P5: kes(648), Plan.P10: kes(1295)}


def states(market: Market) -> list[tuple[Plan, SubscriptionState]]:
    return [(one.plan, one.state) for one in market.purchases()]


def runs(market: Market) -> ActivePlan:
    plan = market.writer().plan
    assert plan is not None
    return plan


# Prices: dollars at the frozen rate, in whole shillings, rounded up.


@pytest.mark.parametrize(
    ("plan", "usd", "amount"), [("P2", "2.00", kes(259)), ("P5", "5.00", kes(648)), ("P10", "10.00", kes(1295))]
)
async def test_a_plan_costs_its_dollars_in_whole_shillings_rounded_up(
    market: Market, plan: str, usd: str, amount: Money
) -> None:
    bought = await market.buy(plan)
    assert (bought.payment.amount, bought.payment.status, bought.is_repeat) == (amount, "PENDING", False)
    assert (bought.quote.usd.text, bought.quote.rate, bought.quote.rate_date) == (usd, "129.50", date(2026, 1, 15))
    assert bought.quote.expires_at == NOON + timedelta(minutes=15)
    assert market.gateway.collections[0].amount == amount


async def test_a_word_that_is_no_plan_is_refused(market: Market) -> None:
    for word in ("P3", "", "p"):
        with market.refused(PlanUnknown, "assignments.plan_unknown"):
            await market.buy(word)
    assert (await market.buy("p2")).plan is Plan.P2


async def test_a_plan_by_phone_needs_a_phone_which_the_profile_may_give(market: Market) -> None:
    command = BuyPlanCommand(writer_id=WRITER, plan="P2")
    with market.refused(PhoneRequired, "payments.phone_required"):
        await market.buy_plan(command)
    market.phones.phones[WRITER] = PHONE
    await market.buy_plan(command)
    assert market.gateway.collections[0].phone == "+254722000111"


async def test_a_purchase_whose_prompt_never_left_makes_room_for_another(market: Market) -> None:
    market.gateway.is_reachable = False
    with pytest.raises(GatewayUnavailable):
        await market.buy("P2")
    market.gateway.is_reachable = True
    await market.deliver_payments()
    bought = await market.buy("P5")
    assert bought.is_repeat is False
    await market.pay(bought)
    assert states(market) == [(Plan.P2, SubscriptionState.FAILED), (Plan.P5, SubscriptionState.ACTIVE)]


# From pending to active to expired.


async def test_a_plan_runs_thirty_days_from_the_moment_its_money_arrives(market: Market) -> None:
    bought = await market.buy("P2")
    assert (market.writer().plan, states(market)) == (None, [(Plan.P2, SubscriptionState.PENDING)])
    market.wait(minutes=5)
    await market.pay(bought)
    plan = runs(market)
    assert (plan.plan, plan.worth, plan.starts_at) == (Plan.P2, kes(259), NOON + timedelta(minutes=5))
    assert plan.ends_at == NOON + timedelta(days=30, minutes=5)
    assert states(market) == [(Plan.P2, SubscriptionState.ACTIVE)]
    assert market.happened()[-1] == "assignments.plan_activated"
    assert market.intent(bought.payment.reference).served_at == NOON + timedelta(minutes=5)


async def test_a_success_that_is_told_twice_activates_once(market: Market) -> None:
    bought = await market.buy("P2")
    await market.pay(bought)
    with market.nothing_changes():
        await market.pay(bought)
    event = next(event for event in market.store.events if event.event_name() == "payments.payment_succeeded")
    before = (market.writer().plan, market.transfers(), market.happened())
    await market.activate_plan(event, market.delivery())  # as another delivery of the same event
    assert (market.writer().plan, market.transfers(), market.happened()) == before


async def test_the_same_plan_while_it_runs_adds_thirty_days(market: Market) -> None:
    await market.pay(await market.buy("P2"))
    market.wait(days=10)
    again = await market.buy("P2")
    assert again.payment.amount == kes(259)
    await market.pay(again)
    assert (runs(market).starts_at, runs(market).ends_at) == (NOON, NOON + 60 * DAY)


async def test_the_same_plan_after_its_end_begins_anew(market: Market) -> None:
    await market.pay(await market.buy("P2"))
    market.clock.set(NOON + 30 * DAY)
    await market.pay(await market.buy("P2"))
    assert (runs(market).starts_at, runs(market).ends_at) == (NOON + 30 * DAY, NOON + 60 * DAY)


async def test_a_higher_plan_starts_at_once_less_the_unused_whole_days(market: Market) -> None:
    await market.pay(await market.buy("P2"))
    market.wait(days=17, hours=1)  # 12 whole days are left
    bought = await market.buy("P10")
    assert bought.payment.amount == kes(1192)
    await market.pay(bought)
    plan, now = runs(market), market.clock.now()
    assert (plan.plan, plan.starts_at, plan.ends_at) == (Plan.P10, now, now + 30 * DAY)
    assert plan.worth == kes(1295)
    assert market.balance(SUBSCRIPTIONS) == kes(259 + 1192)


async def test_a_lower_plan_waits_for_the_end_of_the_present_one(market: Market) -> None:
    await market.pay(await market.buy("P5"))
    market.clock.set(NOON + 30 * DAY - MOMENT)
    with market.refused(PlanLowerThanCurrent, "assignments.plan_lower_than_current"):
        await market.buy("P2")
    market.clock.set(NOON + 30 * DAY)
    bought = await market.buy("P2")
    assert bought.payment.amount == kes(259)
    await market.pay(bought)
    assert (runs(market).plan, runs(market).ends_at) == (Plan.P2, NOON + 60 * DAY)


@pytest.mark.parametrize(
    ("days_in", "amount"),
    [
        (timedelta(), 1295 - 259),  # bought by mistake: all 30 days are left
        (MOMENT, 1295 - 250),  # 29 whole days: 250.36
        (18 * DAY, 1192),  # 12 days: 103.60, in whole shillings 103
        (29 * DAY, 1295 - 8),  # one day: 8.63
        (29 * DAY + MOMENT, 1295),  # less than a day
        (30 * DAY, 1295),
    ],
)
def test_unused_whole_days_count_in_whole_shillings(days_in: timedelta, amount: int) -> None:
    assert amount_due(Plan.P10, kes(1295), a_plan(Plan.P2), NOON + days_in) == kes(amount)


def test_an_upgrade_counts_what_an_earlier_upgrade_had_credited() -> None:
    """Whoever went from P2 to P5 for less has the worth of a whole P5 to put into P10."""
    after_upgrade = a_plan(Plan.P5, worth=648_00)
    assert amount_due(Plan.P10, kes(1295), after_upgrade, NOON + 15 * DAY) == kes(1295 - 324)


@settings(max_examples=100, deadline=None)
@given(
    wanted=st.sampled_from(Plan),
    held=st.sampled_from(Plan),
    price=st.integers(1, 5_000).map(lambda shillings: shillings * 100),
    worth=st.integers(1, 1_000_000),
    days=st.integers(1, 400),
    into=st.floats(-1, 410),
)
def test_what_is_due_is_never_below_nothing_nor_above_the_price(
    wanted: Plan, held: Plan, price: int, worth: int, days: int, into: float
) -> None:
    current = a_plan(held, worth=worth, days=days)
    now = NOON + into * DAY
    try:
        due = amount_due(wanted, Money(price), current, now)
    except PlanLowerThanCurrent:
        assert current.runs_at(now)
        assert wanted.rank < held.rank
        return
    assert min(10_00, price) <= due.minor <= price
    assert due.minor % 100 == 0
    if not (current.runs_at(now) and wanted.rank > held.rank):
        assert due.minor == price


# assignments.one_plan_payment


async def test_the_same_plan_again_answers_the_payment_that_waits(market: Market) -> None:
    first = await market.buy("P2")
    market.wait(minutes=14)
    with market.nothing_changes():
        again = await market.buy("P2")
    assert (again.is_repeat, again.payment.reference) == (True, first.payment.reference)
    assert len(market.gateway.collections) == 1


async def test_another_plan_waits_for_the_payment_in_flight(market: Market) -> None:
    await market.buy("P2")
    with market.refused(PlanPaymentInFlight, "assignments.payment_in_flight"):
        await market.buy("P5")
    with market.refused(PlanPaymentInFlight, "assignments.payment_in_flight"):
        await market.buy("P5", method="wallet")
    assert len(market.gateway.collections) == 1


async def test_a_plan_that_is_paid_but_not_started_yet_is_not_paid_again(market: Market) -> None:
    bought = await market.buy("P2")
    market.deliver_payments, later = _not_yet, market.deliver_payments  # type: ignore[method-assign]
    await market.pay(bought)
    assert states(market) == [(Plan.P2, SubscriptionState.PENDING)]
    with market.nothing_changes():
        again = await market.buy("P2")
    assert (again.is_repeat, again.payment.status, again.payment.reference) == (
        True,
        "SUCCESS",
        bought.payment.reference,
    )
    with market.refused(PlanPaymentInFlight, "assignments.payment_in_flight"):
        await market.buy("P5")
    await later()
    assert runs(market).ends_at == NOON + 30 * DAY
    assert market.balance(SUBSCRIPTIONS) == kes(259)


async def test_each_writer_has_his_own_payment_in_flight(market: Market) -> None:
    await market.buy("P2")
    market.phones.phones[OTHER_WRITER] = "0733000222"
    bought = await market.buy_plan(BuyPlanCommand(writer_id=OTHER_WRITER, plan="P5"))
    assert bought.payment.amount == kes(648)


async def test_after_fifteen_minutes_without_answer_the_purchase_is_forgotten(market: Market) -> None:
    bought = await market.buy("P2")
    await market.let_payment_end(bought)
    assert market.clock.now() == NOON + timedelta(minutes=15)
    assert (states(market), market.writer().plan) == ([(Plan.P2, SubscriptionState.FAILED)], None)
    other = await market.buy("P5")
    assert (other.is_repeat, other.payment.amount) == (False, kes(648))


async def test_a_failed_payment_leaves_the_present_plan_as_it_was(market: Market) -> None:
    await market.pay(await market.buy("P2"))
    before = runs(market)
    await market.let_payment_end(await market.buy("P5"))
    assert runs(market) == before
    assert states(market)[-1] == (Plan.P5, SubscriptionState.FAILED)


# assignments.plan_money_never_touches_wallet


async def test_plan_money_becomes_income_by_way_of_its_own_escrow(market: Market) -> None:
    bought = await market.buy("P2")
    await market.pay(bought)
    subscription, attempt = market.purchases()[0], market.intent(bought.payment.reference).attempts[0]
    escrow = f"escrow:writer_plan:{subscription.id}"
    assert market.transfers() == [
        (f"payment:{attempt.id}", (("clearing:lipana", escrow, 259_00),)),
        (f"writer_plan:{subscription.id}:activate", ((escrow, "revenue:subscriptions", 259_00),)),
    ]
    assert (market.wallet(WRITER), market.total()) == (kes(0), 0)


async def test_money_that_came_too_late_goes_to_the_wallet_and_may_buy_the_plan(market: Market) -> None:
    await market.pay(await market.buy("P2"))
    before = runs(market)
    late = await market.buy("P5")
    price = late.payment.amount
    await market.let_payment_end(late)
    market.wait(minutes=5)
    await market.pay(late)
    assert (market.wallet(WRITER), runs(market)) == (price, before)
    assert states(market)[-1] == (Plan.P5, SubscriptionState.FAILED)
    bought = await market.buy("P2", method="wallet")
    assert (bought.payment.status, market.wallet(WRITER)) == ("SUCCESS", price - kes(259))
    assert runs(market).ends_at == before.ends_at + 30 * DAY


async def test_the_money_of_a_purchase_that_another_replaced_goes_to_the_wallet(market: Market) -> None:
    """The first prompt stayed unanswered, another plan was bought, and then the first one came through after all."""
    market.gateway.script("+254722000111", SimulatedOutcome.NO_ANSWER)
    first = await market.buy("P5")
    market.wait(minutes=15)  # its life is over; no sweep has seen it yet
    await market.fund(WRITER, kes(259))
    await market.buy("P2", method="wallet")
    assert market.wallet(WRITER) == kes(0)
    await market.pay(first)
    assert (runs(market).plan, market.wallet(WRITER)) == (Plan.P2, kes(648))
    assert states(market) == [(Plan.P5, SubscriptionState.FAILED), (Plan.P2, SubscriptionState.ACTIVE)]


async def test_money_for_a_plan_below_the_one_that_runs_by_now_goes_to_the_wallet(market: Market) -> None:
    bought = await market.buy("P2")
    await market.give_plan(Plan.P10)  # meanwhile
    before = runs(market)
    await market.pay(bought)
    assert (runs(market), market.wallet(WRITER)) == (before, kes(259))
    assert (states(market)[0], market.balance(SUBSCRIPTIONS)) == ((Plan.P2, SubscriptionState.FAILED), kes(0))
    escrow = AccountRef.escrow("writer_plan", market.purchases()[0].id)
    assert market.balance(escrow) == kes(0)


async def test_a_plan_from_the_wallet_runs_at_once(market: Market) -> None:
    await market.fund(WRITER, kes(300))
    bought = await market.buy("P2", method="wallet")
    subscription = market.purchases()[0]
    assert (bought.payment.status, runs(market).ends_at) == ("SUCCESS", NOON + 30 * DAY)
    assert (market.wallet(WRITER), market.balance(SUBSCRIPTIONS)) == (kes(41), kes(259))
    assert market.transfers() == [
        (
            f"writer_plan:{subscription.id}:activate",
            ((f"wallet:user:{WRITER}", "revenue:subscriptions", 259_00),),
        )
    ]
    before = (runs(market), market.transfers())
    await market.deliver_payments()  # its success is told as well, and changes nothing more
    assert (runs(market), market.transfers()) == before
    assert market.gateway.collections == []


async def test_a_wallet_without_the_money_buys_no_plan(market: Market) -> None:
    await market.fund(WRITER, kes(258.99))
    with market.refused(InsufficientFunds, "ledger.insufficient_funds"):
        await market.buy("P2", method="wallet")


async def test_the_amount_of_the_quote_counts_when_the_rate_changes_before_the_payment(market: Market) -> None:
    bought = await market.buy("P2")
    market.policies.set(FX_USD_KES, "140.00@2026-03-02")
    again = await market.buy("P2")
    assert (again.payment.amount, again.quote.rate) == (kes(259), "129.50")
    await market.pay(bought)
    assert (runs(market).worth, market.balance(SUBSCRIPTIONS)) == (kes(259), kes(259))
    assert (await market.buy("P2")).payment.amount == kes(280)


async def test_an_upgrade_on_the_same_day_leaves_what_the_new_plan_allows_less_what_is_used(market: Market) -> None:
    await market.pay(await market.buy("P2"))
    await market.give_points(61)
    for _ in range(5):
        await market.claim(await market.an_open_task())
    await market.pay(await market.buy("P5"))
    status = await ReadPlan(queries=market.queries, policies=market.policies, clock=market.clock)(WRITER)
    assert (status.quota.daily_count, status.quota.daily_limit, status.quota.left) == (5, 9, 4)


async def test_the_status_shows_the_plan_until_and_after_its_end(market: Market) -> None:
    read = ReadPlan(queries=market.queries, policies=market.policies, clock=market.clock)
    fresh = await read(WRITER)
    assert (fresh.plan, fresh.is_active, fresh.quota.daily_limit, fresh.day) == (None, False, 0, date(2026, 3, 2))
    bought = await market.buy("P2")
    assert (await read(WRITER)).pending_reference == bought.payment.reference
    await market.pay(bought)
    running = await read(WRITER)
    assert (running.plan, running.is_active, running.quota.daily_limit) == (Plan.P2, True, 5)
    assert (running.pending_reference, fresh.pending_reference) == (None, None)
    assert (running.starts_at, running.ends_at) == (NOON, NOON + PLAN_LIFE)
    market.clock.set(NOON + PLAN_LIFE)
    over = await read(WRITER)
    assert (over.plan, over.is_active, over.quota.daily_limit) == (Plan.P2, False, 0)


async def _not_yet() -> None:
    """Leave events where they are."""
