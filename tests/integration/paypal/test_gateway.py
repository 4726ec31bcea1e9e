"""What the adapter does with orders, captures and refunds, whatever PayPal answers."""

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from domain.core.kernel.errors import Unavailable
from domain.core.kernel.money import Money
from domain.core.payments.gateway import Answer, Authority, Outcome, Payout, ProviderReferences, Repayment
from infrastructure.paypal.gateway import CHECKS_AFTER, PayPalPaymentGateway
from infrastructure.providers.asking import Patience
from infrastructure.simulator.paypal_books import Call, Fate
from infrastructure.simulator.paypal_books import Fault as Behaviour
from tests.contract.core.payment_gateway import Payer, repayment
from tests.fakes.core.system import FixedClock
from tests.integration.paypal.bench import (
    CANCEL_URL,
    DEFAULT_RETURN_URL,
    RETURN_URL,
    PayPalBench,
    at_once,
    paypal_bench,
    paypal_settings,
    signer,
)

DOLLARS = Money(25_00, "USD")
UNANSWERED = [
    Behaviour.ANSWER_LOST,
    Behaviour.WEB_PAGE,
    Behaviour.CUT_SHORT,
    Behaviour.WRONG_SHAPE,
    Behaviour.SLOW,
    Behaviour.SERVER_ERROR,
    Behaviour.OUT_OF_SERVICE,
]


REFUSALS = {
    "ORDER_NOT_APPROVED": Outcome.PENDING,
    "PAYER_ACTION_REQUIRED": Outcome.PENDING,
    "ORDER_COMPLETION_IN_PROGRESS": Outcome.PENDING,
    "INSTRUMENT_DECLINED": Outcome.FAILED,
    "DUPLICATE_INVOICE_ID": Outcome.FAILED,
    "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED": Outcome.FAILED,
    "PAYER_ACCOUNT_RESTRICTED": Outcome.FAILED,
    "COMPLIANCE_VIOLATION": Outcome.FAILED,
    "SOMETHING_NEW": Outcome.UNKNOWN,
}


@pytest.fixture
async def bench() -> AsyncIterator[PayPalBench]:
    async with paypal_bench() as bench:
        yield bench


class Sent:
    """Sees what is sent to PayPal, and answers in its place."""

    def __init__(self, *answers: dict[str, Any] | tuple[int, dict[str, Any]]) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = list(answers)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        if request.url.path.endswith("/token"):
            return httpx.Response(200, json={"access_token": "t", "expires_in": 32_400})
        self.requests.append(request)
        answer = self._answers.pop(0)
        status, fields = answer if isinstance(answer, tuple) else (200, answer)
        return httpx.Response(status, json=fields)

    @property
    def gateway(self) -> PayPalPaymentGateway:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))
        settings = paypal_settings("https://api-m.sandbox.paypal.com", roots=[signer().authority.root])
        return PayPalPaymentGateway(client, settings, FixedClock())


def capture(status: str, **more: Any) -> dict[str, Any]:
    return {"id": "3C1", "status": status, "amount": {"currency_code": "USD", "value": "25.00"}, **more}


def order(status: str, *captures: dict[str, Any], **more: Any) -> dict[str, Any]:
    units = [{"payments": {"captures": list(captures)}}] if captures else []
    return {"id": "5O1", "status": status, "purchase_units": units, **more}


async def test_an_order_is_made_with_our_names_on_it(bench: PayPalBench) -> None:
    sent = Sent(order("PAYER_ACTION_REQUIRED", links=[{"rel": "payer-action", "href": "https://paypal.test/5O1"}]))
    collection = replace(bench.collection(), description="d" * 200)
    answer = await sent.gateway.collect(collection)
    [request] = sent.requests
    assert (request.method, request.url.path) == ("POST", "/v2/checkout/orders")
    assert request.headers["paypal-request-id"] == collection.idempotency_key
    assert request.headers["authorization"] == "Bearer t"
    body = json.loads(request.content)
    [unit] = body["purchase_units"]
    assert unit == {
        "reference_id": "SKTEST000001",
        "custom_id": "SKTEST000001",
        "invoice_id": "SKTEST000001",
        "description": "d" * 127,
        "amount": {"currency_code": "USD", "value": "25.00"},
    }
    context = body["payment_source"]["paypal"]["experience_context"]
    assert (context["return_url"], context["cancel_url"]) == (RETURN_URL, CANCEL_URL)
    elsewhere = Sent(order("CREATED"))
    await elsewhere.gateway.collect(replace(collection, return_url=None, cancel_url=None))
    context = json.loads(elsewhere.requests[0].content)["payment_source"]["paypal"]["experience_context"]
    assert (context["return_url"], context["cancel_url"]) == (DEFAULT_RETURN_URL, DEFAULT_RETURN_URL)
    assert (answer.outcome, answer.next_action, answer.next_url) == (
        Outcome.PENDING,
        "redirect",
        "https://paypal.test/5O1",
    )
    assert answer.references == ProviderReferences(checkout_id="5O1")


async def test_the_payer_comes_back_to_where_he_was_sent_from(bench: PayPalBench) -> None:
    sent = await bench.gateway.collect(bench.collection())
    page = await bench.client.get(sent.next_url or "")
    assert page.headers["location"].startswith(RETURN_URL + "&token=" + (sent.references.checkout_id or "?"))
    refused = await bench.gateway.collect(bench.collection(Payer.REFUSES, number=2))
    page = await bench.client.get(f"{refused.next_url}&cancel=1")
    assert page.headers["location"].startswith(CANCEL_URL + "?token=")
    assert (await bench.gateway.query(refused.references)).outcome is Outcome.PENDING
    assert bench.captures() == 0


async def test_an_approved_order_is_captured_by_the_query_without_the_payer(bench: PayPalBench) -> None:
    sent = await bench.gateway.collect(bench.collection())
    bench.simulator.approve(bench.order(sent))  # the browser never comes back
    assert bench.captures() == 0
    answer = await bench.gateway.query(sent.references)
    taken = bench.order(sent).capture
    assert taken is not None
    assert (answer.outcome, answer.authority, answer.amount) == (Outcome.SUCCEEDED, Authority.DEFINITIVE, DOLLARS)
    assert answer.references == ProviderReferences(transaction_id=taken.id, checkout_id=sent.references.checkout_id)
    assert answer.fee == Money(1_36, "USD")
    again = await bench.gateway.query(sent.references)
    assert (again.outcome, again.references, bench.captures()) == (Outcome.SUCCEEDED, answer.references, 1)


async def test_two_who_ask_at_once_capture_once(bench: PayPalBench) -> None:
    sent = await bench.approved()
    answers = await at_once(*[bench.gateway.query(sent.references) for _ in range(8)])
    assert {answer.outcome for answer in answers} == {Outcome.SUCCEEDED}
    assert len({answer.references.transaction_id for answer in answers}) == 1
    assert [event.type for event in bench.simulator.events].count("PAYMENT.CAPTURE.COMPLETED") == 1


async def test_the_key_of_a_capture_is_its_order(bench: PayPalBench) -> None:
    sent = Sent(order("APPROVED"), order("COMPLETED", capture("COMPLETED")))
    await sent.gateway.query(ProviderReferences(checkout_id="5O1"))
    assert sent.requests[1].url.path == "/v2/checkout/orders/5O1/capture"
    assert sent.requests[1].headers["paypal-request-id"] == "capture:5O1"
    assert sent.requests[1].content == b""


async def test_an_order_that_somebody_else_captured_is_read_and_not_captured_again() -> None:
    refusal = {"name": "UNPROCESSABLE_ENTITY", "details": [{"issue": "ORDER_ALREADY_CAPTURED"}]}
    sent = Sent(order("APPROVED"), (422, refusal), order("COMPLETED", capture("COMPLETED")))
    answer = await sent.gateway.query(ProviderReferences(checkout_id="5O1"))
    assert (answer.outcome, answer.amount, answer.references.transaction_id) == (Outcome.SUCCEEDED, DOLLARS, "3C1")
    assert [request.method for request in sent.requests] == ["GET", "POST", "GET"]
    still = Sent(order("APPROVED"), (422, refusal), order("APPROVED"))  # the lookup is a moment behind
    assert (await still.gateway.query(ProviderReferences(checkout_id="5O1"))).outcome is Outcome.PENDING
    assert len(still.requests) == 3


async def test_a_capture_whose_answer_is_lost_is_unknown_and_taken_once() -> None:
    async with paypal_bench(patience=Patience(total_timeout_s=1.5)) as bench:
        for number, fault in enumerate(UNANSWERED, start=1):
            sent = await bench.approved(number)
            bench.tell(Call.CAPTURE, fault)
            answer = await bench.gateway.query(sent.references)
            assert (answer.outcome, answer.authority) == (Outcome.UNKNOWN, Authority.HINT), fault
            assert answer.references.checkout_id == sent.references.checkout_id
            bench.clock.advance(timedelta(minutes=1))
            answer = await bench.gateway.query(sent.references)
            assert (answer.outcome, answer.amount, bench.captures()) == (Outcome.SUCCEEDED, DOLLARS, number)


async def test_a_question_that_gets_no_answer_says_nothing(bench: PayPalBench) -> None:
    sent = await bench.approved()
    for fault in UNANSWERED:
        if fault is not Behaviour.SLOW:
            bench.tell(Call.LOOKUP, fault)
            answer = await bench.gateway.query(sent.references)
            assert (answer.outcome, answer.authority) == (Outcome.UNKNOWN, Authority.HINT), fault
    assert bench.captures() == 0


async def test_a_pending_capture_is_asked_for_until_it_ends(bench: PayPalBench) -> None:
    bench.simulator.fate = Fate.PENDS
    sent = await bench.approved()
    pending = await bench.gateway.query(sent.references)
    assert (pending.outcome, pending.code) == (Outcome.PENDING, "PENDING_REVIEW")
    assert bench.order(sent).status == "COMPLETED"  # of the order, which does not count
    assert pending.references.transaction_id is not None
    assert (await bench.gateway.query(pending.references)).outcome is Outcome.PENDING
    bench.simulator.settle()
    for references in (pending.references, sent.references):
        paid = await bench.gateway.query(references)
        assert (paid.outcome, paid.amount, paid.code) == (Outcome.SUCCEEDED, DOLLARS, None)


@pytest.mark.parametrize("fate", [Fate.PENDS_AND_FAILS, Fate.DECLINED])
async def test_a_capture_that_is_declined_is_no_payment_though_its_order_is_complete(
    bench: PayPalBench, fate: Fate
) -> None:
    bench.simulator.fate = fate
    sent = await bench.approved()
    await bench.gateway.query(sent.references)
    bench.simulator.settle()
    answer = await bench.gateway.query(sent.references)
    assert (answer.outcome, answer.authority, answer.code) == (Outcome.FAILED, Authority.DEFINITIVE, "DECLINED")
    assert bench.order(sent).status == "COMPLETED"


async def test_each_refusal_of_a_capture_has_its_meaning(bench: PayPalBench) -> None:
    sent = await bench.approved()
    for issue, outcome in REFUSALS.items():
        bench.tell(Call.CAPTURE, Behaviour.ISSUE, issue=issue)
        answer = await bench.gateway.query(sent.references)
        authority = Authority.HINT if outcome is Outcome.UNKNOWN else Authority.DEFINITIVE
        assert (answer.outcome, answer.authority, answer.code) == (outcome, authority, issue)
    assert bench.captures() == 0


async def test_an_order_that_lapsed_has_ended(bench: PayPalBench) -> None:
    sent = await bench.gateway.collect(bench.collection())
    bench.simulator.orders.clear()
    answer = await bench.gateway.query(sent.references)
    assert (answer.outcome, answer.authority, answer.code) == (Outcome.FAILED, Authority.DEFINITIVE, "EXPIRED")
    voided = Sent(order("VOIDED"))
    answer = await voided.gateway.query(ProviderReferences(checkout_id="5O1"))
    assert (answer.outcome, answer.code) == (Outcome.FAILED, "EXPIRED")


@pytest.mark.parametrize(
    ("shown", "outcome", "code"),
    [
        ([capture("DECLINED"), capture("COMPLETED", id="3C2")], Outcome.SUCCEEDED, None),
        ([capture("PENDING"), capture("DECLINED")], Outcome.PENDING, "PENDING"),
        ([capture("REFUNDED")], Outcome.UNKNOWN, "REFUNDED"),
        ([capture("PARTIALLY_REFUNDED")], Outcome.UNKNOWN, "PARTIALLY_REFUNDED"),
        ([capture("FAILED")], Outcome.FAILED, "FAILED"),
        ([capture("SOMETHING_NEW")], Outcome.UNKNOWN, "SOMETHING_NEW"),
        ([], Outcome.UNKNOWN, "COMPLETED"),
    ],
)
async def test_the_capture_counts_and_not_the_order(
    shown: list[dict[str, Any]], outcome: Outcome, code: str | None
) -> None:
    answer = await Sent(order("COMPLETED", *shown)).gateway.query(ProviderReferences(checkout_id="5O1"))
    assert (answer.outcome, answer.code) == (outcome, code)
    assert answer.authority is (Authority.HINT if outcome is Outcome.UNKNOWN else Authority.DEFINITIVE)


async def test_what_moved_is_told_as_it_is(bench: PayPalBench) -> None:
    moved = {
        Fate.AMOUNT_SHORT: Money(24_99, "USD"),
        Fate.AMOUNT_OVER: Money(25_01, "USD"),
        Fate.OTHER_CURRENCY: Money(25_00, "GBP"),
    }
    for number, (fate, amount) in enumerate(moved.items(), start=1):
        bench.simulator.fate = fate
        sent = await bench.approved(number)
        answer = await bench.gateway.query(sent.references)
        assert (answer.outcome, answer.amount) == (Outcome.SUCCEEDED, amount)
        told = [bench.gateway.parse(one.body) for one in await bench.notices(bench.collection(number=number))]
        assert told[-1].amount == amount


async def test_a_fee_in_another_currency_is_left_out() -> None:
    fee = {"paypal_fee": {"currency_code": "EUR", "value": "1.36"}}
    answer = await Sent(capture("COMPLETED", seller_receivable_breakdown=fee)).gateway.query(ProviderReferences("3C1"))
    assert (answer.amount, answer.fee) == (DOLLARS, None)


async def test_amounts_are_decimal_texts_of_the_currencys_own_digits(bench: PayPalBench) -> None:
    amounts = {
        Money(25_00, "USD"): "25.00",
        Money(1, "EUR"): "0.01",
        Money(10_000_00, "GBP"): "10000.00",
        Money(2500, "JPY"): "2500",
    }
    for number, (amount, value) in enumerate(amounts.items(), start=1):
        sent = await bench.approved(number, amount)
        assert bench.simulator.written_order(bench.order(sent))["purchase_units"][0]["amount"]["value"] == value
        assert (await bench.gateway.query(sent.references)).amount == amount


async def test_what_paypal_does_not_take_is_not_sent(bench: PayPalBench) -> None:
    assert "KES" not in bench.gateway.capabilities.currencies
    for amount in (Money(25_00), Money(25_00, "UZS"), Money(0, "USD"), Money(10_000_01, "USD")):
        with pytest.raises(AssertionError):
            await bench.gateway.collect(replace(bench.collection(), amount=amount))
    assert bench.charges() == 0


async def test_an_order_whose_answer_is_lost_is_found_again_by_its_key(bench: PayPalBench) -> None:
    for number, fault in enumerate(UNANSWERED[:4], start=1):
        bench.tell(Call.CREATE, fault)
        lost = await bench.gateway.collect(bench.collection(number=number))
        again = await bench.gateway.collect(bench.collection(number=number))
        assert (lost.outcome, again.outcome, bench.charges()) == (Outcome.UNKNOWN, Outcome.PENDING, number), fault


async def test_refusals_say_why_and_are_logged_with_paypals_own_number(
    bench: PayPalBench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.tell(Call.CREATE, Behaviour.ISSUE, issue="PAYEE_ACCOUNT_RESTRICTED")
    with caplog.at_level(logging.WARNING, "soko.payments"):
        answer = await bench.gateway.collect(bench.collection())
    assert (answer.outcome, answer.code, answer.did_not_leave) == (Outcome.FAILED, "PAYEE_ACCOUNT_RESTRICTED", False)
    [record] = caplog.records
    assert (record.message, vars(record)["debug_id"]) == ("paypal_refused", "d3b06f1d5a")
    assert "secret" not in str(vars(record))


async def test_an_error_that_is_not_paypals_own_word_refuses_nothing(bench: PayPalBench) -> None:
    conflict = {"name": "RESOURCE_CONFLICT", "details": []}
    for status, fields in ((404, dict[str, Any]()), (400, {"error": "proxy"}), (409, conflict), (500, conflict)):
        made = await Sent((status, fields)).gateway.collect(bench.collection())
        asked = await Sent((status, fields)).gateway.query(ProviderReferences(checkout_id="5O1"))
        assert (made.outcome, made.did_not_leave, asked.outcome) == (Outcome.UNKNOWN, False, Outcome.UNKNOWN), status


@pytest.mark.parametrize("fault", [Behaviour.FORBIDDEN, Behaviour.TOO_OFTEN])
async def test_what_is_turned_away_did_not_leave(bench: PayPalBench, fault: Behaviour) -> None:
    bench.tell(Call.CREATE, fault)
    answer = await bench.gateway.collect(bench.collection())
    assert (answer.outcome, answer.did_not_leave) == (Outcome.FAILED, True)
    assert answer.retry_after_s == (30 if fault is Behaviour.TOO_OFTEN else None)
    assert bench.charges() == 0


async def test_one_token_serves_until_it_is_about_to_end(bench: PayPalBench) -> None:
    sent = await at_once(*[bench.gateway.collect(bench.collection(number=one)) for one in range(1, 6)])
    assert {one.outcome for one in sent} == {Outcome.PENDING}
    assert len(bench.simulator.tokens) == 1
    bench.clock.advance(timedelta(hours=9) - timedelta(minutes=5, seconds=1))
    await bench.gateway.query(sent[0].references)
    assert len(bench.simulator.tokens) == 1
    bench.clock.advance(timedelta(seconds=1))
    await bench.gateway.query(sent[0].references)
    assert len(bench.simulator.tokens) == 2


async def test_a_token_that_is_refused_is_renewed_once_and_the_order_made_once(bench: PayPalBench) -> None:
    await bench.gateway.collect(bench.collection())
    bench.simulator.tokens.clear()
    answer = await bench.gateway.collect(bench.collection(number=2))
    assert (answer.outcome, bench.charges(), len(bench.simulator.tokens)) == (Outcome.PENDING, 2, 1)


async def test_without_a_token_nothing_leaves(bench: PayPalBench) -> None:
    for fault in (Behaviour.KEY_REFUSED, Behaviour.SERVER_ERROR, Behaviour.ANSWER_LOST, Behaviour.WEB_PAGE):
        bench.tell(Call.TOKEN, fault)
        answer = await bench.gateway.collect(bench.collection())
        assert (answer.outcome, answer.did_not_leave, bench.charges()) == (Outcome.FAILED, True, 0), fault
        assert (answer.code == "AUTHENTICATION_FAILED") is (fault is Behaviour.KEY_REFUSED)
    assert (await bench.gateway.collect(bench.collection())).outcome is Outcome.PENDING


async def paid(bench: PayPalBench) -> Answer:
    sent = await bench.approved()
    return await bench.gateway.query(sent.references)


async def test_a_refund_names_itself_and_fails_later_as_told(bench: PayPalBench) -> None:
    payment = await paid(bench)
    bench.simulator.refund_fate = Fate.PENDS_AND_FAILS
    answer = await bench.gateway.refund(repayment(payment, Money(5_00, "USD")))
    assert (answer.outcome, answer.amount) == (Outcome.PENDING, Money(5_00, "USD"))
    [order] = bench.simulator.orders.values()
    assert order.capture is not None
    [refund] = order.capture.refunds
    assert (refund.custom_id, refund.invoice_id) == (str(UUID(int=1001)), str(UUID(int=1001)))
    bench.simulator.settle()
    failed = await bench.gateway.query_refund(answer.references)
    assert (failed.outcome, failed.authority, failed.code) == (Outcome.FAILED, Authority.DEFINITIVE, "FAILED")
    assert bench.given_back() == 0


async def test_a_refund_whose_answer_is_lost_is_sent_again_under_its_key_and_made_once(bench: PayPalBench) -> None:
    payment = await paid(bench)
    for number, fault in enumerate(UNANSWERED[:4], start=1):
        bench.tell(Call.REFUND, fault)
        lost = await bench.gateway.refund(repayment(payment, Money(1_00, "USD"), number))
        assert (lost.outcome, lost.authority) == (Outcome.UNKNOWN, Authority.HINT), fault
        again = await bench.gateway.refund(repayment(payment, Money(1_00, "USD"), number))
        assert (again.outcome, bench.given_back()) == (Outcome.SUCCEEDED, number * 1_00)


async def test_a_refund_that_is_refused_says_why(bench: PayPalBench) -> None:
    payment = await paid(bench)
    for issue in (
        "PENDING_CAPTURE",
        "REFUND_TIME_LIMIT_EXCEEDED",
        "REFUND_FAILED_INSUFFICIENT_FUNDS",
        "TRANSACTION_DISPUTED",
        "REFUND_NOT_PERMITTED_DUE_TO_CHARGEBACK",
    ):
        bench.tell(Call.REFUND, Behaviour.ISSUE, issue=issue)
        answer = await bench.gateway.refund(repayment(payment, Money(5_00, "USD")))
        assert (answer.outcome, answer.authority, answer.code) == (Outcome.FAILED, Authority.DEFINITIVE, issue)
    assert bench.given_back() == 0


async def test_what_was_never_captured_cannot_be_given_back(bench: PayPalBench) -> None:
    sent = await bench.gateway.collect(bench.collection())
    answer = await bench.gateway.refund(repayment(sent, DOLLARS))
    assert (answer.outcome, answer.code) == (Outcome.FAILED, "NOT_CAPTURED")
    other = Repayment(
        refund_id=UUID(int=1),
        payment=ProviderReferences("3C/../../x"),
        amount=DOLLARS,
        reason="late",
        idempotency_key="refund:1",
    )
    assert (await bench.gateway.refund(other)).code == "RESOURCE_NOT_FOUND"


async def test_what_paypal_is_not_asked_for(bench: PayPalBench) -> None:
    can = bench.gateway.capabilities
    assert (can.can_refund, can.can_pay_out, can.has_statement, can.has_native_idempotency) == (
        True,
        False,
        False,
        True,
    )
    assert CHECKS_AFTER[:4] == (timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=3), timedelta(days=1))
    assert (can.checks_after, CHECKS_AFTER[-1]) == (CHECKS_AFTER, timedelta(days=7))
    now = bench.clock.now()
    payout = Payout(payout_id=UUID(int=2), amount=DOLLARS, phone="+254712345678", idempotency_key="payout:2")
    assert (await bench.gateway.pay_out(payout)).code == "PAYOUT_UNSUPPORTED"
    assert (await bench.gateway.query_payout(ProviderReferences("1"))).outcome is Outcome.UNKNOWN
    with pytest.raises(Unavailable):
        bench.gateway.statement(since=now, until=now)
