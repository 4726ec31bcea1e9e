"""Rules of callbacks: stored first, applied once, and nothing credited that does not fit."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from application.core.payments.gateway import CallbackMalformed, SignatureInvalid
from application.core.payments.queries import DueAttempt
from application.core.payments.receive_callback import CallbackReply
from application.core.payments.simulation import SimulatedOutcome
from domain.core.kernel.errors import Unavailable
from domain.core.kernel.ids import IntentId
from domain.core.kernel.money import Money
from domain.core.payments.case import CaseClosed, Resolution, ResolutionNotPossible
from domain.core.payments.intent import AttemptStatus, IntentStatus
from tests.fakes.core.payments_queries import InMemoryPaymentQueries
from tests.unit.core.payments.conftest import ASKED, ORDER, WALLET, Desk

PROCESSED, REPEATED, ACCEPTED = CallbackReply.PROCESSED, CallbackReply.ALREADY_PROCESSED, CallbackReply.ACCEPTED
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def notice(**fields: Any) -> bytes:
    return json.dumps({"id": "TXN000001", "outcome": "succeeded", "minor": 100_00} | fields).encode()


@pytest.mark.parametrize(
    ("outcome", "replies", "stage", "credited"),
    [
        (SimulatedOutcome.SUCCESS, [PROCESSED], "succeeded", 100_00),
        (SimulatedOutcome.CALLBACK_FIRST, [PROCESSED], "succeeded", 100_00),
        (SimulatedOutcome.THREE_DELIVERIES, [PROCESSED, REPEATED, REPEATED], "succeeded", 100_00),
        (SimulatedOutcome.FAILED, [PROCESSED], "failed", 0),
        (SimulatedOutcome.INSUFFICIENT_FUNDS, [PROCESSED], "failed", 0),
        (SimulatedOutcome.CANCELLED, [PROCESSED], "cancelled", 0),
        (SimulatedOutcome.NO_ANSWER, [], "pending", 0),
        (SimulatedOutcome.NO_CALLBACK, [], "pending", 0),
        (SimulatedOutcome.LATE_SUCCESS, [], "pending", 0),
        (SimulatedOutcome.ANSWER_LOST, [PROCESSED], "succeeded", 100_00),
        (SimulatedOutcome.AMOUNT_SHORT, [ACCEPTED], "review", 0),
    ],
)
async def test_every_outcome_is_told_by_the_callbacks_that_come(
    desk: Desk, outcome: SimulatedOutcome, replies: list[CallbackReply], stage: str, credited: int
) -> None:
    desk.gateway.script("+254712345678", outcome)
    state = await desk.pay()
    assert await desk.deliver(state.reference) == replies
    assert (desk.intent.stage, desk.balance(ORDER)) == (stage, credited)
    assert desk.balance(ORDER) + desk.balance("clearing:lipana") + desk.balance("suspense:lipana") == 0


@pytest.mark.parametrize(
    ("outcome", "after", "stage"),
    [
        (SimulatedOutcome.NO_CALLBACK, 75 * SECOND, "succeeded"),
        (SimulatedOutcome.ANSWER_LOST, 75 * SECOND, "succeeded"),
        (SimulatedOutcome.CANCELLED, 75 * SECOND, "cancelled"),
        (SimulatedOutcome.NO_ANSWER, timedelta(minutes=15), "expired"),
    ],
)
async def test_every_outcome_is_found_by_asking_where_no_callback_comes(
    desk: Desk, outcome: SimulatedOutcome, after: timedelta, stage: str
) -> None:
    desk.gateway.script("+254712345678", outcome)
    await desk.pay()
    before = desk.intent.stage
    await desk.pass_time(after - timedelta(microseconds=1))
    assert desk.intent.stage == before
    await desk.pass_time(timedelta(microseconds=1))
    assert desk.intent.stage == stage
    assert desk.balance(ORDER) == (100_00 if stage == "succeeded" else 0)


async def test_a_late_success_serves_an_open_payment_and_reaches_the_wallet_of_a_closed_one(desk: Desk) -> None:
    desk.gateway.script("+254712345678", SimulatedOutcome.LATE_SUCCESS)
    first = await desk.pay()
    await desk.pass_time(15 * MINUTE)
    assert desk.intent.stage == "expired"
    await desk.pass_time(5 * MINUTE)
    assert await desk.deliver(first.reference) == [PROCESSED]
    assert (desk.intent.stage, desk.balance(ORDER), desk.balance(WALLET)) == ("succeeded", 100_00, 0)


@pytest.mark.parametrize("closing", ["cancel", "expire"])
async def test_a_success_after_the_purpose_was_closed_reaches_the_wallet(desk: Desk, closing: str) -> None:
    state = await desk.pay()
    async with desk.store.unit_of_work() as uow:
        getattr(await uow.intents.get(desk.intent.id), closing)(desk.clock.now())
        await uow.commit()
    closed = desk.intent.status
    assert await desk.deliver(state.reference) == [PROCESSED]
    assert (desk.balance(ORDER), desk.balance(WALLET)) == (0, 100_00)
    assert (desk.intent.status, desk.attempt.went_to_wallet) == (closed, True)
    assert desk.intent.served_at == desk.clock.now()
    assert desk.facts == ["PaymentSucceeded"]


async def test_a_second_success_of_one_payment_reaches_the_wallet(desk: Desk) -> None:
    desk.gateway.script("+254712345678", SimulatedOutcome.LATE_SUCCESS)
    await desk.pay()
    await desk.pass_time(15 * MINUTE)
    desk.gateway.script("+254712345678", SimulatedOutcome.SUCCESS)
    second = await desk.pay()
    assert len(desk.intent.attempts) == 2
    desk.clock.advance(5 * MINUTE)
    assert await desk.deliver(second.reference) == [PROCESSED, PROCESSED]
    assert (desk.balance(ORDER), desk.balance(WALLET), desk.moved) == (100_00, 100_00, 2)


async def test_a_success_moves_money_once_whatever_the_shape_and_number(desk: Desk) -> None:
    state = await desk.pay()
    said = [
        notice(),
        notice(reference=state.reference),
        notice(receipt="R1"),
        notice(id=None, reference=state.reference),
    ]
    assert [await desk.say(body) for body in said] == [PROCESSED, REPEATED, REPEATED, REPEATED]
    assert [await desk.say(body) for body in said] == [REPEATED] * 4
    assert (desk.balance(ORDER), desk.moved, desk.facts) == (100_00, 1, ["PaymentSucceeded"])
    assert len(desk.callbacks) == 4


async def test_a_success_is_final(desk: Desk) -> None:
    await desk.pay()
    assert await desk.say(notice()) == PROCESSED
    paid = desk.intent
    for outcome in ("failed", "cancelled"):
        assert await desk.say(notice(outcome=outcome)) == ACCEPTED
    assert await desk.say(notice(outcome="pending")) == ACCEPTED
    assert (desk.intent, desk.moved) == (paid, 1)
    assert desk.case.kind == "contradiction"


@pytest.mark.parametrize("first", ["failed", "cancelled"])
async def test_a_failure_that_turns_out_to_be_a_success_is_credited(desk: Desk, first: str) -> None:
    await desk.pay()
    assert await desk.say(notice(outcome=first)) == PROCESSED
    assert desk.intent.stage == first
    assert await desk.say(notice()) == PROCESSED
    assert (desk.intent.stage, desk.balance(ORDER)) == ("succeeded", 100_00)
    assert desk.facts == ["PaymentFailed", "PaymentSucceeded"]


async def test_a_pending_that_comes_after_the_success_changes_nothing(desk: Desk) -> None:
    await desk.pay()
    await desk.say(notice())
    assert await desk.say(notice(outcome="pending")) == ACCEPTED
    assert (desk.intent.stage, desk.balance(ORDER), desk.cases) == ("succeeded", 100_00, [])


async def test_a_forged_callback_is_refused_and_nothing_is_stored(desk: Desk) -> None:
    await desk.pay()
    before = desk.intent
    body, headers = desk.gateway.signed(notice())
    for forged in (headers | {"x-fake-signature": "00"}, {}):
        with pytest.raises(SignatureInvalid):
            await desk.receive(body, forged)
    with pytest.raises(SignatureInvalid):
        await desk.receive(body + b" ", headers)
    assert (desk.callbacks, desk.intent, desk.moved) == ([], before, 0)


async def test_a_callback_is_stored_before_it_is_read(desk: Desk) -> None:
    with pytest.raises(CallbackMalformed):
        await desk.say(b"[1]")
    (stored,) = desk.callbacks
    assert (stored.body, stored.result) == (b"[1]", None)
    assert await desk.say(b"[1]") == REPEATED
    await desk.pass_time(MINUTE)
    assert desk.callbacks[0].result == "malformed"


async def test_what_cannot_be_stored_is_not_acknowledged(desk: Desk) -> None:
    await desk.pay()
    desk.inbox.is_down = True
    with pytest.raises(Unavailable):
        await desk.say(notice())
    assert (desk.callbacks, desk.moved) == ([], 0)
    desk.inbox.is_down = False
    assert await desk.say(notice()) == PROCESSED


async def test_what_is_stored_and_not_applied_is_applied_by_the_job(desk: Desk) -> None:
    await desk.pay()
    applied = desk.receive.apply_event

    async def fails(*_: object, **__: object) -> str:
        raise Unavailable

    object.__setattr__(desk.receive, "apply_event", fails)
    assert await desk.say(notice()) == ACCEPTED
    object.__setattr__(desk.receive, "apply_event", applied)
    assert desk.moved == 0
    await desk.pass_time(MINUTE)
    assert (desk.intent.stage, desk.balance(ORDER), desk.callbacks[0].result) == ("succeeded", 100_00, PROCESSED)


@pytest.mark.parametrize(
    ("fields", "kind", "in_suspense"),
    [
        ({"minor": 99_99}, "amount_differs", 99_99),
        ({"minor": 100_01}, "amount_differs", 100_01),
    ],
)
async def test_another_amount_waits_in_suspense_for_staff(
    desk: Desk, fields: dict[str, Any], kind: str, in_suspense: int
) -> None:
    await desk.pay()
    assert await desk.say(notice(**fields)) == ACCEPTED
    assert (desk.intent.stage, desk.intent.status) == ("review", IntentStatus.OPEN)
    assert (desk.balance(ORDER), desk.balance("suspense:lipana")) == (0, in_suspense)
    assert (desk.case.kind, desk.case.booked, desk.facts) == (kind, Money(in_suspense), [])
    assert await desk.say(notice()) == REPEATED  # the right amount afterwards moves nothing: staff decide
    assert desk.moved == 1


async def test_a_missing_amount_is_asked_for(desk: Desk) -> None:
    await desk.pay()
    assert await desk.say(notice(minor=None)) == ACCEPTED
    assert (desk.moved, desk.attempt.next_check_at) == (0, desk.clock.now())
    await desk.pass_time(timedelta(0))
    assert (desk.intent.stage, desk.balance(ORDER), desk.cases) == ("succeeded", 100_00, [])


async def test_a_word_that_nobody_understands_is_stored_and_changes_nothing(desk: Desk) -> None:
    await desk.pay()
    before = desk.intent
    assert await desk.say(notice(outcome="wonderful")) == ACCEPTED
    assert (desk.intent, desk.moved, desk.callbacks[0].result) == (before, 0, "stored")


async def test_an_unknown_transaction_is_matched_again_for_a_day_and_then_a_case(desk: Desk) -> None:
    assert await desk.say(notice(id="TXN000001", reference=None)) == ACCEPTED
    await desk.pay()  # our row learns the id only now
    await desk.pass_time(MINUTE)
    assert (desk.intent.stage, desk.balance(ORDER)) == ("succeeded", 100_00)

    assert await desk.say(notice(id="NOBODY", minor=55_00)) == ACCEPTED
    for _ in range(4):
        await desk.pass_time(6 * HOUR - timedelta(microseconds=1))
        assert desk.cases == []
    await desk.pass_time(16 * MINUTE)
    assert (desk.case.kind, desk.case.booked) == ("unknown_reference", Money(55_00))
    assert (desk.balance("suspense:lipana"), desk.balance(WALLET)) == (55_00, 0)
    await desk.pass_time(HOUR)
    assert (len(desk.cases), desk.balance("suspense:lipana")) == (1, 55_00)


async def test_a_failure_of_nobody_we_know_books_nothing(desk: Desk) -> None:
    assert await desk.say(notice(id="NOBODY", outcome="failed")) == ACCEPTED
    await desk.pass_time(25 * HOUR)
    assert (desk.case.kind, desk.case.booked, desk.moved) == ("unknown_reference", None, 0)


async def test_a_transaction_of_one_payment_does_not_pay_another(desk: Desk) -> None:
    first = await desk.pay()
    second = await desk.pay(purpose="PLAN")
    assert await desk.say(notice(reference=first.reference, receipt="R1")) == PROCESSED
    assert await desk.say(notice(reference=second.reference)) == ACCEPTED
    assert await desk.say(notice(id="TXN000002", receipt="R1", reference=second.reference)) == ACCEPTED
    assert {one.kind for one in desk.cases} == {"receipt_reused"}
    assert (len(desk.cases), desk.moved, desk.balance(ORDER)) == (2, 1, 100_00)
    assert [one.stage for one in desk.intents] == ["succeeded", "pending"]


@pytest.mark.parametrize(
    ("phone", "is_flagged"),
    [("+254712345678", False), ("2547****678", False), (None, False), ("+254722000111", True)],
)
async def test_another_phone_is_flagged_and_does_not_stop_the_credit(
    desk: Desk, phone: str | None, is_flagged: bool
) -> None:
    await desk.pay()
    assert await desk.say(notice(phone=phone)) == PROCESSED
    assert desk.balance(ORDER) == 100_00
    assert [one.kind for one in desk.cases] == (["phone_differs"] if is_flagged else [])


# -- asking --


async def test_an_attempt_is_asked_about_on_a_ladder_until_it_is_told(desk: Desk) -> None:
    desk.gateway.script("+254712345678", SimulatedOutcome.NO_ANSWER)
    await desk.pay()
    sent_at, asked = desk.clock.now(), list[float]()
    query = desk.gateway.query

    async def counted(references: Any) -> Any:
        asked.append((desk.clock.now() - sent_at).total_seconds())
        return await query(references)

    desk.gateway.query = counted  # type: ignore[method-assign]
    ladder = [75, 180, 600, 1800, 7200, 43_200, 86_400, 259_200]
    for seconds in sorted([*ladder, *(step - 1 for step in ladder), 300_000]):
        desk.clock.set(sent_at + timedelta(seconds=seconds))
        await desk.reconcile(100)
    assert asked == ladder
    assert (desk.intent.stage, desk.moved) == ("pending", 0)  # only the sweep of expired ones ends it


async def test_an_attempt_that_the_provider_does_not_know_is_a_case_after_a_day(desk: Desk) -> None:
    await desk.pay()
    desk.gateway.collections.clear()
    for after in (75 * SECOND, 12 * HOUR):
        await desk.pass_time(after)
        assert desk.cases == []
    await desk.pass_time(12 * HOUR)
    assert (desk.intent.stage, desk.case.kind, desk.case.attempt_id) == ("expired", "unknown_outcome", desk.attempt.id)
    await desk.pass_time(48 * HOUR)
    assert (len(desk.cases), desk.moved) == (1, 0)


async def test_a_query_never_turns_a_success_into_a_failure(desk: Desk) -> None:
    await desk.pay()
    await desk.say(notice())
    async with desk.store.unit_of_work() as uow:
        (await uow.intents.get(desk.intent.id)).attempts[0].next_check_at = desk.clock.now()
        await uow.commit()
    desk.gateway.collections[0].outcome = SimulatedOutcome.FAILED
    await desk.pass_time(MINUTE)
    assert (desk.intent.stage, desk.balance(ORDER), desk.moved) == ("succeeded", 100_00, 1)


async def test_a_provider_that_is_away_decides_nothing(desk: Desk) -> None:
    await desk.pay()
    desk.gateway.is_reachable = False
    await desk.pass_time(HOUR)
    assert (desk.intent.stage, desk.moved) == ("expired", 0)
    desk.gateway.is_reachable = True
    await desk.pass_time(HOUR)
    assert (desk.intent.stage, desk.balance(WALLET) + desk.balance(ORDER)) == ("succeeded", 100_00)


async def test_two_prompts_that_look_alike_are_a_case_and_neither_is_adopted(desk: Desk) -> None:
    desk.gateway.script("+254712345678", SimulatedOutcome.ANSWER_LOST)
    await desk.pay()
    await desk.pay(purpose="PLAN")
    await desk.pass_time(75 * SECOND)
    assert [one.stage for one in desk.intents] == ["unknown", "unknown"]
    assert ({one.kind for one in desk.cases}, desk.moved) == ({"unknown_outcome"}, 0)


async def test_a_send_that_was_cut_off_is_unknown_after_a_minute(desk: Desk) -> None:
    await desk.pay()
    async with desk.store.unit_of_work() as uow:
        attempt = (await uow.intents.get(desk.intent.id)).attempts[0]
        attempt.status, attempt.transaction_id, attempt.checkout_id = AttemptStatus.SENDING, None, None
        await uow.commit()
    await desk.pass_time(MINUTE - timedelta(microseconds=1))
    assert desk.intent.stage == "created"
    await desk.pass_time(timedelta(microseconds=1))
    assert desk.intent.stage == "unknown"
    await desk.pass_time(15 * SECOND)
    assert (desk.intent.stage, desk.balance(ORDER)) == ("succeeded", 100_00)


class NamesALostPaymentFirst(InMemoryPaymentQueries):
    """Reads that name something first which is gone by the time it is looked at."""

    async def waiting_since(self, before: datetime, limit: int) -> Sequence[DueAttempt]:
        found = await super().waiting_since(before, limit)
        return [replace(one, intent_id=IntentId(UUID(int=404))) for one in found] + list(found)


async def test_an_attempt_that_cannot_be_expired_does_not_stop_the_others(desk: Desk) -> None:
    desk.gateway.script("+254712345678", SimulatedOutcome.NO_ANSWER)
    await desk.pay()
    desk.clock.advance(16 * MINUTE)
    assert await replace(desk.expire, payment_queries=NamesALostPaymentFirst(desk.store))(100) == 1
    assert (desk.intent.stage, desk.facts) == ("expired", ["PaymentFailed"])


# -- what staff decide --


async def test_staff_accept_what_covers_the_price_and_the_rest_reaches_the_wallet(desk: Desk) -> None:
    await desk.pay()
    await desk.say(notice(minor=130_00))
    await desk.resolve(Resolution.ACCEPT)
    assert (desk.balance(ORDER), desk.balance(WALLET), desk.balance("suspense:lipana")) == (100_00, 30_00, 0)
    assert (desk.intent.status, desk.attempt.received) == (IntentStatus.SUCCEEDED, Money(130_00))
    (told,) = [event for event in desk.store.events if hasattr(event, "amount_minor")]
    assert told.amount_minor == ASKED.minor
    (entry,) = desk.store.audit_entries
    assert (entry.action, entry.reason) == ("RESOLVE_CASE", "as agreed")


async def test_staff_credit_the_wallet_with_all_that_came(desk: Desk) -> None:
    await desk.pay()
    await desk.say(notice(minor=99_00))
    await desk.resolve(Resolution.CREDIT_WALLET)
    assert (desk.balance(ORDER), desk.balance(WALLET), desk.balance("suspense:lipana")) == (0, 99_00, 0)
    assert (desk.intent.stage, desk.attempt.went_to_wallet) == ("succeeded", True)


async def test_what_staff_send_back_fails_the_attempt(desk: Desk) -> None:
    await desk.pay()
    await desk.say(notice(minor=99_00))
    await desk.resolve(Resolution.RETURN)
    assert (desk.balance("clearing:lipana"), desk.balance("suspense:lipana")) == (0, 0)
    assert (desk.intent.stage, desk.attempt.code) == ("failed", "RETURNED_TO_PAYER")


async def test_money_of_an_unknown_reference_is_matched_to_an_attempt(desk: Desk) -> None:
    await desk.say(notice(id="NOBODY", receipt="R9"))
    await desk.pass_time(25 * HOUR)
    desk.gateway.script("+254712345678", SimulatedOutcome.NO_ANSWER)
    await desk.pay()
    await desk.resolve(Resolution.MATCH, attempt_id=desk.attempt.id)
    assert (desk.balance(ORDER), desk.balance("suspense:lipana")) == (100_00, 0)
    assert (desk.intent.stage, desk.attempt.receipt) == ("succeeded", "R9")
    assert (desk.case.attempt_id, desk.case.intent_id) == (desk.attempt.id, desk.intent.id)


@pytest.mark.parametrize(
    ("received", "resolution"),
    [
        ({"minor": 99_00}, Resolution.ACCEPT),  # less than was asked
        ({"minor": 99_00}, Resolution.DISMISS),  # money lies in suspense
        ({"minor": 99_00}, Resolution.MATCH),  # it is known whose it is
        ({"phone": "+254722000111"}, Resolution.CREDIT_WALLET),  # nothing was booked
        ({"phone": "+254722000111"}, Resolution.ACCEPT),
        ({"phone": "+254722000111"}, Resolution.RETURN),
    ],
)
async def test_what_does_not_fit_a_case_is_refused(
    desk: Desk, received: dict[str, Any], resolution: Resolution
) -> None:
    await desk.pay()
    await desk.say(notice(**received))
    before = (desk.intent, desk.case, desk.moved)
    with pytest.raises(ResolutionNotPossible):
        await desk.resolve(resolution)
    assert (desk.intent, desk.case, desk.moved) == before
    assert desk.store.audit_entries == []


async def test_a_case_is_closed_once(desk: Desk) -> None:
    await desk.pay()
    await desk.say(notice(minor=99_00))
    await desk.resolve(Resolution.CREDIT_WALLET)
    before = (desk.case, desk.moved)
    with pytest.raises(CaseClosed):
        await desk.resolve(Resolution.RETURN)
    assert (desk.case, desk.moved) == before
