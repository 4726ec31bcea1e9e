"""The real adapter against a provider that misbehaves over real HTTP."""

import logging
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from application.core.payments.gateway import PaymentGateway, SignatureInvalid
from application.core.payments.simulation import SimulatedOutcome
from domain.core.kernel.errors import Unavailable
from domain.core.kernel.money import Money
from domain.core.payments.gateway import Answer, Authority, Outcome, ProviderReferences, Search
from infrastructure.lipana.gateway import LipanaPaymentGateway, LipanaSettings
from infrastructure.providers.asking import Patience
from tests.contract.core.test_payment_gateway import AMOUNT, PhonePromptContract, collection, payout
from tests.fakes.core.system import FixedClock
from tests.integration.lipana.bench import API_KEY, SECRET, LipanaBench, lipana_bench

PHONE = "+254712345678"


@pytest.fixture
async def bench() -> AsyncIterator[LipanaBench]:
    async with lipana_bench() as bench:
        yield bench


class TestLipanaPaymentGateway(PhonePromptContract):
    @pytest.fixture
    async def bench(self) -> AsyncIterator[LipanaBench]:
        async with lipana_bench() as bench:
            yield bench


class TestLipanaPaymentGatewayWithFlatCallbacks(PhonePromptContract):
    @pytest.fixture
    async def bench(self) -> AsyncIterator[LipanaBench]:
        async with lipana_bench(simulator_settings={"shape": "flat"}) as bench:
            yield bench


async def test_the_adapter_is_a_payment_gateway(bench: LipanaBench) -> None:
    gateway: PaymentGateway = bench.gateway
    capabilities = gateway.capabilities
    assert gateway.name == "lipana"
    assert (capabilities.currencies, capabilities.unit_minor) == (frozenset({"KES"}), 100)
    assert (capabilities.amount_min_minor, capabilities.amount_max_minor) == (10_00, 150_000_00)
    assert (capabilities.can_search, capabilities.amount_in_callback_required) == (True, True)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (SimulatedOutcome.HTML_PAGE, "UNREADABLE_ANSWER"),
        (SimulatedOutcome.TRUNCATED_JSON, "UNREADABLE_ANSWER"),
        (SimulatedOutcome.WRONG_SHAPE, "UNREADABLE_ANSWER"),
        (SimulatedOutcome.ANSWER_LOST, "NO_ANSWER_FROM_GATEWAY"),
        (SimulatedOutcome.SERVER_ERROR, "SERVER_ERROR"),
        (SimulatedOutcome.OUT_OF_SERVICE, "SERVICE_UNAVAILABLE"),
    ],
)
async def test_an_answer_that_says_nothing_is_unknown_and_nothing_is_sent_again(
    bench: LipanaBench, outcome: SimulatedOutcome, code: str
) -> None:
    await bench.tell(outcome, times=1)  # a second prompt would succeed, and be counted
    answer = await bench.gateway.collect(collection(PHONE))
    assert (answer.outcome, answer.authority, answer.code) == (Outcome.UNKNOWN, Authority.HINT, code)
    assert (answer.did_not_leave, answer.references) == (False, ProviderReferences())
    taken = outcome not in {SimulatedOutcome.SERVER_ERROR, SimulatedOutcome.OUT_OF_SERVICE}
    assert bench.charges() == int(taken)


async def test_a_slow_answer_is_unknown_and_the_prompt_is_found_by_searching() -> None:
    async with lipana_bench({"patience": Patience(total_timeout_s=0.2)}) as bench:
        await bench.tell(SimulatedOutcome.SLOW_ANSWER, times=1)
        answer = await bench.gateway.collect(collection(PHONE))
        assert (answer.outcome, answer.did_not_leave) == (Outcome.UNKNOWN, False)
        now = bench.clock.now()
        [found] = await bench.gateway.search(Search(phone=PHONE, amount=AMOUNT, sent_after=now, sent_before=now))
        assert found.outcome is Outcome.SUCCEEDED
        assert bench.charges() == 1


@pytest.mark.parametrize("outcome", [SimulatedOutcome.HTML_PAGE, SimulatedOutcome.ANSWER_LOST])
async def test_a_payout_without_an_answer_is_unknown_and_not_sent_again(
    bench: LipanaBench, outcome: SimulatedOutcome
) -> None:
    await bench.tell(outcome, method="payout", times=1)
    answer = await bench.gateway.pay_out(payout(PHONE))
    assert (answer.outcome, answer.did_not_leave) == (Outcome.UNKNOWN, False)
    assert [movement.kind for movement in bench.simulator.books()] == ["payout"]


async def test_a_limit_is_a_refusal_and_its_waiting_time_is_kept(bench: LipanaBench) -> None:
    await bench.tell(SimulatedOutcome.TOO_MANY_REQUESTS, times=1, delay_s=30)
    answer = await bench.gateway.collect(collection(PHONE))
    assert (answer.outcome, answer.code, answer.retry_after_s) == (Outcome.FAILED, "RATE_LIMIT_EXCEEDED", 30)
    assert answer.did_not_leave is True
    early = await bench.gateway.collect(collection(PHONE))
    assert (early.outcome, early.did_not_leave, early.retry_after_s) == (Outcome.FAILED, True, 30)
    assert bench.charges() == 0
    bench.clock.advance(timedelta(seconds=30))
    assert (await bench.gateway.collect(collection(PHONE))).outcome is Outcome.PENDING


async def test_a_key_that_is_refused_stops_us_and_declines_nobody() -> None:
    async with lipana_bench({"api_key": "lip_sk_test_of_yesterday"}) as bench:
        for answer in (await bench.gateway.collect(collection(PHONE)), await bench.gateway.pay_out(payout(PHONE))):
            assert (answer.outcome, answer.code) == (Outcome.FAILED, "AUTHENTICATION_FAILED")
            assert answer.did_not_leave is True
        asked = await bench.gateway.query(ProviderReferences("TXN1"))
        assert (asked.outcome, asked.code) == (Outcome.UNKNOWN, "AUTHENTICATION_FAILED")  # says nothing of the money
        assert bench.simulator.books() == ()


async def test_a_refused_field_is_a_failure_with_its_code() -> None:
    async with lipana_bench({"amount_min_minor": 1_00}) as bench:
        answer = await bench.gateway.collect(collection(PHONE, Money(9_00)))
        assert (answer.outcome, answer.code) == (Outcome.FAILED, "VALIDATION_ERROR")
        assert answer.message == "amount: from 10 to 150000"
        assert bench.charges() == 0


@pytest.mark.parametrize(
    "fault",
    [SimulatedOutcome.SERVER_ERROR, SimulatedOutcome.HTML_PAGE, SimulatedOutcome.WRONG_SHAPE],
)
async def test_a_lookup_that_fails_falls_back_to_the_list(bench: LipanaBench, fault: SimulatedOutcome) -> None:
    first = await bench.gateway.collect(collection(PHONE, reference="SKFIRST"))
    for _ in range(205):
        bench.simulator.take_prompt(phone="+254700000001", amount=20, reference=None, description=None, script=None)
    await bench.tell(fault, method="lookup")
    answer = await bench.gateway.query(first.references)  # on the third page
    assert (answer.outcome, answer.amount) == (Outcome.SUCCEEDED, AMOUNT)
    for _ in range(100):
        bench.simulator.take_prompt(phone="+254700000001", amount=20, reference=None, description=None, script=None)
    answer = await bench.gateway.query(first.references)  # on the fourth, which is not read
    assert (answer.outcome, answer.authority) == (Outcome.UNKNOWN, Authority.HINT)


async def test_a_payout_is_found_in_the_list_as_well(bench: LipanaBench) -> None:
    sent = await bench.gateway.pay_out(payout(PHONE))
    await bench.tell(SimulatedOutcome.SERVER_ERROR, method="lookup")
    assert (await bench.gateway.query_payout(sent.references)).outcome is Outcome.SUCCEEDED


async def test_a_list_that_cannot_be_had_is_an_error_and_not_an_empty_one(bench: LipanaBench) -> None:
    now = bench.clock.now()
    await bench.gateway.collect(collection(PHONE))
    await bench.tell(SimulatedOutcome.SERVER_ERROR, method="list")
    with pytest.raises(Unavailable):
        await bench.gateway.search(Search(phone=PHONE, amount=AMOUNT, sent_after=now, sent_before=now))
    with pytest.raises(Unavailable):
        _ = [line async for line in bench.gateway.statement(since=now, until=now + timedelta(days=1))]
    asked = await bench.gateway.query(ProviderReferences("TXN-nobody"))
    assert asked.outcome is Outcome.UNKNOWN


async def test_a_search_that_did_not_see_the_whole_window_is_a_hint(bench: LipanaBench) -> None:
    now = bench.clock.now()
    for _ in range(301):
        bench.simulator.take_prompt(phone="+254700000001", amount=20, reference=None, description=None, script=None)
    await bench.gateway.collect(collection(PHONE))
    [found] = await bench.gateway.search(Search(phone=PHONE, amount=AMOUNT, sent_after=now, sent_before=now))
    assert (found.outcome, found.authority) == (Outcome.SUCCEEDED, Authority.HINT)


async def test_two_alike_prompts_are_both_found(bench: LipanaBench) -> None:
    now = bench.clock.now()
    for _ in range(2):
        await bench.gateway.collect(collection(PHONE))
    found = await bench.gateway.search(Search(phone=PHONE, amount=AMOUNT, sent_after=now, sent_before=now))
    assert len({answer.references.transaction_id for answer in found}) == 2


async def test_a_statement_of_many_pages_has_every_line_once(bench: LipanaBench) -> None:
    start = bench.clock.now()
    for number in range(250):
        bench.simulator.take_prompt(
            phone="+254700000001", amount=20, reference=f"SK{number}", description=None, script=None
        )
    lines = [line async for line in bench.gateway.statement(since=start, until=start + timedelta(seconds=1))]
    assert [line.our_reference for line in lines] == [f"SK{number}" for number in range(250)]


async def test_the_circuit_opens_after_five_silences_and_tries_again_later(bench: LipanaBench) -> None:
    await bench.tell(SimulatedOutcome.ANSWER_LOST, times=6)
    for _ in range(5):
        assert (await bench.gateway.collect(collection(PHONE))).did_not_leave is False
    refused = await bench.gateway.collect(collection(PHONE))
    assert (refused.outcome, refused.did_not_leave, refused.retry_after_s) == (Outcome.FAILED, True, 30)
    asked = await bench.gateway.query(ProviderReferences("TXN1"))
    assert (asked.outcome, asked.did_not_leave) == (Outcome.UNKNOWN, True)
    assert bench.charges() == 5
    bench.clock.advance(timedelta(seconds=30))
    assert (await bench.gateway.collect(collection(PHONE))).outcome is Outcome.UNKNOWN  # the trial, lost as well
    assert (await bench.gateway.collect(collection(PHONE))).did_not_leave is True
    bench.clock.advance(timedelta(seconds=30))
    assert (await bench.gateway.collect(collection(PHONE))).outcome is Outcome.PENDING
    assert (await bench.gateway.collect(collection(PHONE))).outcome is Outcome.PENDING


async def test_a_lookup_that_always_answers_500_does_not_open_the_circuit(bench: LipanaBench) -> None:
    sent = await bench.gateway.collect(collection(PHONE))
    await bench.tell(SimulatedOutcome.SERVER_ERROR, method="lookup")
    for _ in range(8):
        assert (await bench.gateway.query(sent.references)).outcome is Outcome.SUCCEEDED


def unreachable(base_url: str) -> LipanaSettings:
    return LipanaSettings(base_url=base_url, api_key=API_KEY, callback_secret=SECRET, can_pay_out=True)


@pytest.mark.parametrize("host", ["a port nobody listens on", "nobody.invalid"])
async def test_a_provider_that_cannot_be_reached_never_got_the_request(host: str) -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        base_url = f"http://{host}/v1" if "." in host else f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        async with httpx.AsyncClient(trust_env=False) as client:
            gateway = LipanaPaymentGateway(client, unreachable(base_url), FixedClock())
            for answer in (await gateway.collect(collection(PHONE)), await gateway.pay_out(payout(PHONE))):
                assert (answer.outcome, answer.did_not_leave) == (Outcome.FAILED, True)
                assert answer.code == "GATEWAY_UNAVAILABLE"
            asked = await gateway.query(ProviderReferences("TXN1"))
            assert (asked.outcome, asked.did_not_leave) == (Outcome.UNKNOWN, True)


class Provider:
    """A provider that answers everything with one answer and keeps what it was asked."""

    def __init__(self, answer: httpx.Response | Exception) -> None:
        self.answer = answer
        self.asked: list[httpx.Request] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def gateway(self) -> LipanaPaymentGateway:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self))
        return LipanaPaymentGateway(client, unreachable("http://lipana.test/v1/"), FixedClock())


async def collected(answer: httpx.Response | Exception) -> Answer:
    return await Provider(answer).gateway().collect(collection(PHONE))


async def test_a_prompt_goes_out_as_lipana_wants_it() -> None:
    provider = Provider(httpx.Response(200, json={"success": True, "data": {"transactionId": "TXN1"}}))
    await provider.gateway().collect(collection("0712345678"))
    [request] = provider.asked
    assert (request.method, str(request.url)) == ("POST", "http://lipana.test/v1/transactions/push-stk")
    assert request.content == (
        b'{"phone":"+254712345678","amount":500,"accountReference":"SKTEST000001","transactionDesc":"Wallet top-up"}'
    )
    assert request.headers["x-api-key"] == API_KEY
    assert "authorization" not in request.headers


async def test_a_payout_goes_out_with_both_keys_and_a_number_without_plus() -> None:
    provider = Provider(httpx.Response(200, json={"success": True, "payout": {"id": "PO1", "status": "processing"}}))
    answer = await provider.gateway().pay_out(payout(PHONE))
    assert (answer.outcome, answer.references.transaction_id) == (Outcome.PENDING, "PO1")
    [request] = provider.asked
    assert (str(request.url), request.content) == (
        "http://lipana.test/v1/payouts/phone",
        b'{"phone":"254712345678","amount":500}',
    )
    assert (request.headers["x-api-key"], request.headers["authorization"]) == (API_KEY, f"Bearer {API_KEY}")


@pytest.mark.parametrize(
    "body",
    [
        {"transactionId": "TXN1"},
        {"success": True, "data": {"transactionId": "TXN1", "status": "pending"}},
        {"success": True, "data": {"data": {"transaction_id": "TXN1"}}},
        {"success": True, "data": {"_id": "TXN1", "status": "success"}},  # taken is not paid
    ],
)
async def test_every_envelope_of_an_accepted_prompt_is_opened(body: dict[str, Any]) -> None:
    answer = await collected(httpx.Response(200, json=body))
    assert (answer.outcome, answer.references.transaction_id) == (Outcome.PENDING, "TXN1")


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (400, {"success": False, "message": "Bad phone", "code": "VALIDATION_ERROR"}, "VALIDATION_ERROR", "Bad phone"),
        (400, {"error": "Bad phone"}, "VALIDATION_ERROR", "Bad phone"),
        (422, {"error": {"code": "bad_phone", "message": "Bad phone"}}, "BAD_PHONE", "Bad phone"),
        (403, {}, "AUTHENTICATION_FAILED", None),
        (404, {}, "NOT_FOUND", None),
        (429, {}, "RATE_LIMIT_EXCEEDED", None),
        (200, {"success": False, "message": "No", "code": "LIMIT"}, "LIMIT", "No"),
    ],
)
async def test_a_refusal_is_a_failure_with_its_code(
    status: int, body: dict[str, Any], code: str, message: str | None
) -> None:
    answer = await collected(httpx.Response(status, json=body))
    assert (answer.outcome, answer.code, answer.message) == (Outcome.FAILED, code, message)
    assert answer.did_not_leave is (status in {403, 429})


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(302, headers={"location": "http://elsewhere.test/"}),
        httpx.Response(408),
        httpx.Response(502, text="<html>Bad gateway</html>"),
        httpx.Response(503, headers={"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT"}),
        httpx.Response(504),
        httpx.Response(200, content=b""),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"success": True, "data": []}),
        httpx.Response(200, json={"success": False, "data": {"transactionId": "TXN1"}}),
        httpx.Response(200, content=b" " * 5_000_000),
        httpx.DecodingError("not gzip"),
        httpx.ReadTimeout("slow"),
        httpx.WriteTimeout("slow"),
        httpx.ReadError("reset"),
        httpx.WriteError("reset"),
        httpx.RemoteProtocolError("cut"),
    ],
    ids=lambda answer: answer.__class__.__name__ if isinstance(answer, Exception) else str(answer.status_code),
)
async def test_whatever_is_not_an_answer_is_unknown(answer: httpx.Response | Exception) -> None:
    provider = Provider(answer)
    found = await provider.gateway().collect(collection(PHONE))
    assert (found.outcome, found.did_not_leave) == (Outcome.UNKNOWN, False)
    assert len(provider.asked) == 1


@pytest.mark.parametrize("error", [httpx.ConnectError("no"), httpx.ConnectTimeout("no"), httpx.PoolTimeout("no")])
async def test_what_never_left_is_known_not_to_have_left(error: Exception) -> None:
    found = await collected(error)
    assert (found.outcome, found.did_not_leave) == (Outcome.FAILED, True)


@pytest.mark.parametrize(
    ("row", "outcome", "amount"),
    [
        ({"status": "success", "amount": 500}, Outcome.SUCCEEDED, AMOUNT),
        ({"status": "completed", "amount": "500.00"}, Outcome.SUCCEEDED, AMOUNT),
        ({"status": "success"}, Outcome.SUCCEEDED, None),
        ({"status": "success", "amount": 500.001}, Outcome.SUCCEEDED, None),
        ({"status": "success", "amount": 500, "currency": "XTS"}, Outcome.SUCCEEDED, None),
        ({"status": "success", "amount": 500, "currency": "USD"}, Outcome.SUCCEEDED, Money(500_00, "USD")),
        ({"status": "failed", "amount": 500, "resultCode": "1032"}, Outcome.CANCELLED, AMOUNT),
        ({"status": "on the moon", "amount": 500}, Outcome.UNKNOWN, AMOUNT),
        ({"status": 1, "amount": 500}, Outcome.UNKNOWN, AMOUNT),
        ({}, Outcome.UNKNOWN, None),
    ],
)
async def test_a_transaction_says_what_it_says(row: dict[str, Any], outcome: Outcome, amount: Money | None) -> None:
    provider = Provider(httpx.Response(200, json={"success": True, "data": {"transactionId": "TXN1", **row}}))
    answer = await provider.gateway().query(ProviderReferences("TXN1"))
    assert (answer.outcome, answer.amount) == (outcome, amount)


async def test_another_transaction_than_the_one_asked_for_is_no_answer() -> None:
    provider = Provider(httpx.Response(200, json={"data": {"transactionId": "TXN2", "status": "success", "amount": 5}}))
    answer = await provider.gateway().query(ProviderReferences("TXN1"))
    assert (answer.outcome, answer.references) == (Outcome.UNKNOWN, ProviderReferences("TXN1"))


async def test_an_id_cannot_lead_to_another_path() -> None:
    provider = Provider(httpx.Response(404))
    await provider.gateway().query(ProviderReferences("../payouts/recipients/bulk?x=1"))
    assert provider.asked[0].url.raw_path == b"/v1/transactions/..%2Fpayouts%2Frecipients%2Fbulk%3Fx%3D1"


async def test_a_bare_list_is_read_as_well() -> None:
    row = {"transactionId": "TXN1", "status": "success", "amount": 500, "createdAt": "2026-03-02T12:00:00Z"}
    provider = Provider(httpx.Response(200, json={"success": True, "data": [row], "pagination": {"page": 1}}))
    start = FixedClock().now()
    [line] = [line async for line in provider.gateway().statement(since=start, until=start + timedelta(hours=1))]
    assert (line.references.transaction_id, line.amount) == ("TXN1", AMOUNT)


async def test_a_row_that_cannot_be_placed_stops_the_statement() -> None:
    provider = Provider(httpx.Response(200, json={"data": [{"status": "success", "amount": 500}]}))
    start = FixedClock().now()
    with pytest.raises(Unavailable):
        _ = [line async for line in provider.gateway().statement(since=start, until=start + timedelta(hours=1))]


async def test_the_earlier_secret_counts_until_its_window_ends(bench: LipanaBench) -> None:
    await bench.tell(SimulatedOutcome.OLD_SECRET)
    await bench.gateway.collect(collection(PHONE))
    [(body, headers)] = await bench.callbacks("SKTEST000001")
    await bench.gateway.verify(body, headers, now=bench.clock.now())
    with pytest.raises(SignatureInvalid):
        await bench.gateway.verify(body, headers, now=bench.clock.now() + timedelta(hours=1))


async def test_no_log_holds_a_key_or_a_number(bench: LipanaBench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await bench.tell(SimulatedOutcome.TOO_MANY_REQUESTS, times=1, delay_s=0)
    await bench.gateway.collect(collection(PHONE))
    sent = await bench.gateway.collect(collection(PHONE))
    await bench.gateway.query(sent.references)
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpcore", "hpack"))]
    assert not [line for line in ours if PHONE[1:] in line or API_KEY in line or SECRET in line]
    assert API_KEY not in repr(unreachable("http://lipana.test"))
    assert SECRET not in repr(unreachable("http://lipana.test"))


@pytest.mark.parametrize(
    "changed",
    [
        {"api_key": ""},
        {"callback_secret": ""},
        {"previous_callback_secret": ""},
        {"is_live": True},  # with a test key
        {"api_key": "lip_sk_live_1"},  # outside live mode
        {"is_live": True, "api_key": "lip_sk_live_1", "base_url": "http://127.0.0.1:1/v1"},
    ],
)
def test_settings_that_would_be_dangerous_are_refused(changed: dict[str, Any]) -> None:
    right: dict[str, Any] = {"base_url": "https://lipana.test/v1", "api_key": API_KEY, "callback_secret": SECRET}
    LipanaSettings(**right)
    with pytest.raises(ValueError, match="Lipana"):
        LipanaSettings(**right | changed)
