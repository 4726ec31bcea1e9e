"""Top-ups through the whole of payments, against the simulated Daraja over real HTTP, callbacks and jobs included."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import pytest

from infrastructure.daraja.addresses import CallbackAddresses, Purpose
from infrastructure.providers.asking import Patience
from infrastructure.simulator.daraja import Fate, Movement, prompt_result
from tests.e2e.core.payments_bench import PaymentsBench, payments_bench
from tests.integration.daraja.bench import CALLBACK_SECRET, DarajaBench, daraja_bench
from tests.integration.lipana.test_through_the_server import CASES, MOVED

PHONE = "0712345678"
IMPATIENT = Patience(total_timeout_s=1.5)
ACCEPTED = {"ResultCode": 0, "ResultDesc": "Accepted"}
NEVER_BOOKED = {
    Fate.SERVER_ERROR,
    Fate.OUT_OF_SERVICE,
    Fate.TOO_MANY_REQUESTS,
    Fate.SPIKE_ARREST,
    Fate.NOT_AUTHORISED,
}


@pytest.fixture
async def daraja() -> AsyncIterator[DarajaBench]:
    async with daraja_bench({"patience": IMPATIENT}) as bench:
        yield bench


@pytest.fixture
async def server(daraja: DarajaBench, database_url: str) -> AsyncIterator[PaymentsBench]:
    async with payments_bench(database_url, clock=daraja.clock, provider=daraja.gateway) as bench:
        daraja.catcher.server = bench.client
        yield bench


class Ended(NamedTuple):
    """How a top-up of KES 100 stands: as it was started, as callbacks told it, 21 minutes later, a day later."""

    started: str
    told: str
    late: str
    final: str
    moved: Mapping[str, int]
    """Minor units that reached an account."""
    cases: Sequence[str] = ()


IN_FULL, NOTHING = {"wallet": 100_00}, dict[str, int]()
PAID = Ended("pending", "succeeded", "succeeded", "succeeded", IN_FULL)
PAID_UNSEEN = PAID._replace(started="unknown")
NOT_SENT = Ended("payments.gateway_unavailable", "failed", "failed", "failed", NOTHING)
LOST = Ended("unknown", "unknown", "expired", "expired", NOTHING, ("unknown_outcome",))
DIFFERS = Ended("pending", "review", "review", "review", NOTHING, ("amount_differs",))

ENDS = {
    Fate.SUCCESS: PAID,
    Fate.FAILED: Ended("pending", "failed", "failed", "failed", NOTHING),
    Fate.INSUFFICIENT_FUNDS: Ended("pending", "failed", "failed", "failed", NOTHING),
    Fate.CANCELLED: Ended("pending", "cancelled", "cancelled", "cancelled", NOTHING),
    Fate.NO_ANSWER: Ended("pending", "pending", "expired", "expired", NOTHING),
    Fate.ANSWER_LOST: PAID_UNSEEN,  # the callback teaches us its ids
    Fate.AMOUNT_SHORT: DIFFERS,
    Fate.AMOUNT_OVER: DIFFERS,
    Fate.THREE_DELIVERIES: PAID,
    Fate.CALLBACK_FIRST: PAID,
    Fate.LATE_SUCCESS: Ended("pending", "pending", "succeeded", "succeeded", IN_FULL),
    Fate.FAILURE_THEN_SUCCESS: Ended("pending", "expired", "succeeded", "succeeded", IN_FULL),
    Fate.NO_CALLBACK: Ended("pending", "pending", "succeeded", "succeeded", IN_FULL),
    Fate.STILL_PROCESSED: Ended("pending", "pending", "expired", "succeeded", IN_FULL),
    Fate.CONTRADICTION: Ended("pending", "pending", "review", "review", NOTHING, ("contradiction",)),
    Fate.BAD_SIGNATURE: Ended("pending", "pending", "succeeded", "succeeded", IN_FULL),
    Fate.OTHER_IDS: Ended("pending", "pending", "succeeded", "succeeded", IN_FULL, ("contradiction",)),
    Fate.RECEIPT_MISSING: PAID,
    Fate.HTML_PAGE: PAID_UNSEEN,
    Fate.TRUNCATED_JSON: PAID_UNSEEN,
    Fate.WRONG_SHAPE: PAID_UNSEEN,
    Fate.SLOW_ANSWER: PAID_UNSEEN,
    Fate.SERVER_ERROR: LOST,
    Fate.OUT_OF_SERVICE: LOST,
    Fate.TOO_MANY_REQUESTS: NOT_SENT,
    Fate.SPIKE_ARREST: NOT_SENT,
    Fate.NOT_AUTHORISED: NOT_SENT,
    Fate.TOKEN_EXPIRED: PAID,
}


def test_every_fate_of_a_prompt_is_played() -> None:
    assert set(ENDS) == {one for one in Fate if one not in {Fate.PAYOUT_FAILS, Fate.PAYOUT_QUEUED, Fate.ONE_PARAMETER}}


async def test_every_fate_ends_as_its_rule_says(daraja: DarajaBench, server: PaymentsBench) -> None:
    references, seen = dict[Fate, str](), dict[Fate, list[str]]()

    async def play(fate: Fate) -> None:
        phone = f"07{20_000_000 + len(seen)}"
        times = {Fate.TOKEN_EXPIRED: 1, Fate.NOT_AUTHORISED: 2}.get(fate)
        daraja.simulator.tell(fate, phone=phone, times=times)
        reply = (await server.top_up(100, phone=phone)).json()
        newest = await server.rows("SELECT reference FROM payment_intents ORDER BY id DESC LIMIT 1")
        references[fate], seen[fate] = newest[0]["reference"], [reply.get("stage", reply.get("code"))]

    await play(Fate.TOO_MANY_REQUESTS)
    server.clock.advance(timedelta(minutes=5))  # who is told to wait waits
    for fate in ENDS:
        if fate is not Fate.TOO_MANY_REQUESTS:
            await play(fate)

    async def look() -> None:
        for fate, reference in references.items():
            if fate not in NEVER_BOOKED:
                await daraja.simulator.deliver(reference)
        await server.run("payments.reconcile")
        for fate, reference in references.items():
            seen[fate].append((await server.status(reference))["stage"])

    server.clock.advance(timedelta(seconds=65))  # only what callbacks told of is asked about
    await look()
    await server.pass_time(timedelta(minutes=21))
    await look()
    await server.pass_time(timedelta(hours=24))
    await look()
    ended = {
        fate: Ended(
            started,
            told,
            late,
            final,
            {row["place"]: row["amount"] for row in await server.rows(MOVED, references[fate])},
            tuple(row["kind"] for row in await server.rows(CASES, references[fate])),
        )
        for fate, (started, told, late, final) in seen.items()
    }
    assert ended == ENDS
    credited = sum(end.moved.get("wallet", 0) for end in ENDS.values())
    assert (await server.wallet(), await server.balance("clearing:daraja")) == (credited, -credited)
    assert await server.balance("suspense:daraja") == 0  # nothing is booked on the word of who signs nothing
    assert daraja.charges() == len(ENDS) - len(NEVER_BOOKED)  # and nobody was prompted twice


async def test_a_prompt_is_credited_once_when_the_question_after_its_callback_is_answered(
    daraja: DarajaBench, server: PaymentsBench
) -> None:
    reference = await server.started(500, phone=PHONE)
    [told] = await daraja.told(reference)
    assert (await server.status(reference))["stage"] == "pending"  # nobody signed it
    assert await server.wallet() == 0
    for _ in range(2):
        await server.run("payments.reconcile")
        again = await server.client.post(f"/api/payments/daraja/{told.path}", content=told.body)
        assert (again.status_code, again.json()) == (200, ACCEPTED)
    assert (await server.status(reference))["stage"] == "succeeded"
    assert (await server.wallet(), await server.balance("clearing:daraja")) == (500_00, -500_00)
    [attempt] = await server.rows("SELECT receipt, checkout_id, transaction_id FROM payment_attempts")
    [prompt] = daraja.simulator.movements
    assert (attempt["receipt"], attempt["checkout_id"]) == (prompt.receipt, prompt.id)
    assert attempt["transaction_id"] == prompt.other_id


async def forge(server: PaymentsBench, path: str, prompt: Movement) -> int:
    """Say to an address that a prompt was paid, and have the jobs look; return the status of the answer."""
    reply = await server.client.post(
        f"/api/payments/daraja/{path}", content=prompt_result(prompt, "0", server.clock.now())
    )
    await server.run("payments.apply_events")
    await server.run("payments.reconcile")
    return reply.status_code


async def test_a_stranger_who_knows_every_id_is_refused_and_leaves_no_trace(
    daraja: DarajaBench, server: PaymentsBench
) -> None:
    daraja.simulator.tell(Fate.NO_ANSWER)
    await server.started(500, phone=PHONE)
    [prompt] = daraja.simulator.movements
    [attempt] = await server.rows("SELECT id FROM payment_attempts")
    of_a_stranger = CallbackAddresses("", ["a secret of his own"])
    ours = CallbackAddresses("", [CALLBACK_SECRET])
    guesses = [
        f"stk/{attempt['id']}",
        f"stk/{attempt['id'].hex}",
        "stk/",
        "stk/%C3%A9",
        of_a_stranger.address(Purpose.PROMPT, attempt["id"])[1:],
        ours.address(Purpose.PAYOUT, attempt["id"]).replace("/result/", "stk/"),
        ours.address(Purpose.PROMPT, attempt["id"]).replace("/stk/", "result/"),
        f"{ours.address(Purpose.PROMPT, attempt['id'])[1:]}A",
    ]
    for path in guesses:
        assert await forge(server, path, prompt) in {401, 404}, path
    assert await server.rows("SELECT id FROM gateway_events") == []
    assert (await server.wallet(), prompt.asked) == (0, 0)


async def test_who_has_the_right_address_credits_nothing_by_it(daraja: DarajaBench, server: PaymentsBench) -> None:
    daraja.simulator.tell(Fate.NO_ANSWER)
    first = await server.started(500, phone=PHONE)
    daraja.simulator.tell(Fate.NO_CALLBACK)
    second = await server.started(700, phone="0722345678")
    unpaid, paid = daraja.simulator.movements
    rows = await server.rows("SELECT id FROM payment_attempts ORDER BY id")
    path, path_of_paid = (
        CallbackAddresses("", [CALLBACK_SECRET]).address(Purpose.PROMPT, row["id"])[1:] for row in rows
    )
    assert await forge(server, path, replace(unpaid, id=paid.id)) == 200
    assert await forge(server, path, replace(unpaid, other_id=paid.other_id)) == 200
    assert await server.rows(CASES, first) == [{"kind": "contradiction"}]
    assert await forge(server, path, unpaid) == 200  # all of it right, and the payer never paid
    assert ((await server.status(first))["stage"], unpaid.asked) == ("pending", 1)
    assert await forge(server, path_of_paid, replace(paid, amount=7_000_000)) == 200
    assert ((await server.status(second))["stage"], paid.asked) == ("review", 0)
    assert await server.wallet() == 0


async def test_a_receipt_that_belongs_to_another_payment_is_a_case(daraja: DarajaBench, server: PaymentsBench) -> None:
    first = await server.started(500, phone=PHONE)
    await daraja.told(first)
    await server.run("payments.reconcile")
    daraja.simulator.tell(Fate.NO_CALLBACK)
    second = await server.started(700, phone="0722345678")
    paid, other = daraja.simulator.movements
    [row] = await server.rows("SELECT id FROM payment_attempts WHERE receipt IS NULL")
    path = CallbackAddresses("", [CALLBACK_SECRET]).address(Purpose.PROMPT, row["id"])[1:]
    assert await forge(server, path, replace(other, receipt=paid.receipt)) == 200
    cases = await server.rows("SELECT kind FROM payment_cases")
    assert [case["kind"] for case in cases] == ["receipt_reused"]
    assert (await server.status(second))["stage"] == "pending"
    await server.pass_time(timedelta(minutes=3))
    assert (await server.status(second))["stage"] == "succeeded"  # the prompt itself was paid
    assert await server.wallet() == 1200_00


async def test_a_body_that_is_no_object_is_kept_and_refused(daraja: DarajaBench, server: PaymentsBench) -> None:
    await server.started(500, phone=PHONE)
    [row] = await server.rows("SELECT id FROM payment_attempts")
    path = CallbackAddresses("", [CALLBACK_SECRET]).address(Purpose.PROMPT, row["id"])
    reply = await server.client.post(f"/api/payments/daraja{path}", content=b"[]")
    assert (reply.status_code, reply.json()["code"]) == (400, "kernel.malformed")
    assert len(await server.rows("SELECT id FROM gateway_events")) == 1


async def test_a_callback_of_an_attempt_that_is_nobodys_is_parked_then_a_case_without_money(
    daraja: DarajaBench, server: PaymentsBench
) -> None:
    await server.started(500, phone=PHONE)
    [prompt] = daraja.simulator.movements
    path = CallbackAddresses("", [CALLBACK_SECRET]).address(Purpose.PROMPT, UUID(int=1))[1:]
    stranger = replace(prompt, id="ws_CO_nobody", other_id="mr-nobody", receipt="SAAAAAAAAA")
    assert await forge(server, path, stranger) == 200
    server.clock.advance(timedelta(hours=25))
    await server.run("payments.apply_events")
    [case] = await server.rows("SELECT kind, booked FROM payment_cases")
    assert (case["kind"], case["booked"]) == ("unknown_reference", None)
    assert await server.balance("suspense:daraja") == 0


async def test_a_second_prompt_to_a_busy_phone_fails_and_may_be_tried_again(
    daraja: DarajaBench, server: PaymentsBench
) -> None:
    daraja.simulator.tell(Fate.NO_ANSWER, times=1)
    await daraja.gateway.collect(replace(daraja.collection(), phone="+254712345678"))  # another shop's prompt
    reply = (await server.top_up(100, phone=PHONE)).json()
    assert (reply["code"], reply.get("gateway_code", "BUSY")) == ("payments.declined", "BUSY")
    [row] = await server.rows("SELECT status, code FROM payment_attempts")
    assert (row["status"], row["code"]) == ("failed", "BUSY")
