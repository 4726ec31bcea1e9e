"""The simulated provider itself: its keys, its scripts, its callbacks, its memory."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from application.core.payments.simulation import (
    NothingToDeliver,
    OutcomeNotSimulated,
    PaymentSimulator,
    Script,
    ScriptMatch,
    SimulatedOutcome,
)
from domain.core.kernel.errors import Unavailable
from domain.core.kernel.money import Money
from domain.core.payments.gateway import EventKind, GatewayNotice, Outcome
from infrastructure.lipana.callback import signature
from infrastructure.providers.asking import Patience
from infrastructure.simulator.control import HttpPaymentSimulator
from infrastructure.simulator.fates import CallbackShape
from infrastructure.simulator.lipana import LipanaSimulator, SimulatorSettings
from infrastructure.simulator.server import LipanaSimulatorServer
from tests.contract.core.test_payment_gateway import AMOUNT, collection, payout
from tests.fakes.core.system import FixedClock
from tests.integration.lipana.bench import (
    API_KEY,
    CALLBACK_URL,
    CONTROL_KEY,
    EARLIER_SECRET,
    SECRET,
    Catcher,
    LipanaBench,
    lipana_bench,
)

PHONE = "+254712345678"


@pytest.fixture
async def bench() -> AsyncIterator[LipanaBench]:
    async with lipana_bench() as bench:
        yield bench


@pytest.fixture
def control(bench: LipanaBench) -> PaymentSimulator:
    return HttpPaymentSimulator(bench.client, bench.control_url, CONTROL_KEY)


async def notices_after(bench: LipanaBench, outcome: SimulatedOutcome, **how: Any) -> list[GatewayNotice]:
    """Collect once under this script and return what its callbacks of now say."""
    await bench.tell(outcome, **how)
    await bench.gateway.collect(collection(PHONE))
    return [bench.gateway.parse(body) for body, _ in await bench.callbacks("SKTEST000001")]


@pytest.mark.parametrize("shape", list(CallbackShape))
async def test_every_shape_of_callback_says_the_same(shape: CallbackShape) -> None:
    async with lipana_bench(simulator_settings={"shape": shape}) as bench:
        [success] = await notices_after(bench, SimulatedOutcome.SUCCESS)
        assert (success.kind, success.outcome, success.amount) == (EventKind.PAYMENT, Outcome.SUCCEEDED, AMOUNT)
        assert success.our_reference == "SKTEST000001"
        has_id = success.references.transaction_id is not None
        assert has_id is (shape is not CallbackShape.DOCUMENTED)


@pytest.mark.parametrize("shape", list(CallbackShape))
async def test_every_shape_can_contradict_itself(shape: CallbackShape) -> None:
    async with lipana_bench(simulator_settings={"shape": shape}) as bench:
        [notice] = await notices_after(bench, SimulatedOutcome.CONTRADICTION)
        assert (notice.outcome, notice.is_contradictory) == (Outcome.UNKNOWN, True)


@pytest.mark.parametrize(
    ("outcome", "amount", "is_understood"),
    [
        (SimulatedOutcome.AMOUNT_AS_TEXT, AMOUNT, True),
        (SimulatedOutcome.AMOUNT_OVER, Money(501_00), True),
        (SimulatedOutcome.AMOUNT_SHORT, Money(499_00), True),
        (SimulatedOutcome.AMOUNT_MISSING, None, True),
        (SimulatedOutcome.WRONG_CURRENCY, Money(500_00, "USD"), True),
        (SimulatedOutcome.UNKNOWN_FIELDS, AMOUNT, True),
        (SimulatedOutcome.UNKNOWN_EVENT, AMOUNT, False),
    ],
)
async def test_a_strange_success_is_told_as_it_is(
    bench: LipanaBench, outcome: SimulatedOutcome, amount: Money | None, is_understood: bool
) -> None:
    [notice] = await notices_after(bench, outcome)
    assert (notice.amount, notice.is_understood) == (amount, is_understood)
    assert notice.outcome is (Outcome.SUCCEEDED if is_understood else Outcome.UNKNOWN)


async def test_the_callback_can_come_before_the_reply(bench: LipanaBench) -> None:
    answer = await bench.gateway.collect(collection("+254700000008"))
    assert answer.outcome is Outcome.PENDING
    [request] = bench.catcher.caught
    assert bench.gateway.parse(request.content).references == answer.references
    assert await bench.callbacks("SKTEST000001") == []


async def test_a_success_and_the_pending_before_it_can_come_in_the_wrong_order(bench: LipanaBench) -> None:
    notices = await notices_after(bench, SimulatedOutcome.REVERSED_ORDER)
    assert [notice.outcome for notice in notices] == [Outcome.SUCCEEDED, Outcome.PENDING]


async def test_a_failure_can_be_followed_by_a_success_and_the_reverse(bench: LipanaBench) -> None:
    assert await notices_after(bench, SimulatedOutcome.FAILURE_THEN_SUCCESS, times=1) == []
    outcomes = []
    for minutes in (1, 19):
        bench.clock.advance(timedelta(minutes=minutes))
        outcomes += [bench.gateway.parse(body).outcome for body, _ in await bench.callbacks("SKTEST000001")]
    assert outcomes == [Outcome.FAILED, Outcome.SUCCEEDED]
    [success] = await notices_after(bench, SimulatedOutcome.SUCCESS_THEN_FAILURE, times=1)
    bench.clock.advance(timedelta(minutes=1))
    [failure] = [bench.gateway.parse(body) for body, _ in await bench.callbacks("SKTEST000001")]
    assert (success.outcome, failure.outcome, failure.code) == (Outcome.SUCCEEDED, Outcome.FAILED, "REVERSED")
    assert success.references == failure.references


@pytest.mark.parametrize(
    ("outcome", "secret"), [(SimulatedOutcome.OLD_SECRET, EARLIER_SECRET), (SimulatedOutcome.SUCCESS, SECRET)]
)
async def test_callbacks_are_signed_over_their_bytes(
    bench: LipanaBench, outcome: SimulatedOutcome, secret: str
) -> None:
    await bench.tell(outcome)
    await bench.gateway.collect(collection(PHONE))
    [(body, headers)] = await bench.callbacks("SKTEST000001")
    assert headers["x-lipana-signature"] == signature(body, secret)


async def test_a_bad_signature_is_bad_under_every_secret(bench: LipanaBench) -> None:
    await bench.tell(SimulatedOutcome.BAD_SIGNATURE)
    await bench.gateway.collect(collection(PHONE))
    [(body, headers)] = await bench.callbacks("SKTEST000001")
    assert headers["x-lipana-signature"] not in {signature(body, SECRET), signature(body, EARLIER_SECRET)}


async def test_a_callback_that_was_not_taken_is_sent_again(bench: LipanaBench) -> None:
    await bench.gateway.collect(collection(PHONE))
    bench.catcher.status = 503
    first = await bench.callbacks("SKTEST000001")
    bench.catcher.status = 401  # an answer, if not a friendly one
    second = await bench.callbacks("SKTEST000001")
    assert [body for body, _ in first] == [body for body, _ in second] != []
    assert await bench.callbacks("SKTEST000001") == []


async def test_a_script_counts_for_what_it_matches_and_as_often_as_it_says(bench: LipanaBench) -> None:
    await bench.tell(SimulatedOutcome.FAILED, phone="0712345678", purpose="wallet_topup", times=1, code="TIRED")

    async def code(phone: str) -> str | None:
        sent = await bench.gateway.collect(collection(phone))
        return (await bench.gateway.query(sent.references)).code

    assert await code("+254711111111") is None
    assert await code(PHONE) == "TIRED"
    assert await code(PHONE) is None


async def test_a_script_can_take_its_time(bench: LipanaBench) -> None:
    assert await notices_after(bench, SimulatedOutcome.SUCCESS, delay_s=90) == []
    bench.clock.advance(timedelta(seconds=90))
    assert len(await bench.callbacks("SKTEST000001")) == 1


@pytest.mark.parametrize(
    "script",
    [
        Script(outcome=SimulatedOutcome.REFUND_REFUSED),
        Script(outcome=SimulatedOutcome.REFUND_FAILS_LATER),
        Script(outcome=SimulatedOutcome.SUCCESS, match=ScriptMatch(method="card")),
        Script(outcome=SimulatedOutcome.AMOUNT_SHORT, match=ScriptMatch(method="payout")),
        Script(outcome=SimulatedOutcome.PAYOUT_FAILS, match=ScriptMatch(method="mpesa")),
        Script(outcome=SimulatedOutcome.SUCCESS, match=ScriptMatch(method="lookup")),
        Script(outcome=SimulatedOutcome.SUCCESS, times=0),
    ],
)
async def test_what_cannot_be_played_is_refused(control: PaymentSimulator, script: Script) -> None:
    with pytest.raises(OutcomeNotSimulated):
        await control.script(script)


async def test_it_is_directed_over_http(bench: LipanaBench, control: PaymentSimulator) -> None:
    await control.script(Script(outcome=SimulatedOutcome.INSUFFICIENT_FUNDS, match=ScriptMatch(phone=PHONE), times=1))
    sent = await bench.gateway.collect(collection(PHONE))
    assert await control.deliver("SKTEST000001") == 1
    assert await control.deliver(sent.references.transaction_id or "") == 0
    [request] = bench.catcher.caught
    assert str(request.url) == CALLBACK_URL
    assert bench.gateway.parse(request.content).code == "INSUFFICIENT_FUNDS"
    with pytest.raises(NothingToDeliver):
        await control.deliver("SKNOBODY")


async def test_without_its_key_or_its_server_it_is_unavailable(bench: LipanaBench) -> None:
    stranger = HttpPaymentSimulator(bench.client, bench.control_url, "guessed")
    with pytest.raises(Unavailable):
        await stranger.script(Script(outcome=SimulatedOutcome.FAILED))
    with pytest.raises(Unavailable):
        await stranger.deliver("SKTEST000001")
    sent = await bench.gateway.collect(collection(PHONE))
    assert (await bench.gateway.query(sent.references)).outcome is Outcome.SUCCEEDED  # the script did not count
    assert bench.catcher.caught == []
    gone = HttpPaymentSimulator(bench.client, "http://nobody.invalid/control", CONTROL_KEY)
    with pytest.raises(Unavailable):
        await gone.deliver("SKTEST000001")


async def test_its_books_are_shown_to_who_holds_the_control_key(bench: LipanaBench) -> None:
    await bench.gateway.collect(collection(PHONE))
    refused = await bench.client.get(f"{bench.control_url}/books")
    assert refused.status_code == 401
    shown = await bench.client.get(f"{bench.control_url}/books", headers={"x-control-key": CONTROL_KEY})
    [movement] = shown.json()
    assert (movement["phone"], movement["amount"], movement["kind"]) == (PHONE, 500, "stk_push")


async def test_the_webhook_is_set_and_tried_over_the_api(bench: LipanaBench) -> None:
    headers = {"x-api-key": API_KEY}
    settings, test = f"{bench.base_url}/webhooks/settings", f"{bench.base_url}/webhooks/test"
    now = (await bench.client.get(settings, headers=headers)).json()["data"]
    assert now == {"webhookUrl": CALLBACK_URL, "webhooksEnabled": True, "webhookSecret": SECRET}
    await bench.client.post(settings, headers=headers, json={"webhookUrl": "http://other.test/hook"})
    assert (await bench.client.post(test, headers=headers)).json()["data"] == {"statusCode": 200}
    [request] = bench.catcher.caught
    assert str(request.url) == "http://other.test/hook"
    await bench.gateway.verify(request.content, dict(request.headers), now=bench.clock.now())
    assert bench.gateway.parse(request.content).kind is EventKind.TEST
    off = await bench.client.post(settings, headers=headers, json={"enabled": False})
    assert off.json()["data"]["webhooksEnabled"] is False


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"phone":"+254712345678"}', 400),
        (b'{"phone":"+254712345678","amount":10.5}', 400),
        (b'{"phone":"+254712345678","amount":9}', 400),
        (b'{"phone":"+4412345678","amount":10}', 400),
        (b'{"phone":"+254712345678","amount":10}', 200),
    ],
)
async def test_it_refuses_what_lipana_would_refuse(bench: LipanaBench, body: bytes, status: int) -> None:
    headers = {"x-api-key": API_KEY}
    reply = await bench.client.post(f"{bench.base_url}/transactions/push-stk", content=body, headers=headers)
    assert reply.status_code == status
    assert reply.json()["success"] is (status == 200)
    assert bench.charges() == int(status == 200)


async def test_no_path_answers_without_the_key(bench: LipanaBench) -> None:
    for path in ("transactions", "transactions/TXN1", "payouts", "webhooks/settings", "nothing"):
        reply = await bench.client.get(f"{bench.base_url}/{path}")
        assert (reply.status_code, reply.json()["code"]) == (401, "AUTHENTICATION_FAILED")


async def test_payouts_take_either_key_and_no_wrong_one(bench: LipanaBench) -> None:
    url = f"{bench.base_url}/payouts"
    assert (await bench.client.get(url, headers={"authorization": f"Bearer {API_KEY}"})).status_code == 200
    assert (await bench.client.get(url, headers={"x-api-key": API_KEY})).status_code == 200
    wrong = {"authorization": "Bearer other", "x-api-key": API_KEY}
    assert (await bench.client.get(url, headers=wrong)).status_code == 401


async def test_the_list_is_paged_and_filtered(bench: LipanaBench) -> None:
    for phone in ("+254700000001", "+254700000002", "+254700000001"):
        await bench.gateway.collect(collection(phone))
        bench.clock.advance(timedelta(days=1))
    url, headers = f"{bench.base_url}/transactions", {"x-api-key": API_KEY}

    async def rows(**query: str) -> list[str]:
        data = (await bench.client.get(url, headers=headers, params=query)).json()["data"]
        return [row["createdAt"][:10] for row in data["transactions"]]

    assert await rows() == ["2026-03-04", "2026-03-03", "2026-03-02"]
    assert await rows(page="2", limit="2") == ["2026-03-02"]
    assert await rows(status="failed") == ["2026-03-03"]
    assert await rows(startDate="2026-03-03", endDate="2026-03-03") == ["2026-03-03"]


def settings(**changed: Any) -> SimulatorSettings:
    return SimulatorSettings(
        **{
            "api_key": API_KEY,
            "webhook_secret": SECRET,
            "control_key": CONTROL_KEY,
            "callback_url": CALLBACK_URL,
            **changed,
        }
    )


async def test_it_remembers_its_books_over_a_restart(tmp_path: Path) -> None:
    file, clock, catcher = tmp_path / "books" / "lipana.json", FixedClock(), Catcher()
    async with httpx.AsyncClient(transport=httpx.MockTransport(catcher.answer)) as client:
        before = LipanaSimulator(settings(), clock, client, state_file=file)
        async with LipanaSimulatorServer(before):
            first = before.take_prompt(phone=PHONE, amount=20, reference="SK1", description=None, script=None)
        assert SECRET not in file.read_text()
        after = LipanaSimulator(settings(), clock, client, state_file=file)
        assert after.books() == before.books()
        second = after.take_prompt(phone=PHONE, amount=20, reference="SK2", description=None, script=None)
        assert first.id != second.id
        assert first.receipt != second.receipt
        assert await after.deliver("SK1") == 1
        assert await LipanaSimulator(settings(), clock, client, state_file=file).deliver("SK1") == 0


async def test_in_development_callbacks_go_out_by_themselves_when_due() -> None:
    clock, catcher = FixedClock(), Catcher()
    async with httpx.AsyncClient(transport=httpx.MockTransport(catcher.answer)) as client:
        simulator = LipanaSimulator(settings(is_automatic=True, settles_after=timedelta(seconds=2)), clock, client)
        async with LipanaSimulatorServer(simulator) as server:
            simulator.take_prompt(phone=PHONE, amount=20, reference="SK1", description=None, script=None)
            assert server.base_url.startswith("http://127.0.0.1:")
            clock.advance(timedelta(seconds=2))
            async with asyncio.timeout(10):
                await catcher.came.wait()
    [request] = catcher.caught
    assert json.loads(request.content)["data"]["reference"] == "SK1"


async def test_stopping_ends_an_answer_that_is_held_back() -> None:
    async with lipana_bench({"patience": Patience(total_timeout_s=0.1)}) as bench:
        await bench.tell(SimulatedOutcome.SLOW_ANSWER, method="payout", delay_s=3_600)
        assert (await bench.gateway.pay_out(payout(PHONE))).outcome is Outcome.UNKNOWN
    assert len(bench.simulator.books()) == 1  # and the block above ended
