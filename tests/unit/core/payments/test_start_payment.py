"""Rules of attempts: what is stored before the provider is asked, and what its answer makes of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from application.core.payments.ports import MethodUnavailable
from application.core.payments.start_payment import (
    AmountAboveMaximum,
    AmountBelowMinimum,
    GatewayUnavailable,
    PaymentDeclined,
    PhoneRequired,
    TooManyPushes,
    WholeUnitsRequired,
)
from domain.core.kernel.errors import DomainError, FieldError
from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import Money, UnknownCurrency
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.transfer import InsufficientFunds, Posting, Transfer, TransferKind
from domain.core.payments.gateway import Answer, Outcome, ProviderReferences
from domain.core.payments.intent import AttemptStatus, IntentStatus, PushInFlight, is_reference
from domain.core.payments.phone import PhoneInvalid
from tests.unit.core.payments.conftest import AN_ORDER, ASKED, ORDER, PAYER, WALLET, Desk

MINUTE = timedelta(minutes=1)


async def test_the_rows_are_committed_before_the_provider_is_asked(desk: Desk) -> None:
    state = await desk.pay()
    (seen,) = desk.gateway.committed
    (intent,) = seen.values()
    assert (intent.reference, intent.status) == (state.reference, IntentStatus.OPEN)
    assert [one.status for one in intent.attempts] == [AttemptStatus.SENDING]
    assert is_reference(state.reference)
    assert (state.status, state.stage, state.next_action) == ("PENDING", "pending", "wait_for_phone")
    assert (desk.attempt.status, desk.attempt.transaction_id) == (AttemptStatus.PENDING, "TXN000001")
    assert (desk.moved, desk.facts) == (0, [])


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"amount": Money(100_50)}, WholeUnitsRequired),
        ({"amount": Money(9_00)}, AmountBelowMinimum),
        ({"amount": Money(150_001_00)}, AmountAboveMaximum),
        ({"amount": Money(100_00, "USD")}, UnknownCurrency),
        ({"phone": None}, PhoneRequired),
        ({"phone": "12"}, PhoneInvalid),
        ({"method": "paypal"}, MethodUnavailable),
    ],
)
async def test_what_cannot_be_collected_leaves_no_row(
    desk: Desk, changed: dict[str, Any], refusal: type[DomainError]
) -> None:
    with pytest.raises(refusal):
        await desk.pay(**changed)
    assert (desk.intents, desk.gateway.committed, desk.store.commits) == ([], [], 0)


async def test_another_currency_is_refused_with_those_that_are_taken(desk: Desk) -> None:
    with pytest.raises(UnknownCurrency, match=r"^This way to pay does not take USD\.$") as refused:
        await desk.pay(amount=Money(100_00, "USD"))
    assert refused.value.errors == (FieldError("currency", "must be one of KES"),)


@pytest.mark.parametrize("amount", [10_00, 150_000_00])
async def test_the_limits_of_a_gateway_are_inclusive(desk: Desk, amount: int) -> None:
    assert (await desk.pay(amount=Money(amount))).stage == "pending"


async def test_no_answer_is_unknown_and_the_phone_is_not_prompted_again(desk: Desk) -> None:
    phone = "+254700000005"
    first = await desk.pay(phone=phone)
    assert (first.status, first.stage) == ("PENDING", "unknown")
    again = await desk.pay(phone=phone)
    assert (again.reference, again.stage) == (first.reference, "unknown")
    assert (len(desk.gateway.collections), len(desk.intent.attempts)) == (1, 1)


async def test_a_request_that_did_not_leave_fails_and_does_not_count_as_a_push(desk: Desk) -> None:
    desk.gateway.is_reachable = False
    for _ in range(4):  # more than a phone may be prompted
        with pytest.raises(GatewayUnavailable):
            await desk.pay()
    assert [one.status for one in desk.intent.attempts] == [AttemptStatus.FAILED] * 4
    assert {one.sent_at for one in desk.intent.attempts} == {None}
    assert desk.intent.attempts_left == AN_ORDER.attempts_max  # nor as an attempt
    desk.gateway.is_reachable = True
    assert (await desk.pay()).reference == desk.intent.reference
    assert desk.attempt.status is AttemptStatus.PENDING


async def test_a_decline_known_at_once_names_its_code_and_the_attempts_left(desk: Desk) -> None:
    desk.gateway.answer = Answer(outcome=Outcome.FAILED, references=ProviderReferences("TXN1"), code="CARD_DECLINED")
    with pytest.raises(PaymentDeclined) as refused:
        await desk.pay()
    facts = refused.value.extra
    assert (facts["gateway_code"], facts["attempts_left"]) == ("CARD_DECLINED", 2)
    assert (facts["payment_id"], facts["reference"]) == (str(desk.intent.id), desk.intent.reference)
    assert (desk.attempt.status, desk.attempt.code) == (AttemptStatus.FAILED, "CARD_DECLINED")
    assert (desk.intent.status, desk.facts, desk.moved) == (IntentStatus.OPEN, ["PaymentFailed"], 0)
    desk.gateway.answer = Answer(outcome=Outcome.FAILED, code="CARD_DECLINED")
    with pytest.raises(PaymentDeclined) as refused:
        await desk.pay()
    assert (refused.value.extra["attempts_left"], len(desk.intent.attempts)) == (1, 2)


async def test_an_answer_that_is_a_success_at_once_is_credited_at_once(desk: Desk) -> None:
    desk.gateway.answer = Answer(outcome=Outcome.SUCCEEDED, references=ProviderReferences("CARD1"), amount=ASKED)
    state = await desk.pay()
    assert (state.status, state.stage) == ("SUCCESS", "succeeded")
    assert (desk.balance(ORDER), desk.balance("clearing:lipana")) == (100_00, -100_00)
    assert desk.facts == ["PaymentSucceeded"]


async def test_a_second_pay_answers_the_attempt_in_flight(desk: Desk) -> None:
    first = await desk.pay()
    desk.clock.advance(MINUTE)
    second = await desk.pay()
    assert second == first
    assert (len(desk.gateway.collections), len(desk.intent.attempts)) == (1, 1)


async def test_another_amount_is_refused_while_one_is_in_flight_and_replaces_it_afterwards(desk: Desk) -> None:
    first = await desk.pay()
    before = desk.intent
    with pytest.raises(PushInFlight):
        await desk.pay(amount=Money(200_00))
    with pytest.raises(PushInFlight):  # nor from another phone
        await desk.pay(amount=Money(200_00), phone="+254722000111")
    assert desk.intent == before
    desk.gateway.collections[0].outcome = desk.gateway.collections[0].outcome.CANCELLED
    assert await desk.deliver(first.reference) == ["processed"]
    second = await desk.pay(amount=Money(200_00))
    assert second.reference != first.reference
    assert {one.reference: one.status for one in desk.intents} == {
        first.reference: IntentStatus.EXPIRED,
        second.reference: IntentStatus.OPEN,
    }


async def test_one_push_waits_per_phone_and_purpose_whoever_pays(desk: Desk) -> None:
    await desk.pay()
    with pytest.raises(PushInFlight):
        await desk.pay(payer=AccountId(UUID(int=0xB0B)), subject=UUID(int=2))
    assert len(desk.intents) == 1
    other = await desk.pay(purpose="PLAN", subject=UUID(int=2))
    assert other.stage == "pending"


async def test_a_phone_is_prompted_three_times_in_ten_minutes(desk: Desk) -> None:
    for number in range(3):
        state = await desk.pay(subject=UUID(int=number), phone="+254700000003")
        assert await desk.deliver(state.reference) == ["processed"]
        desk.clock.advance(MINUTE)
    with pytest.raises(TooManyPushes) as refused:
        await desk.pay(subject=UUID(int=9), phone="+254700000003")
    assert refused.value.retry_after_s == 7 * 60
    assert len(desk.intents) == 3
    desk.clock.advance(timedelta(minutes=7) - timedelta(microseconds=1))
    with pytest.raises(TooManyPushes):
        await desk.pay(subject=UUID(int=9), phone="+254700000003")
    desk.clock.advance(timedelta(microseconds=1))
    await desk.pay(subject=UUID(int=9), phone="+254700000003")
    assert len(desk.intents) == 4


async def test_from_a_wallet_a_payment_is_a_transfer_that_ends_at_once(desk: Desk) -> None:
    from_wallet = replace(AN_ORDER, method="wallet", phone=None)
    with pytest.raises(InsufficientFunds):
        await desk.pay(from_wallet)
    assert (desk.intents, desk.moved) == ([], 0)
    async with desk.store.unit_of_work() as uow:
        await uow.ledger.post(a_gift(desk))
        await uow.commit()
    state = await desk.pay(from_wallet)
    assert (state.status, state.stage, state.next_action) == ("SUCCESS", "succeeded", None)
    assert (desk.balance(WALLET), desk.balance(ORDER)) == (50_00, 100_00)
    assert (desk.intent.status, desk.gateway.committed) == (IntentStatus.SUCCEEDED, [])
    assert desk.facts == ["PaymentSucceeded"]


async def test_a_wallet_is_not_topped_up_from_a_wallet(desk: Desk) -> None:
    with pytest.raises(MethodUnavailable, match=r"^A wallet is not filled from itself\.$"):
        await desk.pay(purpose="WALLET", method="wallet", phone=None)
    assert desk.intents == []


async def test_an_id_of_the_provider_that_another_attempt_has_is_a_case_and_searched_for_later(desk: Desk) -> None:
    await desk.pay()
    desk.gateway.answer = Answer(outcome=Outcome.PENDING, references=ProviderReferences("TXN000001"))
    second = await desk.pay(subject=UUID(int=2), phone="+254722000111")
    assert second.stage == "unknown"
    assert [one.attempts[0].transaction_id for one in desk.intents] == ["TXN000001", None]
    assert (desk.case.kind, desk.case.attempt_id) == ("receipt_reused", desk.intents[1].attempts[0].id)


def a_gift(desk: Desk) -> Transfer:
    return Transfer(
        id=TransferId(desk.store.ids.new()),
        reference="gift",
        kind=TransferKind.ADJUSTMENT,
        area="tests",
        subject="tests",
        legs=(Posting(AccountRef("funding:external"), AccountRef.wallet(PAYER), Money(150_00)),),
        posted_at=desk.clock.now(),
    )


async def test_a_soft_failure_is_prompted_once_more_and_only_while_phones_ring(desk: Desk) -> None:
    state = await desk.pay(phone="+254700000002")
    assert await desk.deliver(state.reference) == ["processed"]
    assert desk.attempt.code == "INSUFFICIENT_FUNDS"
    desk.clock.set(desk.clock.now().replace(hour=18, minute=0))  # 21:00 in Nairobi
    async with desk.store.unit_of_work() as uow:
        (await uow.intents.get(desk.intent.id)).expires_at += timedelta(days=2)
        await uow.commit()
    assert (await desk.retry(10), len(desk.gateway.collections)) == (0, 1)
    desk.clock.advance(timedelta(hours=11))  # 08:00
    assert (await desk.retry(10), len(desk.gateway.collections)) == (1, 2)
    assert (len(desk.intent.attempts), desk.attempt.is_retry, desk.attempt.phone) == (2, True, "+254700000002")
    assert await desk.deliver(state.reference) == ["processed"]
    desk.clock.advance(timedelta(minutes=30))
    assert (await desk.retry(10), len(desk.gateway.collections)) == (0, 2)


async def test_a_hard_failure_is_not_retried(desk: Desk) -> None:
    state = await desk.pay(phone="+254700000003")
    assert await desk.deliver(state.reference) == ["processed"]
    desk.clock.advance(timedelta(minutes=30))
    assert (await desk.retry(10), len(desk.gateway.collections)) == (0, 1)
    assert desk.attempt.status is AttemptStatus.CANCELLED
