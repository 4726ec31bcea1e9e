"""Top-ups through the whole of payments, against the simulated PayPal over real HTTP, webhooks and jobs included."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from infrastructure.providers.asking import Patience
from infrastructure.simulator.paypal_books import Call, Fate, Order, Tampering
from infrastructure.simulator.paypal_books import Fault as Behaviour
from tests.contract.core.payment_gateway import Notice
from tests.e2e.core.payments_bench import PAYER, PaymentsBench, payments_bench
from tests.integration.lipana.test_through_the_server import CASES, MOVED
from tests.integration.paypal.bench import CALLBACK_PATH, PayPalBench, at_once, paypal_bench

WALLET = f"wallet:user:{PAYER}"
CREDITED = {"wallet in USD": 25_00, "clearing in USD": 1_36}
"""The whole amount for the payer; the fee never reaches us."""

MINUTES, HOURS, DAYS = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EVENTS = "SELECT count(*) AS n FROM gateway_events"


@pytest.fixture
async def paypal() -> AsyncIterator[PayPalBench]:
    async with paypal_bench(patience=Patience(total_timeout_s=2.0)) as bench:
        yield bench


@pytest.fixture
async def server(paypal: PayPalBench, database_url: str) -> AsyncIterator[PaymentsBench]:
    async with payments_bench(database_url, clock=paypal.clock, provider=paypal.gateway) as bench:
        paypal.catcher.server = bench.client
        yield bench


async def start(server: PaymentsBench) -> Any:
    """Start a top-up of $25 and return what the payer is told, its reference in any case."""
    body = {"amount": "25.00", "currency": "USD"}
    told = (await server.client.post("/api/wallet/topup", json=body, headers=server.headers())).json()
    [newest] = await server.rows("SELECT reference FROM payment_intents ORDER BY id DESC LIMIT 1")
    return told | newest


async def approve(paypal: PayPalBench, told: Any) -> Order:
    """Have the payer approve on PayPal's page; his browser is not followed any further."""
    await paypal.client.get(told["next_url"] + "&stay=1")
    return next(one for one in paypal.simulator.orders.values() if one.reference == told["reference"])


async def stage(server: PaymentsBench, told: Any) -> str:
    return str((await server.status(told["reference"]))["stage"])


async def moved(server: PaymentsBench, told: Any) -> dict[str, int]:
    return {row["place"]: row["amount"] for row in await server.rows(MOVED, told["reference"])}


async def pass_time(server: PaymentsBench, *ages: timedelta) -> None:
    """Let the jobs run after each of these."""
    start = server.clock.now()
    for age in ages:
        server.clock.set(start + age + timedelta(seconds=1))
        for job in ("payments.apply_events", "payments.reconcile", "payments.expire_attempts"):
            await server.run(job)


async def post(server: PaymentsBench, notice: Notice) -> Any:
    return await server.client.post(CALLBACK_PATH, content=notice.body, headers=notice.headers)


async def test_an_order_is_approved_captured_and_credited_once(paypal: PayPalBench, server: PaymentsBench) -> None:
    told = await start(server)
    assert (told["stage"], told["next_action"]) == ("pending", "redirect")
    [order] = paypal.simulator.orders.values()
    assert told["next_url"] == f"{paypal.simulator.origin}/checkoutnow?token={order.id}"
    assert await paypal.simulator.deliver(told["reference"]) == 0
    await approve(paypal, told)
    assert await stage(server, told) == "pending"  # an approval is no payment
    assert await paypal.simulator.deliver(told["reference"]) == 1
    assert (paypal.captures(), await stage(server, told)) == (0, "pending")
    await server.run("payments.reconcile")  # the hint had it asked at once
    assert (paypal.captures(), await stage(server, told)) == (1, "succeeded")
    assert await moved(server, told) == CREDITED
    assert await paypal.simulator.deliver(told["reference"], times=3) == 3
    await pass_time(server, 5 * MINUTES, 30 * MINUTES, 3 * HOURS, DAYS)
    assert await moved(server, told) == CREDITED
    assert (await server.balance(WALLET, "USD"), paypal.captures()) == (25_00, 1)
    assert await server.balance("clearing:paypal", "USD") == -25_00 + 1_36
    assert await server.rows(CASES, told["reference"]) == []


async def test_a_payer_who_never_comes_back_and_of_whom_nobody_tells_is_captured_by_the_ladder(
    paypal: PayPalBench, server: PaymentsBench
) -> None:
    told = await start(server)
    await approve(paypal, told)
    await pass_time(server, 4 * MINUTES)
    assert paypal.captures() == 0
    await pass_time(server, 1 * MINUTES, 25 * MINUTES)
    assert (paypal.captures(), await stage(server, told), await moved(server, told)) == (1, "succeeded", CREDITED)


async def test_the_notice_of_the_capture_credits_where_its_answer_was_lost(
    paypal: PayPalBench, server: PaymentsBench
) -> None:
    told = await start(server)
    await approve(paypal, told)
    paypal.tell(Call.CAPTURE, Behaviour.ANSWER_LOST)
    await pass_time(server, 5 * MINUTES)
    assert (paypal.captures(), await moved(server, told)) == (1, {})
    assert await paypal.simulator.deliver(told["reference"]) == 2
    assert await stage(server, told) == "succeeded"
    await pass_time(server, 30 * MINUTES, 3 * HOURS)
    assert paypal.captures() == 1
    assert await server.balance(WALLET, "USD") == 25_00


async def test_a_notice_that_overtakes_the_answer_credits_once(paypal: PayPalBench, server: PaymentsBench) -> None:
    told = await start(server)
    await approve(paypal, told)
    paypal.tell(Call.CAPTURE, Behaviour.WEBHOOK_FIRST)
    await pass_time(server, 5 * MINUTES)
    assert len(paypal.catcher.caught) == 2
    assert await stage(server, told) == "succeeded"
    assert await server.balance(WALLET, "USD") == 25_00


async def test_whoever_asks_at_once_captures_and_credits_once(paypal: PayPalBench, server: PaymentsBench) -> None:
    told = await start(server)
    order = await approve(paypal, told)
    server.clock.advance(6 * MINUTES)
    await at_once(
        *[server.run("payments.reconcile") for _ in range(4)],
        *[paypal.simulator.deliver(told["reference"], times=2) for _ in range(2)],
    )
    await paypal.simulator.deliver(told["reference"], times=3)
    assert [event.type for event in paypal.simulator.events].count("PAYMENT.CAPTURE.COMPLETED") == 1
    assert order.capture is not None
    assert await stage(server, told) == "succeeded"
    assert await server.balance(WALLET, "USD") == 25_00
    assert await server.rows(CASES, told["reference"]) == []


async def test_forged_webhooks_change_nothing(paypal: PayPalBench, server: PaymentsBench) -> None:
    told = await start(server)
    order = await approve(paypal, told)
    paypal.simulator.capture(order)  # what would be believed, were it signed
    paypal.catcher.server = None
    true = (await paypal.notices(paypal.collection(number=9)), await paypal.delivered(told["reference"]))[1]
    assert len(true) == 2
    for tampering in Tampering:
        if tampering not in {Tampering.NOTHING, Tampering.SIGNED_LATE, Tampering.BYTE_CHANGED}:
            for one in true:
                forged = Notice(one.body, paypal.simulator.headers_of(one.body, tampering))
                reply = await post(server, forged)
                assert (reply.status_code, reply.json()["code"]) == (401, "payments.signature_invalid"), tampering
    for one in true:
        for forged in (Notice(one.body), Notice(one.body + b" ", one.headers), Notice(b"{}", one.headers)):
            assert (await post(server, forged)).status_code == 401
    assert await server.rows(EVENTS) == [{"n": 0}]
    assert (await stage(server, told), await moved(server, told)) == ("pending", {})
    replies = [await post(server, one) for one in true]
    assert [(one.status_code, one.json()["detail"]) for one in replies] == [(200, "accepted"), (200, "processed")]
    assert (await post(server, true[1])).json()["detail"] == "already processed"
    assert await server.balance(WALLET, "USD") == 25_00


async def test_without_the_certificate_a_webhook_is_neither_believed_nor_lost(
    paypal: PayPalBench, server: PaymentsBench
) -> None:
    told = await start(server)
    paypal.simulator.capture(await approve(paypal, told))
    paypal.tell(Call.CERTIFICATE, Behaviour.SERVER_ERROR, times=2)
    await paypal.simulator.deliver(told["reference"])
    assert (await server.rows(EVENTS), await stage(server, told)) == ([{"n": 0}], "pending")
    assert await paypal.simulator.deliver(told["reference"]) == 2  # PayPal sends again what was not taken
    assert (await server.rows(EVENTS), await stage(server, told)) == ([{"n": 2}], "succeeded")


async def test_a_capture_may_be_pending_for_days(paypal: PayPalBench, server: PaymentsBench) -> None:
    ends = {Fate.PENDS: ("succeeded", CREDITED), Fate.PENDS_AND_FAILS: ("failed", dict[str, int]())}
    told = {}
    for fate in ends:
        paypal.simulator.fate = fate
        told[fate] = await start(server)
        await approve(paypal, told[fate])
        await pass_time(server, 5 * MINUTES)
    await pass_time(server, 30 * MINUTES, 3 * HOURS, DAYS, 2 * DAYS)
    assert (paypal.captures(), [await moved(server, one) for one in told.values()]) == (2, [{}, {}])
    paypal.simulator.settle()
    await pass_time(server, DAYS)
    for fate, end in ends.items():
        assert (await stage(server, told[fate]), await moved(server, told[fate])) == end
    assert paypal.captures() == 2


async def test_another_amount_than_asked_credits_nobody(paypal: PayPalBench, server: PaymentsBench) -> None:
    arrives = {
        Fate.AMOUNT_SHORT: ({"suspense in USD": 24_99}, "amount_differs"),
        Fate.AMOUNT_OVER: ({"suspense in USD": 25_01}, "amount_differs"),
        Fate.OTHER_CURRENCY: ({"suspense in GBP": 25_00}, "currency_differs"),
    }
    for fate, (suspense, case) in arrives.items():
        paypal.simulator.fate = fate
        told = await start(server)
        await approve(paypal, told)
        await pass_time(server, 5 * MINUTES)
        await paypal.simulator.deliver(told["reference"])
        assert (await stage(server, told), await moved(server, told)) == ("review", suspense)
        assert [row["kind"] for row in await server.rows(CASES, told["reference"])] == [case]
    assert await server.balance(WALLET, "USD") == 0


async def test_money_that_is_taken_back_is_a_case_for_staff(paypal: PayPalBench, server: PaymentsBench) -> None:
    told = await start(server)
    order = await approve(paypal, told)
    await pass_time(server, 5 * MINUTES)
    paypal.simulator.reverse(order)
    await paypal.simulator.deliver(told["reference"])
    assert (await stage(server, told), await moved(server, told)) == ("succeeded", CREDITED)
    assert [row["kind"] for row in await server.rows(CASES, told["reference"])] == ["contradiction"]


async def test_a_declined_instrument_fails_the_payment_and_the_next_one_is_another_order(
    paypal: PayPalBench, server: PaymentsBench
) -> None:
    told = await start(server)
    await approve(paypal, told)
    paypal.tell(Call.CAPTURE, Behaviour.ISSUE, issue="INSTRUMENT_DECLINED")
    await pass_time(server, 5 * MINUTES)
    status = await server.status(told["reference"])
    assert (status["stage"], status["code"]) == ("failed", "INSTRUMENT_DECLINED")
    again = await start(server)
    assert (again["stage"], paypal.charges(), await moved(server, told)) == ("pending", 2, {})


async def test_an_order_that_nobody_was_shown_fails_and_leaves_staff_alone(
    paypal: PayPalBench, server: PaymentsBench
) -> None:
    paypal.tell(Call.CREATE, Behaviour.ANSWER_LOST)
    told = await start(server)
    assert (told["stage"], paypal.charges()) == ("unknown", 1)
    await pass_time(server, 5 * MINUTES, 30 * MINUTES, DAYS)
    status = await server.status(told["reference"])
    assert (status["stage"], status["code"]) == ("failed", "NEVER_ARRIVED")
    assert await server.rows(CASES, told["reference"]) == []


async def test_what_did_not_leave_charges_nobody_and_says_so(paypal: PayPalBench, server: PaymentsBench) -> None:
    paypal.tell(Call.TOKEN, Behaviour.KEY_REFUSED)
    told = await start(server)
    assert (told["code"], paypal.charges()) == ("payments.gateway_unavailable", 0)
    assert await stage(server, told) == "failed"


async def test_shillings_are_refused_before_anything_is_written(paypal: PayPalBench, server: PaymentsBench) -> None:
    reply = await server.top_up(100)
    assert (reply.status_code, reply.json()["code"]) == (422, "payments.currency_not_supported")
    assert await server.rows("SELECT count(*) AS n FROM payment_intents") == [{"n": 0}]
    assert paypal.charges() == 0


async def test_an_event_that_nobody_knows_is_kept_and_changes_nothing(
    paypal: PayPalBench, server: PaymentsBench
) -> None:
    told = await start(server)
    body = b'{"event_type":"CUSTOMER.DISPUTE.CREATED","resource":{"id":"PP-D-1","reason":{}}}'
    reply = await post(server, Notice(body, paypal.simulator.headers_of(body)))
    assert (reply.status_code, reply.json()["detail"]) == (200, "accepted")
    malformed = b"[]"
    reply = await post(server, Notice(malformed, paypal.simulator.headers_of(malformed)))
    assert (reply.status_code, reply.json()["code"]) == (400, "kernel.malformed")
    assert (await server.rows(EVENTS), await stage(server, told)) == ([{"n": 2}], "pending")
