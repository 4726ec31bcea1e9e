"""The real adapter against a Stripe that misbehaves over real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from application.core.payments.gateway import PaymentGateway
from domain.core.kernel.errors import Unavailable
from domain.core.kernel.money import Money
from domain.core.payments.gateway import (
    Answer,
    Authority,
    Outcome,
    ProviderReferences,
    Repayment,
    Search,
    StatementLine,
)
from infrastructure.providers.asking import Patience
from infrastructure.simulator.stripe_books import StripeTrick
from infrastructure.stripe import gateway as adapter
from infrastructure.stripe.gateway import API_VERSION, StripePaymentGateway, StripeSettings
from tests.contract.core.payment_gateway import GatewayContract, Payer, repayment
from tests.integration.stripe.bench import (
    AMOUNT,
    CONTROL_KEY,
    RETURN_URL,
    SECRET_KEY,
    WEBHOOK_SECRET,
    StripeBench,
    stripe_bench,
)


@pytest.fixture
async def bench() -> AsyncIterator[StripeBench]:
    async with stripe_bench() as bench:
        yield bench


class TestStripePaymentGateway(GatewayContract):
    @pytest.fixture
    async def bench(self) -> AsyncIterator[StripeBench]:
        async with stripe_bench() as bench:
            yield bench


def window(bench: StripeBench, number: int = 1, amount: Money = AMOUNT) -> Search:
    now = bench.clock.now()
    return Search(
        phone=None,
        amount=amount,
        sent_after=now - timedelta(minutes=1),
        sent_before=now + timedelta(minutes=2),
        attempt_id=UUID(int=number),
    )


async def lines(gateway: PaymentGateway, bench: StripeBench) -> list[StatementLine]:
    now = bench.clock.now()
    return [line async for line in gateway.statement(since=now - timedelta(days=1), until=now + timedelta(days=1))]


async def test_the_adapter_is_a_payment_gateway(bench: StripeBench) -> None:
    gateway: PaymentGateway = bench.gateway
    can = gateway.capabilities
    assert gateway.name == "stripe"
    assert can.currencies == frozenset({"KES", "USD", "EUR", "GBP", "UGX", "TZS", "RWF", "UZS", "NGN", "ZAR", "JPY"})
    assert (can.can_refund, can.has_native_idempotency, can.can_pay_out, can.takes_cards) == (True, True, False, False)
    assert can.checks_after[:3] == (timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=3))
    assert can.checks_after[3:] == tuple(timedelta(days=day) for day in range(1, 8))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"secret_key": ""}, "not empty"),
        ({"webhook_secret": ""}, "not empty"),
        ({"previous_webhook_secret": ""}, "not empty"),
        ({"is_live": True}, "a live key"),
        ({"secret_key": "sk_live_1"}, "a test key"),
        ({"secret_key": "nonsense"}, "a test key"),
        ({"secret_key": "sk_live_1", "is_live": True, "base_url": "http://127.0.0.1:1"}, "https only"),
    ],
)
def test_settings_that_would_mix_live_and_test_are_refused(changes: dict[str, Any], told: str) -> None:
    usable: dict[str, Any] = {
        "secret_key": SECRET_KEY,
        "webhook_secret": WEBHOOK_SECRET,
        "return_url": RETURN_URL,
    }
    StripeSettings(**usable)
    StripeSettings(**usable | {"secret_key": "rk_live_1", "is_live": True})
    with pytest.raises(ValueError, match=told):
        StripeSettings(**usable | changes)


async def test_what_is_sent_is_a_form_with_our_ids_under_the_stored_key() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"id": "cs_1", "url": "https://checkout.test/1", "payment_intent": "pi_1"})

    async with stripe_bench() as bench, httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        stripe = StripeSettings(secret_key=SECRET_KEY, webhook_secret=WEBHOOK_SECRET, return_url=RETURN_URL)
        collection = bench.collection(number=5)
        sent = await StripePaymentGateway(client, stripe, bench.clock).collect(collection)
    [request] = seen
    assert str(request.url) == "https://api.stripe.com/v1/checkout/sessions"
    assert request.headers["authorization"] == f"Bearer {SECRET_KEY}"
    assert request.headers["stripe-version"] == API_VERSION
    assert request.headers["idempotency-key"] == "attempt:5"
    assert dict(httpx.QueryParams(request.content.decode())) == {
        "mode": "payment",
        "client_reference_id": "SKTEST000005",
        "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": "kes",
        "line_items[0][price_data][unit_amount]": "150000",
        "line_items[0][price_data][product_data][name]": "Wallet top-up",
        "success_url": RETURN_URL,
        "cancel_url": "http://shop.test/cancelled",
        "metadata[reference]": "SKTEST000005",
        "metadata[attempt_id]": str(UUID(int=5)),
        "payment_intent_data[metadata][reference]": "SKTEST000005",
        "payment_intent_data[metadata][attempt_id]": str(UUID(int=5)),
        "expires_at": str(int((bench.clock.now() + timedelta(hours=23, minutes=55)).timestamp())),
    }
    assert (sent.references, sent.next_url) == (ProviderReferences("pi_1", "cs_1"), "https://checkout.test/1")


@pytest.mark.parametrize(
    ("closes_after", "open_for"),
    [
        (timedelta(minutes=1), timedelta(minutes=35)),
        (timedelta(hours=2), timedelta(hours=2)),
        (timedelta(days=7), timedelta(hours=23, minutes=55)),
    ],
)
async def test_a_page_closes_with_its_payment_as_far_as_stripe_allows(
    bench: StripeBench, closes_after: timedelta, open_for: timedelta
) -> None:
    start = bench.clock.now()
    sent = await bench.gateway.collect(replace(bench.collection(), pay_until=start + closes_after))
    [page] = bench.simulator.books.pages
    assert page.expires_at == start + open_for
    bench.clock.advance(open_for)
    closed = await bench.gateway.query(sent.references)
    assert (closed.outcome, closed.code, closed.next_url) == (Outcome.CANCELLED, "SESSION_EXPIRED", None)


@pytest.mark.parametrize(
    ("amount", "sent"),
    [
        (Money(1500, "UGX"), 150000),
        (Money(999_999, "UGX"), 99_999_900),
        (Money(1500, "JPY"), 1500),
        (Money(1500, "RWF"), 1500),
        (Money(15_00, "USD"), 1500),
    ],
)
async def test_amounts_are_written_as_stripe_counts_them_and_come_back_whole(
    bench: StripeBench, amount: Money, sent: int
) -> None:
    _, answer = await bench.paid(amount=amount)
    [page] = bench.simulator.books.pages
    assert page.amount == sent
    found = await bench.gateway.query(answer.references)
    assert (found.outcome, found.amount) == (Outcome.SUCCEEDED, amount)
    refund = await bench.gateway.refund(repayment(found, amount))
    assert (refund.amount, bench.given_back()) == (amount, sent)
    assert [line.amount for line in await lines(bench.gateway, bench)] == [amount]


async def test_an_amount_that_is_too_long_for_stripe_is_refused_before_it_is_sent(bench: StripeBench) -> None:
    answer = await bench.unreachable().collect(replace(bench.collection(), amount=Money(1_000_000, "UGX")))
    assert (answer.outcome, answer.code, answer.did_not_leave) == (Outcome.FAILED, "AMOUNT_TOO_LARGE", False)


async def collected(bench: StripeBench, trick: StripeTrick) -> Answer:
    bench.simulator.script(trick, on="sessions")
    return await bench.gateway.collect(bench.collection())


@pytest.mark.parametrize(
    ("trick", "outcome", "code", "did_not_leave", "pages"),
    [
        (StripeTrick.WEB_PAGE, Outcome.UNKNOWN, "UNREADABLE_ANSWER", False, 1),
        (StripeTrick.CUT_SHORT, Outcome.UNKNOWN, "UNREADABLE_ANSWER", False, 1),
        (StripeTrick.WRONG_SHAPE, Outcome.UNKNOWN, "UNREADABLE_ANSWER", False, 1),
        (StripeTrick.SERVER_ERROR, Outcome.UNKNOWN, "API_ERROR", False, 0),
        (StripeTrick.ERROR_AFTERWARDS, Outcome.UNKNOWN, "API_ERROR", False, 1),
        (StripeTrick.CONFLICT, Outcome.UNKNOWN, "LOCK_TIMEOUT", False, 0),
        (StripeTrick.OUT_OF_SERVICE, Outcome.UNKNOWN, "API_ERROR", False, 0),
        (StripeTrick.TOO_OFTEN, Outcome.FAILED, "RATE_LIMIT", True, 0),
        (StripeTrick.KEY_REFUSED, Outcome.FAILED, "INVALID_API_KEY", True, 0),
        (StripeTrick.FORBIDDEN, Outcome.FAILED, "INSUFFICIENT_PERMISSIONS", True, 0),
        (StripeTrick.CARD_DECLINED, Outcome.FAILED, "INSUFFICIENT_FUNDS", False, 0),
    ],
)
async def test_every_answer_to_a_collection_has_its_class(
    bench: StripeBench, trick: StripeTrick, outcome: Outcome, code: str, did_not_leave: bool, pages: int
) -> None:
    answer = await collected(bench, trick)
    assert (answer.outcome, answer.code, answer.did_not_leave) == (outcome, code, did_not_leave)
    assert (answer.authority is Authority.HINT) is (outcome is Outcome.UNKNOWN)
    assert (answer.references, bench.charges()) == (ProviderReferences(), pages)


async def test_what_stripe_refuses_is_refused(bench: StripeBench) -> None:
    answer = await bench.gateway.collect(replace(bench.collection(), return_url=None, description=""))
    assert (answer.outcome, answer.code, answer.did_not_leave) == (Outcome.FAILED, "PARAMETER_MISSING", False)


async def test_a_lost_answer_is_asked_for_again_under_the_same_key(bench: StripeBench) -> None:
    answer = await collected(bench, StripeTrick.ANSWER_LOST)
    [page] = bench.simulator.books.pages
    assert (answer.outcome, answer.references.checkout_id) == (Outcome.PENDING, page.id)


async def test_two_lost_answers_are_unknown_and_the_page_is_found_by_our_id(bench: StripeBench) -> None:
    bench.simulator.script(StripeTrick.SLOW, on="sessions", delay_s=2)
    impatient = bench.at(bench.base_url, patience=Patience(total_timeout_s=0.3))
    answer = await impatient.collect(bench.collection())
    assert (answer.outcome, answer.did_not_leave, answer.references) == (Outcome.UNKNOWN, False, ProviderReferences())
    await bench.gateway.collect(bench.collection(number=2))  # of the same amount and time
    [found] = await bench.gateway.search(window(bench))
    pages = bench.simulator.books.pages
    assert [found.references.checkout_id, len(pages)] == [pages[0].id, 2]
    assert (found.outcome, found.authority, found.next_action) == (Outcome.PENDING, Authority.DEFINITIVE, "redirect")
    assert found.next_url == f"{bench.base_url}/pay/{pages[0].id}"


@pytest.mark.parametrize("status", [200, 401, 429, 500])
async def test_a_repeat_that_is_turned_away_takes_nothing_back(bench: StripeBench, status: int) -> None:
    """The first request may have been carried out, whatever became of the second."""
    replies: list[httpx.Response | Exception] = [httpx.ReadError("cut"), httpx.Response(status)]

    def answer(request: httpx.Request) -> httpx.Response:
        reply = replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        stripe = StripeSettings(secret_key=SECRET_KEY, webhook_secret=WEBHOOK_SECRET, return_url=RETURN_URL)
        sent = await StripePaymentGateway(client, stripe, bench.clock).collect(bench.collection())
    assert replies == []
    assert (sent.outcome, sent.did_not_leave, sent.code) == (Outcome.UNKNOWN, False, "NO_ANSWER_FROM_GATEWAY")


async def test_who_was_silent_for_long_is_not_asked_again(bench: StripeBench) -> None:
    tries = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal tries
        tries += 1
        bench.clock.advance(timedelta(seconds=30))
        raise httpx.ReadTimeout("too late")

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        stripe = StripeSettings(secret_key=SECRET_KEY, webhook_secret=WEBHOOK_SECRET, return_url=RETURN_URL)
        sent = await StripePaymentGateway(client, stripe, bench.clock).collect(bench.collection())
    assert (sent.outcome, tries) == (Outcome.UNKNOWN, 1)


async def test_an_error_is_kept_under_the_key_for_a_day_and_the_page_made_with_it_is_found(bench: StripeBench) -> None:
    first = await collected(bench, StripeTrick.ERROR_AFTERWARDS)
    again = await bench.gateway.collect(bench.collection())
    assert (first.outcome, again.outcome, bench.charges()) == (Outcome.UNKNOWN, Outcome.UNKNOWN, 1)
    [found] = await bench.gateway.search(window(bench))
    assert found.references.checkout_id == bench.simulator.books.pages[0].id


async def test_a_key_that_was_used_for_something_else_says_nothing_of_the_first(bench: StripeBench) -> None:
    await bench.gateway.collect(bench.collection())
    other = await bench.gateway.collect(replace(bench.collection(), amount=Money(99_00)))
    assert (other.outcome, other.code, other.did_not_leave) == (Outcome.UNKNOWN, "IDEMPOTENCY_ERROR", False)
    assert bench.charges() == 1


async def test_two_at_once_under_one_key_open_one_page(bench: StripeBench) -> None:
    bench.simulator.script(StripeTrick.SLOW, on="sessions", delay_s=0.3)
    first, second = await asyncio.gather(*(bench.gateway.collect(bench.collection()) for _ in range(2)))
    assert sorted([first.outcome, second.outcome]) == [Outcome.PENDING, Outcome.UNKNOWN]
    assert bench.charges() == 1


async def test_a_search_finds_nothing_where_nothing_arrived(bench: StripeBench) -> None:
    await collected(bench, StripeTrick.SERVER_ERROR)
    assert bench.gateway.capabilities.search_is_exact
    assert await bench.gateway.search(window(bench)) == ()


async def test_a_search_reads_on_to_the_last_page_or_claims_nothing(
    bench: StripeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "PAGE_ROWS", 2)
    for number in range(1, 6):
        await bench.gateway.collect(bench.collection(number=number))
    [found] = await bench.gateway.search(window(bench, 1))
    assert found.references.checkout_id == bench.simulator.books.pages[0].id
    monkeypatch.setattr(adapter, "LOOKUP_PAGES_MAX", 2)
    with pytest.raises(Unavailable):
        await bench.gateway.search(window(bench, 1))
    assert len(await bench.gateway.search(window(bench, 5))) == 1


@pytest.mark.parametrize("trick", [StripeTrick.WEB_PAGE, StripeTrick.WRONG_SHAPE, StripeTrick.TOO_OFTEN])
async def test_a_question_that_is_not_answered_proves_nothing(bench: StripeBench, trick: StripeTrick) -> None:
    _, sent = await bench.paid()
    bench.simulator.script(trick, on="questions", times=None)
    answer = await bench.gateway.query(sent.references)
    assert (answer.outcome, answer.authority) == (Outcome.UNKNOWN, Authority.HINT)
    with pytest.raises(Unavailable):
        await bench.gateway.search(window(bench))
    with pytest.raises(Unavailable):
        await lines(bench.gateway, bench)


async def test_a_page_that_is_complete_is_not_yet_paid(bench: StripeBench) -> None:
    bench.simulator.script(StripeTrick.PAID_LATER)
    _, sent = await bench.paid()
    [page] = bench.simulator.books.pages
    assert page.is_complete
    assert (await bench.gateway.query(sent.references)).outcome is Outcome.PENDING
    bench.simulator.settle()
    assert (await bench.gateway.query(sent.references)).outcome is Outcome.SUCCEEDED


async def test_a_payment_that_the_bank_refused_afterwards_has_failed(bench: StripeBench) -> None:
    bench.simulator.script(StripeTrick.NEVER_PAID)
    _, sent = await bench.paid()
    bench.simulator.settle()
    answer = await bench.gateway.query(sent.references)
    assert (answer.outcome, answer.code, answer.amount) == (Outcome.FAILED, "PAYMENT_FAILED", None)


async def test_a_declined_card_leaves_the_page_open_for_another(bench: StripeBench) -> None:
    sent = await bench.gateway.collect(bench.collection(Payer.REFUSES))
    await bench.act(sent)
    declined = await bench.gateway.query(sent.references)
    assert (declined.outcome, declined.code) == (Outcome.PENDING, "INSUFFICIENT_FUNDS")
    assert declined.next_url == sent.next_url
    await bench.visit(sent)
    assert (await bench.gateway.query(sent.references)).outcome is Outcome.SUCCEEDED


async def test_a_payment_is_found_by_its_own_id_with_what_stripe_keeps(bench: StripeBench) -> None:
    _, sent = await bench.paid()
    by_page = await bench.gateway.query(sent.references)
    by_payment = await bench.gateway.query(ProviderReferences(by_page.references.transaction_id))
    for answer in (by_page, by_payment):
        assert (answer.outcome, answer.amount, answer.fee) == (Outcome.SUCCEEDED, AMOUNT, Money(51_00))
        assert answer.occurred_at == bench.clock.now()
    [line] = await lines(bench.gateway, bench)
    assert (line.our_reference, line.amount, line.fee) == ("SKTEST000001", AMOUNT, Money(51_00))
    assert line.references == ProviderReferences(by_page.references.transaction_id, None, by_page.references.receipt)


async def test_a_fee_in_another_currency_is_left_out(bench: StripeBench) -> None:
    """Stripe keeps its share in the currency that it pays out in."""
    await bench.paid()
    [payment] = bench.simulator.books.payments
    fields = bench.simulator.payment_fields(payment, is_whole=True)
    fields["latest_charge"]["balance_transaction"]["currency"] = "usd"
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=fields))
    async with httpx.AsyncClient(transport=transport) as client:
        stripe = StripeSettings(secret_key=SECRET_KEY, webhook_secret=WEBHOOK_SECRET, return_url=RETURN_URL)
        answer = await StripePaymentGateway(client, stripe, bench.clock).query(ProviderReferences(payment.id))
    assert (answer.outcome, answer.amount, answer.fee) == (Outcome.SUCCEEDED, AMOUNT, None)


async def test_test_money_is_no_money_where_real_money_is_expected(bench: StripeBench) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        page = bench.simulator.page_fields(bench.simulator.books.pages[0], is_whole=True)
        is_list = request.url.path.endswith("/sessions")
        return httpx.Response(200, json={"object": "list", "data": [page], "has_more": False} if is_list else page)

    _, sent = await bench.paid()
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        live = StripeSettings(
            secret_key="sk_live_1", webhook_secret=WEBHOOK_SECRET, return_url=RETURN_URL, is_live=True
        )
        gateway = StripePaymentGateway(client, live, bench.clock)
        found = await gateway.query(sent.references)
        [searched] = await gateway.search(window(bench))
    for one in (found, searched):
        assert (one.outcome, one.authority, one.code) == (Outcome.UNKNOWN, Authority.HINT, "WRONG_MODE")


async def test_a_refund_may_wait_and_may_fail_later(bench: StripeBench) -> None:
    for number, (trick, at_once, later) in enumerate(
        [
            (StripeTrick.REFUND_PENDING, Outcome.PENDING, Outcome.SUCCEEDED),
            (StripeTrick.REFUND_NEEDS_ACTION, Outcome.PENDING, Outcome.SUCCEEDED),
            (StripeTrick.REFUND_FAILS_LATER, Outcome.SUCCEEDED, Outcome.FAILED),
        ],
        start=1,
    ):
        _, sent = await bench.paid(number)
        payment = await bench.gateway.query(sent.references)
        bench.simulator.script(trick)
        refund = await bench.gateway.refund(repayment(payment, AMOUNT, number))
        assert refund.outcome is at_once, trick
        bench.simulator.settle()
        found = await bench.gateway.query_refund(refund.references)
        assert (found.outcome, found.authority) == (later, Authority.DEFINITIVE), trick
        assert found.code == ("EXPIRED_OR_CANCELED_CARD" if later is Outcome.FAILED else None)


@pytest.mark.parametrize(
    "trick", [StripeTrick.WEB_PAGE, StripeTrick.ERROR_AFTERWARDS, StripeTrick.ANSWER_LOST, StripeTrick.WRONG_SHAPE]
)
async def test_a_refund_whose_answer_was_lost_is_found_and_not_made_twice(
    bench: StripeBench, trick: StripeTrick
) -> None:
    _, sent = await bench.paid()
    payment = await bench.gateway.query(sent.references)
    bench.simulator.script(trick, on="refunds")
    request = repayment(payment, Money(500_00))
    first = await bench.gateway.refund(request)
    assert first.outcome is (Outcome.SUCCEEDED if trick is StripeTrick.ANSWER_LOST else Outcome.UNKNOWN)
    assert first.did_not_leave is False
    bench.clock.advance(timedelta(days=3))  # Stripe has forgotten the key
    again = await bench.gateway.refund(request)
    assert (again.outcome, again.amount) == (Outcome.SUCCEEDED, Money(500_00))
    by_our_id = await bench.gateway.query_refund(ProviderReferences(own_id=request.refund_id))
    assert by_our_id.references == again.references
    assert [refund.id for refund in bench.simulator.books.refunds] == [again.references.transaction_id]


async def test_a_refund_that_was_only_looked_up_did_not_leave(bench: StripeBench) -> None:
    _, sent = await bench.paid()
    payment = await bench.gateway.query(sent.references)
    for trick in (StripeTrick.WEB_PAGE, StripeTrick.ANSWER_LOST, StripeTrick.KEY_REFUSED):
        bench.simulator.script(trick, on="questions")
        answer = await bench.gateway.refund(repayment(payment, AMOUNT))
        assert (answer.outcome, answer.did_not_leave) == (Outcome.FAILED, True), trick
    assert bench.simulator.books.refunds == []


async def test_a_refund_of_a_payment_known_by_its_page_finds_the_payment(bench: StripeBench) -> None:
    _, sent = await bench.paid()
    assert sent.references.transaction_id is None
    answer = await bench.gateway.refund(repayment(sent, AMOUNT))
    assert (answer.outcome, bench.given_back()) == (Outcome.SUCCEEDED, AMOUNT.minor)


async def test_a_refund_of_what_was_never_paid_is_refused(bench: StripeBench) -> None:
    sent = await bench.gateway.collect(bench.collection(Payer.REFUSES))
    await bench.act(sent)
    [page] = bench.simulator.books.pages
    assert page.payment is not None
    nothing = Repayment(
        refund_id=UUID(int=1),
        payment=ProviderReferences(page.payment.id),
        amount=AMOUNT,
        reason="",
        idempotency_key="refund:1",
    )
    answer = await bench.gateway.refund(nothing)
    assert (answer.outcome, answer.did_not_leave) == (Outcome.FAILED, False)
    assert bench.simulator.books.refunds == []


async def test_a_provider_that_is_down_is_left_alone_for_a_while(bench: StripeBench) -> None:
    down = bench.unreachable()
    for _ in range(5):
        assert (await down.collect(bench.collection())).retry_after_s is None
    answer = await down.collect(bench.collection())
    assert (answer.did_not_leave, answer.retry_after_s) == (True, 30)


async def test_the_simulator_is_directed_over_http_with_its_key_only(bench: StripeBench) -> None:
    async def direct(word: str, body: object, key: str = CONTROL_KEY) -> httpx.Response:
        headers = {"x-control-key": key}
        return await bench.client.post(f"{bench.base_url}/control/{word}", json=body, headers=headers)

    assert (await direct("script", {"trick": "web_page"}, key="another")).status_code == 401
    assert (await direct("script", {"trick": "nonsense"})).status_code == 422
    assert (await direct("script", {"trick": "paid_later"})).status_code == 200
    _, sent = await bench.paid()
    assert (await bench.gateway.query(sent.references)).outcome is Outcome.PENDING
    assert (await direct("settle", {})).status_code == 200
    assert (await bench.gateway.query(sent.references)).outcome is Outcome.SUCCEEDED
    assert (await direct("deliver", {"reference": "SKTEST000001"})).json() == {"delivered": 4}
    assert (await direct("deliver", {"reference": "SKTEST999999"})).status_code == 404
    books = await bench.client.get(f"{bench.base_url}/control/books", headers={"x-control-key": CONTROL_KEY})
    assert [page["payment_status"] for page in books.json()["pages"]] == ["paid"]


async def test_a_page_that_is_closed_cannot_be_paid(bench: StripeBench) -> None:
    sent = await bench.gateway.collect(bench.collection())
    bench.clock.advance(timedelta(days=1))
    assert (await bench.visit(sent)).status_code == 410
    assert (await bench.client.get(f"{bench.base_url}/pay/cs_nobody")).status_code == 404
    assert bench.simulator.books.payments == []
