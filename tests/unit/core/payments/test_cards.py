"""Paying by card, Payme and Click: what is refused before a row exists, what is booked, what is tried again."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from application.core.payments.ports import MethodUnavailable
from application.core.payments.queries import DueAttempt, RetryTerms
from application.core.payments.simulation import Script, ScriptMatch, SimulatedOutcome
from application.core.payments.start_payment import (
    PaymentDeclined,
    PaymentState,
    RawCardRefused,
)
from application.core.payments.top_up import TopUp, TopUpCommand
from domain.core.kernel.errors import DomainError
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import AccountRef
from domain.core.payments.card import CardExpired, CardIncomplete
from domain.core.payments.gateway import Card
from domain.core.payments.intent import AttemptsExhausted, AttemptStatus, IntentStatus, PaymentIntent
from interface.bootstrap.core.payment_gateways import BoundGateways
from interface.bootstrap.core.simulated_cards import CARD_METHODS, SimulatedCards
from tests.fakes.core.payments import KnownPhones
from tests.fakes.core.payments_queries import InMemoryPaymentQueries
from tests.fakes.core.policies import DefaultPolicies
from tests.fakes.core.simulated_cards import cards_in_process
from tests.fakes.core.system import SequentialIds
from tests.unit.core.payments.conftest import ORDER, PAYER, Desk

HALF_AN_HOUR = timedelta(minutes=30)
GOOD, DECLINED, NO_FUNDS, NETWORK, FRAUD = (
    "4242424242424242", "4000000000000002", "4000000000009995", "4000000000000119", "4100000000000019",
)  # fmt: skip
COSTS = AccountRef("costs:gateway")
CLEARING = AccountRef.clearing("simulator")


def a_card(number: str = GOOD, **changed: str) -> Card:
    return Card(**{"number": number, "expiry": "12/29", "cvv": "123", "holder": "Ada Achieng"} | changed)


@pytest.fixture
def cards(desk: Desk) -> SimulatedCards:
    """Give the desk a provider of cards beside the one that prompts phones."""
    cards = cards_in_process(desk.clock)
    gateways = BoundGateways({"mpesa": desk.gateway, **dict.fromkeys(CARD_METHODS, cards.gateway)})
    desk.start, desk.retry = replace(desk.start, gateways=gateways), replace(desk.retry, gateways=gateways)
    desk.reconcile = replace(desk.reconcile, gateways=gateways)
    return cards


async def pay(desk: Desk, number: str | None = GOOD, method: str = "card", **changed: Any) -> PaymentState:
    card = None if number is None else a_card(number)
    values = {"card": card, "amount": Money(5000_00), "attempts_max": 5, "life": timedelta(hours=24), "phone": None}
    return await desk.pay(**values | {"method": method} | changed)


async def decline(desk: Desk, number: str | None, method: str = "card", **changed: Any) -> PaymentDeclined:
    with pytest.raises(PaymentDeclined) as refused:
        await pay(desk, number, method, **changed)
    return refused.value


@pytest.mark.usefixtures("cards")
async def test_a_card_pays_at_once_and_the_fee_is_a_cost(desk: Desk) -> None:
    state = await pay(desk)
    assert (state.stage, state.method, state.fee) == ("succeeded", "card", Money(150_00))
    assert (state.attempts_left, len(state.attempts), state.completed_at) == (4, 1, desk.clock.now())
    assert [desk.balance(one) for one in (ORDER, CLEARING, COSTS)] == [5000_00, -5000_00 + 150_00, -150_00]
    assert desk.facts == ["PaymentSucceeded"]
    kept = desk.attempt.card
    assert kept is not None
    assert (kept.brand, kept.last4, kept.token.startswith("tok_")) == ("visa", "4242", True)
    assert "4242424242424242" not in repr(desk.intents)


@pytest.mark.usefixtures("cards")
async def test_payme_and_click_pay_at_once(desk: Desk) -> None:
    for number, method in enumerate(("payme", "click")):
        state = await pay(desk, None, method, subject=UUID(int=number))
        assert (state.stage, state.fee, state.method) == ("succeeded", Money(150_00), method)


@pytest.mark.usefixtures("cards")
@pytest.mark.parametrize("number", [DECLINED, NO_FUNDS, NETWORK, FRAUD, "4242424242424241"])
async def test_a_decline_leaves_the_payment_open_and_counts(desk: Desk, number: str) -> None:
    refused = await decline(desk, number)
    assert refused.extra["attempts_left"] == 4
    assert number not in repr(refused.extra)
    assert (desk.intent.status, desk.attempt.status, desk.moved) == (IntentStatus.OPEN, AttemptStatus.FAILED, 0)


@pytest.mark.usefixtures("cards")
async def test_after_the_last_attempt_there_is_none(desk: Desk) -> None:
    for left in (1, 0):
        assert (await decline(desk, DECLINED, attempts_max=2)).extra["attempts_left"] == left
    with pytest.raises(AttemptsExhausted):
        await pay(desk, attempts_max=2)
    assert (len(desk.intent.attempts), desk.moved) == (2, 0)


@pytest.mark.usefixtures("cards")
@pytest.mark.parametrize(
    ("card", "refusal", "fields"),
    [
        (None, CardIncomplete, ["card_number", "card_expiry", "card_cvv", "card_holder"]),
        (a_card(cvv="", holder=" "), CardIncomplete, ["card_cvv", "card_holder"]),
        (a_card("4242x"), CardIncomplete, ["card_number"]),
        (a_card("٤٢٤٢"), CardIncomplete, ["card_number"]),
        (a_card("4" * 20), CardIncomplete, ["card_number"]),
        (a_card(expiry="13/29"), CardIncomplete, ["card_expiry"]),
        (a_card(expiry="2029-12"), CardIncomplete, ["card_expiry"]),
        (a_card(cvv="12"), CardIncomplete, ["card_cvv"]),
        (a_card(expiry="02/26"), CardExpired, ["card_expiry"]),
    ],
)
async def test_a_card_that_cannot_be_one_is_refused_before_a_row_exists(
    desk: Desk, card: Card | None, refusal: type[DomainError], fields: Sequence[str]
) -> None:
    with pytest.raises(refusal) as refused:
        await pay(desk, None, card=card)
    assert [one.field for one in getattr(refused.value, "errors", ())] == fields
    assert (desk.intents, desk.moved) == ([], 0)


@pytest.mark.usefixtures("cards")
async def test_a_card_is_good_until_the_end_of_its_month(desk: Desk) -> None:
    assert desk.clock.now().strftime("%m/%y") == "03/26"
    assert (await pay(desk, None, card=a_card(expiry="03/26"))).stage == "succeeded"


@pytest.mark.usefixtures("cards")
@pytest.mark.parametrize("method", ["mpesa", "payme", "click", "wallet"])
async def test_card_fields_reach_nobody_else(desk: Desk, method: str) -> None:
    with pytest.raises(RawCardRefused):
        await pay(desk, GOOD, method, phone="+254712345678")
    assert (desk.intents, desk.gateway.collections) == ([], [])


@pytest.mark.usefixtures("cards")
async def test_a_wallet_is_not_topped_up_by_card(desk: Desk) -> None:
    top_up = TopUp(
        unit_of_work=desk.store.unit_of_work,
        start_payment=desk.start,
        gateways=desk.start.gateways,
        phones=KnownPhones(),
        policies=DefaultPolicies(),
        ids=SequentialIds(),
    )
    for method in sorted(CARD_METHODS):
        with pytest.raises(MethodUnavailable, match=r"not by card here\.$"):
            await top_up(TopUpCommand(payer=PAYER, amount=Money(100_00), method=method, phone=None))
    assert desk.intents == []


async def test_a_lost_answer_is_unknown_and_found_by_the_ladder(desk: Desk, cards: SimulatedCards) -> None:
    await cards.simulator.script(Script(outcome=SimulatedOutcome.ANSWER_LOST, times=1))
    assert (await pay(desk)).stage == "unknown"
    assert (await pay(desk)).stage == "unknown"
    await desk.pass_time(timedelta(seconds=75))
    assert (desk.intent.status, len(cards.simulator.charges())) == (IntentStatus.SUCCEEDED, 1)
    assert [desk.balance(one) for one in (ORDER, COSTS)] == [5000_00, -150_00]


async def test_another_currency_than_was_asked_opens_a_case(desk: Desk, cards: SimulatedCards) -> None:
    await cards.simulator.script(Script(outcome=SimulatedOutcome.WRONG_CURRENCY))
    assert (await pay(desk)).stage == "review"
    assert (desk.case.kind, desk.balance(ORDER)) == ("currency_differs", 0)


@pytest.mark.usefixtures("cards")
async def test_a_charge_that_did_not_reach_the_bank_is_tried_again_with_the_token(desk: Desk) -> None:
    desk.clock.advance(timedelta(hours=15))  # the middle of the night
    await decline(desk, NETWORK)
    token = desk.attempt.card and desk.attempt.card.token
    assert await desk.retry(10) == 1
    assert (desk.intent.status, desk.attempt.is_retry, len(desk.intent.attempts)) == (IntentStatus.SUCCEEDED, True, 2)
    assert (desk.attempt.card and desk.attempt.card.token) == token
    assert desk.balance(ORDER) == 5000_00
    assert await desk.retry(10) == 0


@pytest.mark.usefixtures("cards")
@pytest.mark.parametrize("number", [DECLINED, FRAUD, "4242424242424241"])
async def test_what_a_bank_refused_for_good_is_never_tried_again(desk: Desk, number: str) -> None:
    await decline(desk, number)
    desk.clock.advance(HALF_AN_HOUR)
    assert (await desk.retry(10), len(desk.intent.attempts)) == (0, 1)


@pytest.mark.usefixtures("cards")
async def test_retries_are_few_and_far_between_and_leave_the_last_attempt_to_the_payer(desk: Desk) -> None:
    await decline(desk, NO_FUNDS)
    sent = []
    for _ in range(6):
        sent.append(await desk.retry(10))
        assert await desk.retry(10) == 0
        desk.clock.advance(HALF_AN_HOUR)
    assert sent == [1, 1, 1, 0, 0, 0]
    assert (len(desk.intent.attempts), desk.intent.attempts_left) == (4, 1)
    assert (await pay(desk)).stage == "succeeded"


@pytest.mark.usefixtures("cards")
async def test_an_account_that_is_connected_is_charged_again(desk: Desk, cards: SimulatedCards) -> None:
    script = Script(match=ScriptMatch(method="payme"), outcome=SimulatedOutcome.FAILED, code="BUSY", times=1)
    await cards.simulator.script(script)
    await decline(desk, None, "payme")
    assert (await desk.retry(10), desk.intent.status) == (1, IntentStatus.SUCCEEDED)


@pytest.mark.usefixtures("cards")
async def test_what_is_over_or_closed_or_long_ago_is_not_tried_again(desk: Desk) -> None:
    await decline(desk, NETWORK, life=timedelta(minutes=10))
    desk.clock.advance(timedelta(minutes=10))
    assert (await desk.retry(10), len(desk.intent.attempts)) == (0, 1)
    await decline(desk, NETWORK, subject=UUID(int=7), life=timedelta(days=3))
    async with desk.store.unit_of_work() as uow:
        (await uow.intents.get(desk.intents[1].id)).cancel(desk.clock.now())
        await uow.commit()
    assert await desk.retry(10) == 0
    await decline(desk, NETWORK, subject=UUID(int=8), life=timedelta(days=3))
    desk.clock.advance(timedelta(hours=24))
    assert await desk.retry(10) == 0
    assert [len(one.attempts) for one in desk.intents] == [1, 1, 1]


class Outdated(InMemoryPaymentQueries):
    """Answers what was so a moment ago."""

    found: Sequence[DueAttempt] = ()

    async def soft_failures(self, terms: RetryTerms, limit: int) -> Sequence[DueAttempt]:
        return self.found


def _closed(intent: PaymentIntent) -> None:
    intent.cancel(intent.created_at)


def _over(intent: PaymentIntent) -> None:
    intent.expires_at = intent.created_at


def _at_its_last_attempt(intent: PaymentIntent) -> None:
    intent.attempts_max = 2


def _tried_again_by_the_payer(intent: PaymentIntent) -> None:
    intent.attempts.append(replace(intent.attempts[0], id=UUID(int=99), transaction_id=None))


def _under_review(intent: PaymentIntent) -> None:
    late = replace(intent.attempts[0], id=UUID(int=99), transaction_id=None, status=AttemptStatus.REVIEW)
    intent.attempts.insert(0, late)


@pytest.mark.usefixtures("cards")
@pytest.mark.parametrize(
    "change",
    [_closed, _over, _at_its_last_attempt, _tried_again_by_the_payer, _under_review],
    ids=lambda one: one.__name__,
)
async def test_what_changed_since_it_was_found_is_not_tried_again(
    desk: Desk, cards: SimulatedCards, change: Callable[[PaymentIntent], None]
) -> None:
    await decline(desk, NETWORK)
    queries = Outdated(desk.store)
    queries.found = await desk.retry.payment_queries.soft_failures(
        RetryTerms(
            now=desk.clock.now(),
            failed_after=desk.clock.now() - HALF_AN_HOUR,
            codes=["NETWORK_ERROR"],
            prompts=False,
            gateways=["simulator"],
            retries_max=3,
            last_retry_before=desk.clock.now(),
        ),
        10,
    )
    assert len(queries.found) == 1
    async with desk.store.unit_of_work() as uow:
        change(await uow.intents.get(desk.intent.id))
        await uow.commit()
    assert (await replace(desk.retry, payment_queries=queries)(10), len(cards.simulator.charges())) == (0, 1)
