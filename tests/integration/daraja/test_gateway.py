"""The real adapter against a Daraja that misbehaves over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import anyio
import anyio.lowlevel
import httpx
import pytest

from application.core.kernel.request_context import RequestContext, request_context
from application.core.payments.gateway import PaymentGateway, SignatureInvalid
from domain.core.kernel.money import Money
from domain.core.payments.gateway import Authority, EventKind, Outcome, ProviderReferences
from infrastructure.daraja.addresses import CallbackAddresses, Purpose
from infrastructure.daraja.credentials import moment_of_timestamp, password_of, timestamp_of
from infrastructure.daraja.gateway import DarajaPaymentGateway
from infrastructure.simulator.daraja import Fate, Kind
from tests.contract.core.payment_gateway import GatewayContract, Notice
from tests.integration.daraja.bench import CALLBACK_SECRET, CONTROL_KEY, EARLIER_SECRET, DarajaBench, daraja_bench


@pytest.fixture
async def bench() -> AsyncIterator[DarajaBench]:
    async with daraja_bench() as bench:
        yield bench


class TestDarajaPaymentGateway(GatewayContract):
    @pytest.fixture
    async def bench(self) -> AsyncIterator[DarajaBench]:
        async with daraja_bench() as bench:
            yield bench


async def test_the_adapter_is_a_payment_gateway(bench: DarajaBench) -> None:
    gateway: PaymentGateway = bench.gateway
    can = gateway.capabilities
    assert gateway.name == "daraja"
    assert (can.currencies, can.unit_minor, can.amount_max_minor) == (frozenset({"KES"}), 100, 250_000_00)
    assert (can.needs_phone, can.can_pay_out, can.can_search, can.has_statement) == (True, True, False, False)


PHONE = "+254712345678"


def tampered(notice: Notice, **stk: Any) -> bytes:
    """Return a callback of a prompt with other fields."""
    whole = json.loads(notice.body)
    whole["Body"]["stkCallback"] |= stk
    return json.dumps(whole).encode()


async def test_a_prompt_carries_what_the_provider_wants(bench: DarajaBench) -> None:
    sent = await bench.gateway.collect(bench.collection())  # the simulator checks password, time, lengths and phone
    [prompt] = bench.simulator.movements
    assert (prompt.phone, prompt.amount, prompt.reference) == ("254712000001", 501, "SKTEST000001")
    assert sent.references == ProviderReferences(prompt.other_id, prompt.id)
    [notice] = await bench.notices(bench.collection())
    assert notice.path.startswith("stk/")
    assert len(notice.path) == len("stk/") + 43  # 32 bytes: the attempt's id and 128 bits that nobody can guess


async def test_a_till_is_paid_for_goods() -> None:
    async with daraja_bench({"till": "5555"}) as bench:
        assert (await bench.gateway.collect(bench.collection())).outcome is Outcome.PENDING


async def test_a_payment_is_a_hint_until_it_is_asked_about(bench: DarajaBench) -> None:
    collection = bench.collection()
    sent = await bench.gateway.collect(collection)
    [true] = await bench.notices(collection)
    notice = bench.gateway.parse(true.body, true.path)
    [prompt] = bench.simulator.movements
    assert (notice.attempt_id, notice.is_hint, notice.is_signed) == (collection.attempt_id, True, False)
    assert (notice.amount, notice.phone) == (collection.amount, "+254712000001")
    assert notice.references == ProviderReferences(prompt.other_id, prompt.id, prompt.receipt)
    assert notice.occurred_at == bench.clock.now()
    asked = await bench.gateway.query(sent.references)
    assert (asked.outcome, asked.amount, asked.means_asked) == (Outcome.SUCCEEDED, None, True)


@pytest.mark.parametrize(
    ("result", "outcome", "code"),
    [
        (1, Outcome.FAILED, "INSUFFICIENT_FUNDS"),
        (17, Outcome.FAILED, "RULE_LIMITED"),
        (26, Outcome.FAILED, "BUSY"),
        (1001, Outcome.FAILED, "BUSY"),
        (1019, Outcome.EXPIRED, "PROMPT_EXPIRED"),
        (1025, Outcome.FAILED, "PROMPT_NOT_SENT"),
        (1032, Outcome.CANCELLED, "CANCELLED_BY_PAYER"),
        ("1037", Outcome.EXPIRED, "NO_ANSWER"),
        (2001, Outcome.FAILED, "WRONG_PIN"),
        (4999, Outcome.PENDING, "4999"),
        ("R000002", Outcome.FAILED, "R000002"),
        (None, Outcome.UNKNOWN, None),
        (True, Outcome.UNKNOWN, None),
    ],
)
async def test_a_result_code_says_how_a_prompt_ended_in_callback_and_answer(
    bench: DarajaBench, result: object, outcome: Outcome, code: str | None
) -> None:
    collection = bench.collection()
    await bench.gateway.collect(collection)
    [notice] = await bench.notices(collection)
    read = bench.gateway.parse(tampered(notice, ResultCode=result), notice.path)
    assert (read.outcome, read.code) == (outcome, code)
    assert read.is_hint is (outcome in {Outcome.PENDING, Outcome.UNKNOWN})
    if isinstance(result, int) and result is not True:
        [prompt] = bench.simulator.movements
        prompt.fate, prompt.code = Fate.FAILED, str(result)
        asked = await bench.gateway.query(ProviderReferences(checkout_id=prompt.id))
        assert (asked.outcome, asked.code, asked.means_asked) == (outcome, code, False)


async def test_a_prompt_that_is_being_processed_is_pending_whatever_status_says_so(bench: DarajaBench) -> None:
    bench.simulator.tell(Fate.STILL_PROCESSED)
    sent = await bench.gateway.collect(bench.collection())
    outcomes = [(await bench.gateway.query(sent.references)).outcome for _ in range(4)]
    assert outcomes == [Outcome.PENDING] * 3 + [Outcome.SUCCEEDED]


async def test_the_same_error_for_a_wrong_password_says_nothing_of_the_payment(bench: DarajaBench) -> None:
    sent = await bench.gateway.collect(bench.collection())
    elsewhere = DarajaPaymentGateway(bench.client, replace(bench.settings, passkey="of yesterday"), bench.clock)
    asked = await elsewhere.query(sent.references)
    assert (asked.outcome, asked.authority, asked.code) == (Outcome.UNKNOWN, Authority.HINT, "500.001.1001")
    refused = await elsewhere.collect(bench.collection(number=2))
    assert (refused.outcome, refused.code, refused.did_not_leave) == (Outcome.FAILED, "MISCONFIGURED", True)
    assert bench.charges() == 1


async def test_an_answer_about_another_prompt_says_nothing(bench: DarajaBench) -> None:
    sent = await bench.gateway.collect(bench.collection())
    [prompt] = bench.simulator.movements
    asked_as, prompt.id = prompt.id, "ws_CO_another"
    prompt.reference = asked_as  # found by it, and answered under another
    asked = await bench.gateway.query(sent.references)
    assert (asked.outcome, asked.authority) == (Outcome.UNKNOWN, Authority.HINT)


async def test_a_second_prompt_to_one_phone_is_busy(bench: DarajaBench) -> None:
    bench.simulator.tell(Fate.NO_ANSWER)
    await bench.gateway.collect(bench.collection())
    again = await bench.gateway.collect(bench.collection())
    assert (again.outcome, again.code, again.did_not_leave) == (Outcome.FAILED, "BUSY", False)
    assert bench.charges() == 1


async def test_a_token_serves_until_a_minute_before_its_end(bench: DarajaBench) -> None:
    async def tokens_after(seconds: int) -> int:
        bench.clock.advance(timedelta(seconds=seconds))
        await bench.gateway.query(ProviderReferences(checkout_id="ws_CO_nobody"))
        return bench.simulator.tokens_made

    assert [await tokens_after(seconds) for seconds in (0, 3539, 1)] == [1, 1, 2]


async def test_many_who_come_at_once_share_one_token(bench: DarajaBench) -> None:
    numbers = range(1, 6)
    answers = await asyncio.gather(*(bench.gateway.collect(bench.collection(number=number)) for number in numbers))
    assert [answer.outcome for answer in answers] == [Outcome.PENDING] * 5
    assert bench.simulator.tokens_made == 1


async def test_a_token_that_ends_on_the_way_is_renewed_and_the_request_sent_once_more(bench: DarajaBench) -> None:
    await bench.gateway.collect(bench.collection())
    bench.simulator.tell(Fate.TOKEN_EXPIRED, times=1)
    assert (await bench.gateway.collect(bench.collection(number=2))).outcome is Outcome.PENDING
    assert (bench.charges(), bench.simulator.tokens_made) == (2, 2)
    bench.simulator.tell(Fate.TOKEN_EXPIRED)
    refused = await bench.gateway.collect(bench.collection(number=3))
    assert (refused.outcome, refused.code, refused.did_not_leave) == (Outcome.FAILED, "AUTHENTICATION_FAILED", True)
    assert (bench.charges(), bench.simulator.tokens_made) == (2, 3)  # once, not for ever


async def test_keys_that_are_refused_stop_us_and_decline_nobody(bench: DarajaBench) -> None:
    wrong = DarajaPaymentGateway(bench.client, replace(bench.settings, consumer_secret="of yesterday"), bench.clock)
    for answer in (await wrong.collect(bench.collection()), await wrong.pay_out(bench.payout())):
        assert (answer.outcome, answer.code, answer.did_not_leave) == (Outcome.FAILED, "AUTHENTICATION_FAILED", True)
    assert bench.simulator.movements == []


async def test_a_spike_arrest_is_a_request_that_was_turned_away(bench: DarajaBench) -> None:
    bench.simulator.tell(Fate.SPIKE_ARREST, times=1)
    answer = await bench.gateway.collect(bench.collection())
    assert (answer.outcome, answer.did_not_leave, bench.charges()) == (Outcome.FAILED, True, 0)


async def test_a_field_that_is_refused_is_a_failure_with_its_code() -> None:
    async with daraja_bench({"shortcode": "174379", "amount_min_minor": 1_00}) as bench:
        refused = await bench.gateway.pay_out(replace(bench.payout(), amount=Money(9_00)))
        assert (refused.outcome, refused.authority, refused.code) == (
            Outcome.FAILED,
            Authority.DEFINITIVE,
            "400.002.02",
        )
        assert (refused.did_not_leave, refused.message) == (False, "Bad Request - Invalid Amount")


async def test_a_callback_is_heard_at_addresses_of_the_secret_in_force_and_of_the_one_before(
    bench: DarajaBench,
) -> None:
    now = bench.clock.now()
    for secret, is_ours in ((CALLBACK_SECRET, True), (EARLIER_SECRET, True), ("another", False)):
        path = CallbackAddresses("", [secret]).address(Purpose.PROMPT, UUID(int=1))[1:]
        if is_ours:
            await bench.gateway.verify(b"{}", {}, now=now, path=path)
            assert bench.gateway.parse(b"{}", path).attempt_id == UUID(int=1)
        else:
            with pytest.raises(SignatureInvalid):
                await bench.gateway.verify(b"{}", {}, now=now, path=path)


async def test_where_sources_are_named_a_callback_comes_from_one_of_them(bench: DarajaBench) -> None:
    choosy = DarajaPaymentGateway(
        bench.client, replace(bench.settings, sources=frozenset({"196.201.214.200"})), bench.clock
    )
    path = CallbackAddresses("", [CALLBACK_SECRET]).address(Purpose.PROMPT, UUID(int=1))[1:]
    with request_context(RequestContext(trace_id="t", ip="196.201.214.200")):
        await choosy.verify(b"{}", {}, now=bench.clock.now(), path=path)
    for address in ("196.201.214.201", None):
        with request_context(RequestContext(trace_id="t", ip=address)), pytest.raises(SignatureInvalid):
            await choosy.verify(b"{}", {}, now=bench.clock.now(), path=path)


async def test_a_payout_is_pending_and_its_result_names_it(bench: DarajaBench) -> None:
    sent = await bench.gateway.pay_out(bench.payout())
    [payout] = bench.simulator.movements
    assert (sent.outcome, sent.references) == (Outcome.PENDING, ProviderReferences(checkout_id=payout.id))
    assert payout.reference == str(bench.payout().payout_id)
    [told] = await bench.told(payout.reference)
    notice = bench.gateway.parse(told.body, told.path)
    assert (notice.kind, notice.outcome, notice.payout_id) == (
        EventKind.PAYOUT,
        Outcome.SUCCEEDED,
        bench.payout().payout_id,
    )
    assert (notice.amount, notice.references.receipt) == (Money(700_00), payout.receipt)
    assert notice.occurred_at == bench.clock.now()


async def test_a_payout_that_is_sent_again_is_paid_once_and_its_end_is_not_known(bench: DarajaBench) -> None:
    await bench.gateway.pay_out(bench.payout())
    again = await bench.gateway.pay_out(bench.payout())
    assert (again.outcome, again.code, again.did_not_leave) == (Outcome.UNKNOWN, "500.002.1001", False)
    assert bench.payouts() == 1


@pytest.mark.parametrize("fate", [Fate.ANSWER_LOST, Fate.HTML_PAGE, Fate.TRUNCATED_JSON, Fate.WRONG_SHAPE])
async def test_a_payout_without_an_answer_is_unknown_and_found_by_our_id(bench: DarajaBench, fate: Fate) -> None:
    bench.simulator.tell(fate, kind=Kind.PAYOUT)
    sent = await bench.gateway.pay_out(bench.payout())
    assert (sent.outcome, sent.did_not_leave, sent.references) == (Outcome.UNKNOWN, False, ProviderReferences())
    bench.simulator.movements[0].owed.clear()
    asked = await bench.gateway.query_payout(ProviderReferences(own_id=bench.payout().payout_id))
    assert (asked.outcome, asked.references) == (Outcome.PENDING, ProviderReferences())
    [told] = await bench.told(str(bench.payout().payout_id))
    found = bench.gateway.parse(told.body, told.path)
    assert (found.outcome, found.payout_id, found.amount) == (
        Outcome.SUCCEEDED,
        bench.payout().payout_id,
        Money(700_00),
    )
    assert found.references.receipt == bench.simulator.movements[0].receipt


async def test_a_payout_that_is_not_found_has_not_failed(bench: DarajaBench) -> None:
    payout_id = bench.payout().payout_id
    await bench.gateway.query_payout(ProviderReferences(own_id=payout_id))
    [told] = await bench.told(str(payout_id))
    found = bench.gateway.parse(told.body, told.path)
    assert (found.outcome, found.code, found.is_understood) == (Outcome.UNKNOWN, "2032", False)


async def test_a_question_about_a_payout_that_is_not_answered_says_nothing(bench: DarajaBench) -> None:
    bench.simulator.tell(Fate.OUT_OF_SERVICE, kind=Kind.QUESTION)
    for references in (ProviderReferences(own_id=UUID(int=1)), ProviderReferences()):
        asked = await bench.gateway.query_payout(references)
        assert (asked.outcome, asked.authority) == (Outcome.UNKNOWN, Authority.HINT)


async def test_a_notice_that_it_takes_longer_is_no_failure(bench: DarajaBench) -> None:
    bench.simulator.tell(Fate.PAYOUT_QUEUED)
    await bench.gateway.pay_out(bench.payout())
    [told] = await bench.told(str(bench.payout().payout_id))
    assert told.path.startswith("timeout/")
    notice = bench.gateway.parse(told.body, told.path)
    assert (notice.kind, notice.outcome, notice.payout_id) == (
        EventKind.PAYOUT,
        Outcome.PENDING,
        bench.payout().payout_id,
    )


async def test_an_account_without_an_initiator_pays_nothing_out() -> None:
    async with daraja_bench({"payouts": None}) as bench:
        assert not bench.gateway.capabilities.can_pay_out
        with pytest.raises(AssertionError):
            await bench.gateway.pay_out(bench.payout())
        assert bench.simulator.movements == []


async def test_in_development_the_simulator_calls_back_by_itself_and_again_while_nobody_takes_it() -> None:
    async with daraja_bench(simulator_settings={"is_automatic": True}) as bench:
        bench.catcher.status = 503
        await bench.gateway.collect(bench.collection())
        [owed] = bench.simulator.movements[0].owed
        with anyio.fail_after(5):
            while not bench.catcher.caught or owed.is_done:  # done while it is under way, and owed again after the 503
                await anyio.lowlevel.checkpoint()
        assert owed.tries == 1
        bench.catcher.status = 200
        bench.clock.advance(timedelta(seconds=10))
        with anyio.fail_after(5):
            while len(bench.catcher.caught) < 2:
                await anyio.lowlevel.checkpoint()
        assert (owed.tries, owed.is_done) == (2, True)


async def test_the_simulator_is_directed_over_http_with_its_key(bench: DarajaBench) -> None:
    origin, key = bench.settings.base_url, {"x-control-key": CONTROL_KEY}
    told = {"fate": "cancelled", "phone": "0712000001"}
    assert (await bench.client.post(f"{origin}/control/script", json=told)).status_code == 401
    assert (await bench.client.post(f"{origin}/control/script", json=told, headers=key)).status_code == 200
    refused = await bench.client.post(
        f"{origin}/control/script", json={"fate": "payout_fails", "kind": "mpesa"}, headers=key
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "payments.outcome_not_simulated")
    sent = await bench.gateway.collect(bench.collection())
    assert (await bench.gateway.query(sent.references)).outcome is Outcome.CANCELLED
    reply = await bench.client.post(f"{origin}/control/deliver", json={"reference": "SKTEST000001"}, headers=key)
    assert reply.json() == {"delivered": 1}
    [row] = (await bench.client.post(f"{origin}/control/books", headers=key)).json()
    assert row["fate"] == "cancelled"


@pytest.mark.parametrize(
    "wrong",
    [
        {"consumer_key": ""},
        {"callback_secret": ""},
        {"previous_callback_secret": ""},
        {"is_live": True},
        {"base_url": "https://api.safaricom.co.ke"},
        {"is_live": True, "base_url": "http://api.safaricom.co.ke", "callback_url": "https://soko.example"},
        {"is_live": True, "base_url": "https://api.safaricom.co.ke"},
        {
            "is_live": True,
            "base_url": "https://api.safaricom.co.ke@soko.example",
            "callback_url": "https://soko.example",
        },
    ],
)
async def test_settings_that_cannot_be_right_are_refused(bench: DarajaBench, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Daraja"):
        replace(bench.settings, **wrong)
    replace(
        bench.settings, is_live=True, base_url="https://api.safaricom.co.ke", callback_url="https://soko.example/daraja"
    )


def test_the_password_is_that_of_the_published_vector() -> None:
    moment = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
    assert timestamp_of(moment) == "20260115133000"  # in Nairobi
    assert moment_of_timestamp("20260115133000") == moment
    password = password_of("174379", "test_passkey_for_vectors_only", "20260115133000")
    assert password == "MTc0Mzc5dGVzdF9wYXNza2V5X2Zvcl92ZWN0b3JzX29ubHkyMDI2MDExNTEzMzAwMA=="


async def test_the_token_is_asked_for_as_the_published_vector_does() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"access_token": "t", "expires_in": "3599"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client, daraja_bench() as bench:
        gateway = DarajaPaymentGateway(client, replace(bench.settings, base_url="http://daraja.test"), bench.clock)
        await gateway.query(ProviderReferences(checkout_id="ws_CO_1"))
    assert (asked[0].method, str(asked[0].url)) == (
        "GET",
        "http://daraja.test/oauth/v1/generate?grant_type=client_credentials",
    )
    assert asked[0].headers["authorization"] == "Basic Y2tfdGVzdDpjc190ZXN0"
    assert asked[1].headers["authorization"] == "Bearer t"
