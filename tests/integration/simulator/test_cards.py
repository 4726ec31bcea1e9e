"""Cards, Payme and Click, as the simulator plays them over HTTP."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from application.core.payments.gateway import SignatureInvalid
from application.core.payments.simulation import (
    NothingToDeliver,
    OutcomeNotSimulated,
    Script,
    ScriptMatch,
    SimulatedOutcome,
)
from domain.core.kernel.money import Money
from domain.core.payments.gateway import Authority, Outcome, ProviderReferences, Search
from tests.contract.core.payment_gateway import GatewayBench, GatewayContract, repayment
from tests.integration.simulator.cards_bench import CardBench, a_card, a_collection, card_bench

HOUR = timedelta(hours=1)


@pytest.fixture
async def bench() -> AsyncIterator[CardBench]:
    async with card_bench() as opened:
        yield opened


class TestSimulatedCardGateway(GatewayContract):
    @pytest.fixture
    async def bench(self) -> AsyncIterator[GatewayBench]:
        async with card_bench() as opened:
            yield opened


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("4000000000000002", "CARD_DECLINED"),
        ("4000000000009995", "INSUFFICIENT_FUNDS"),
        ("4000000000000119", "NETWORK_ERROR"),
        ("4100000000000019", "FRAUD_DETECTED"),
        ("4242424242424241", "INVALID_CARD"),
        ("4242", "INVALID_CARD"),
    ],
)
async def test_a_card_fails_as_its_number_says(bench: CardBench, number: str, code: str) -> None:
    answer = await bench.gateway.collect(a_collection(card=a_card(number)))
    assert (answer.outcome, answer.code, answer.did_not_leave) == (Outcome.FAILED, code, False)
    assert (answer.authority, answer.fee) == (Authority.DEFINITIVE, None)
    assert answer.message is not None
    assert answer.references.transaction_id is not None


async def test_any_other_card_is_charged_at_once_and_three_per_cent_are_kept(bench: CardBench) -> None:
    answer = await bench.gateway.collect(a_collection(card=a_card("4242 4242-4242 4242")))
    assert (answer.outcome, answer.amount, answer.fee) == (Outcome.SUCCEEDED, Money(5000_00), Money(150_00))
    assert answer.card is not None
    assert (answer.card.brand, answer.card.last4) == ("visa", "4242")
    assert (await bench.gateway.query(answer.references)) == answer


@pytest.mark.parametrize(("asked", "fee"), [(16, None), (17, 1), (49, 1), (50, 2), (99_99, 3_00), (5000_00, 150_00)])
async def test_the_fee_is_rounded_to_the_nearest_cent_a_half_upwards(
    bench: CardBench, asked: int, fee: int | None
) -> None:
    answer = await bench.gateway.collect(a_collection(amount=Money(asked)))
    assert answer.fee == (None if fee is None else Money(fee))


@pytest.mark.parametrize("method", ["payme", "click"])
async def test_payme_and_click_need_no_card(bench: CardBench, method: str) -> None:
    answer = await bench.gateway.collect(a_collection(method=method, card=None))
    assert (answer.outcome, answer.card, answer.fee) == (Outcome.SUCCEEDED, None, Money(150_00))
    await bench.script(SimulatedOutcome.FAILED, method, code="BUSY")
    answer = await bench.gateway.collect(a_collection(2, method=method, card=None))
    assert (answer.outcome, answer.code) == (Outcome.FAILED, "BUSY")


@pytest.mark.parametrize(
    ("number", "outcome", "code"),
    [
        ("4242424242424242", Outcome.SUCCEEDED, None),
        ("4000000000000119", Outcome.SUCCEEDED, None),
        ("4000000000009995", Outcome.FAILED, "INSUFFICIENT_FUNDS"),
        ("4000000000000002", Outcome.FAILED, "CARD_DECLINED"),
    ],
)
async def test_a_token_is_charged_as_the_card_behind_it(
    bench: CardBench, number: str, outcome: Outcome, code: str | None
) -> None:
    first = await bench.gateway.collect(a_collection(card=a_card(number)))
    assert first.card is not None
    again = await bench.gateway.collect(a_collection(2, card=None, token=first.card.token))
    assert (again.outcome, again.code) == (outcome, code)
    unknown = await bench.gateway.collect(a_collection(3, card=None, token="of somebody else's"))
    assert (unknown.outcome, unknown.code, unknown.did_not_leave) == (Outcome.FAILED, "TOKEN_UNKNOWN", False)


async def test_what_the_provider_keeps_of_a_card_is_not_the_card(bench: CardBench) -> None:
    await bench.gateway.collect(a_collection(card=a_card("4000000000009995")))
    kept = repr(bench.simulator.charges())
    assert ("9995" in kept, "4000000000009995" in kept, "'123'" in kept) == (True, False, False)


async def test_a_lost_answer_is_found_by_the_key_of_its_attempt(bench: CardBench) -> None:
    await bench.gateway.collect(a_collection(1))
    await bench.script(SimulatedOutcome.ANSWER_LOST, "card", times=1)
    lost = await bench.gateway.collect(a_collection(2))
    assert (lost.outcome, lost.references) == (Outcome.UNKNOWN, ProviderReferences())
    now = bench.clock.now()
    window = Search(phone=None, amount=Money(5000_00), sent_after=now, sent_before=now)
    (found,) = await bench.gateway.search(replace(window, attempt_id=UUID(int=2)))
    assert (found.outcome, found.authority, found.amount) == (Outcome.SUCCEEDED, Authority.DEFINITIVE, Money(5000_00))
    assert found.references.transaction_id == bench.simulator.charges()[1].id
    assert await bench.gateway.search(replace(window, attempt_id=UUID(int=3))) == ()
    assert await bench.gateway.search(window) == ()


async def test_another_currency_or_amount_may_move_than_was_asked(bench: CardBench) -> None:
    await bench.script(SimulatedOutcome.WRONG_CURRENCY, times=1)
    answer = await bench.gateway.collect(a_collection(1))
    assert (answer.outcome, answer.amount) == (Outcome.SUCCEEDED, Money(5000_00, "USD"))
    await bench.script(SimulatedOutcome.AMOUNT_SHORT, times=1)
    assert (await bench.gateway.collect(a_collection(2))).amount == Money(4999_00)


async def test_a_charge_may_end_later_or_never(bench: CardBench) -> None:
    await bench.script(SimulatedOutcome.SUCCESS, "card", delay_s=60, times=1)
    sent = await bench.gateway.collect(a_collection(1))
    assert (sent.outcome, sent.amount, sent.fee) == (Outcome.PENDING, Money(5000_00), None)
    bench.clock.advance(timedelta(seconds=60))
    assert (await bench.gateway.query(sent.references)).outcome is Outcome.SUCCEEDED
    await bench.script(SimulatedOutcome.NO_ANSWER, times=1)
    sent = await bench.gateway.collect(a_collection(2))
    bench.clock.advance(timedelta(days=30))
    assert (await bench.gateway.query(sent.references)).outcome is Outcome.PENDING


async def test_a_script_is_for_what_it_matches_and_as_often_as_it_says(bench: CardBench) -> None:
    await bench.script(SimulatedOutcome.FAILED, "payme")
    await bench.script(SimulatedOutcome.FAILED, purpose="writer plan")
    assert (await bench.gateway.collect(a_collection(1))).outcome is Outcome.SUCCEEDED
    await bench.script(SimulatedOutcome.CANCELLED, "card", times=1)
    answers = [await bench.gateway.collect(a_collection(number)) for number in (2, 3)]
    assert [one.outcome for one in answers] == [Outcome.CANCELLED, Outcome.SUCCEEDED]
    planned = await bench.gateway.collect(a_collection(4, description="Writer plan"))
    assert (planned.outcome, planned.code) == (Outcome.FAILED, "CARD_DECLINED")


@pytest.mark.parametrize(
    ("match", "outcome"),
    [
        (ScriptMatch(method="mpesa"), SimulatedOutcome.SUCCESS),
        (ScriptMatch(phone="+254712345678"), SimulatedOutcome.SUCCESS),
        (ScriptMatch(method="card"), SimulatedOutcome.THREE_DELIVERIES),
        (ScriptMatch(method="refund"), SimulatedOutcome.AMOUNT_SHORT),
    ],
)
async def test_what_it_cannot_play_is_refused(bench: CardBench, match: ScriptMatch, outcome: SimulatedOutcome) -> None:
    with pytest.raises(OutcomeNotSimulated):
        await bench.simulator.script(Script(match=match, outcome=outcome))


async def test_a_refund_may_be_refused_or_wait_or_fail_later(bench: CardBench) -> None:
    paid = await bench.gateway.collect(a_collection())
    await bench.script(SimulatedOutcome.REFUND_REFUSED, "card", times=1)
    refused = await bench.gateway.refund(repayment(paid, Money(100_00), number=1))
    assert (refused.outcome, refused.code, refused.did_not_leave) == (Outcome.FAILED, "REFUND_REFUSED", False)
    await bench.script(SimulatedOutcome.SUCCESS, "refund", delay_s=3600, times=1)
    waits = await bench.gateway.refund(repayment(paid, Money(100_00), number=2))
    await bench.script(SimulatedOutcome.REFUND_FAILS_LATER, times=1)
    fails = await bench.gateway.refund(repayment(paid, Money(100_00), number=3))
    assert (waits.outcome, fails.outcome) == (Outcome.PENDING, Outcome.PENDING)
    bench.clock.advance(HOUR)
    waited, failed = [await bench.gateway.query_refund(one.references) for one in (waits, fails)]
    assert (waited.outcome, waited.amount) == (Outcome.SUCCEEDED, Money(100_00))
    assert (failed.outcome, failed.code) == (Outcome.FAILED, "REFUND_FAILED")
    assert bench.given_back() == 100_00


async def test_what_was_not_paid_is_not_given_back(bench: CardBench) -> None:
    declined = await bench.gateway.collect(a_collection(card=a_card("4000000000000002")))
    refused = await bench.gateway.refund(repayment(declined, Money(100_00)))
    assert (refused.outcome, refused.code, bench.given_back()) == (Outcome.FAILED, "NOT_REFUNDABLE", 0)


async def test_nobody_is_called_back_and_nothing_signed_can_come(bench: CardBench) -> None:
    sent = await bench.gateway.collect(a_collection())
    assert sent.references.transaction_id is not None
    assert await bench.simulator.deliver(sent.references.transaction_id) == 0
    with pytest.raises(NothingToDeliver):
        await bench.simulator.deliver("SKNOBODY0000")
    with pytest.raises(SignatureInvalid):
        await bench.gateway.verify(b"{}", {}, now=bench.clock.now())
    assert bench.gateway.parse(b"{}").is_understood is False
