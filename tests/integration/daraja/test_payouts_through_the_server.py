"""Withdrawals paid out by the simulated Daraja over real HTTP, asked for over the API and told by callbacks."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from domain.core.payments.withdrawal import PAYOUTS
from infrastructure.daraja.addresses import CallbackAddresses, Purpose
from infrastructure.simulator.daraja import Fate, Kind, payout_result
from tests.e2e.core.payments_bench import ADMIN, PAYER, PaymentsBench, payments_bench
from tests.integration.daraja.bench import CALLBACK_SECRET, DarajaBench, daraja_bench
from tests.integration.daraja.test_through_the_server import IMPATIENT

PHONE = "0712345678"
RESERVED = f"reserved:user:{PAYER}"
FUNDS = 100_000


@pytest.fixture
async def daraja() -> AsyncIterator[DarajaBench]:
    async with daraja_bench({"patience": IMPATIENT}) as bench:
        yield bench


@pytest.fixture
async def server(daraja: DarajaBench, database_url: str) -> AsyncIterator[PaymentsBench]:
    async with payments_bench(database_url, clock=daraja.clock, provider=daraja.gateway) as bench:
        daraja.catcher.server = bench.client
        reference = await bench.started(FUNDS, phone="0700000010")
        await bench.pass_time(timedelta(minutes=3))
        assert (await bench.status(reference))["stage"] == "succeeded"
        daraja.simulator.movements.clear()
        yield bench


async def approved(server: PaymentsBench, amount: int = 700) -> str:
    """Ask for a withdrawal and have it approved; return its id."""
    asked = await server.client.post(
        "/api/withdrawals/request", json={"amount": amount, "destination": {"phone": PHONE}}, headers=server.headers()
    )
    assert asked.status_code == 201, asked.text
    withdrawal_id: str = asked.json()["id"]
    reply = await server.client.post(
        f"/api/admin/withdrawals/{withdrawal_id}/action",
        json={"action": "approve"},
        headers=server.headers(ADMIN, is_admin=True),
    )
    assert reply.status_code == 200, reply.text
    return withdrawal_id


async def row_of(server: PaymentsBench, withdrawal_id: str) -> dict[str, Any]:
    [row] = await server.rows(
        "SELECT stage, code, reference, tries, next_step_at FROM withdrawals WHERE id = $1", UUID(withdrawal_id)
    )
    return row


async def tick(daraja: DarajaBench, server: PaymentsBench, withdrawal_id: str) -> None:
    """Run the job, and have what is due of the payout told."""
    await server.run("payments.run_payouts")
    if daraja.simulator.find(Kind.PAYOUT, withdrawal_id) is not None:
        await daraja.simulator.deliver(withdrawal_id)


class Ended(NamedTuple):
    """How a withdrawal of KES 700 stands: once sent and told, 21 minutes later, a day later."""

    told: str
    late: str
    final: str
    cases: Sequence[str] = ()


PAID, FOUND = Ended("completed", "completed", "completed"), Ended("processing", "completed", "completed")
FAILED, LOST = Ended("failed", "failed", "failed"), Ended("processing", "processing", "processing")

ENDS: Mapping[Fate, Ended] = {
    Fate.ANSWER_LOST: FOUND,  # by our own id: no answer ever named another
    Fate.SUCCESS: PAID,
    Fate.THREE_DELIVERIES: PAID,
    Fate.CALLBACK_FIRST: PAID,
    Fate.ONE_PARAMETER: PAID,
    Fate.PAYOUT_FAILS: FAILED,
    Fate.FAILED: Ended("processing", "failed", "failed"),  # of a code that nobody knows, until it is asked about
    Fate.NO_CALLBACK: FOUND,
    Fate.HTML_PAGE: PAID,
    Fate.SLOW_ANSWER: PAID,
    Fate.BAD_SIGNATURE: FOUND,
    Fate.PAYOUT_QUEUED: FOUND,
    Fate.NO_ANSWER: LOST,
    Fate.SERVER_ERROR: LOST,
    Fate.AMOUNT_SHORT: FOUND._replace(cases=("amount_differs",)),
    Fate.OTHER_IDS: FOUND,
    Fate.TOKEN_EXPIRED: PAID,
    Fate.NOT_AUTHORISED: Ended("approved", "completed", "completed"),
}


async def test_every_fate_of_a_payout_ends_as_its_rule_says(daraja: DarajaBench, server: PaymentsBench) -> None:
    ids, seen = dict[Fate, str](), dict[Fate, list[str]]()
    for fate in ENDS:
        code, times = "SFC_IC0003" if fate is Fate.FAILED else "", 2 if fate is Fate.NOT_AUTHORISED else 1
        daraja.simulator.tell(fate, kind=Kind.PAYOUT, code=code, times=times)
        ids[fate] = await approved(server)
        await tick(daraja, server, ids[fate])
        seen[fate] = [(await row_of(server, ids[fate]))["stage"]]
    assert await server.wallet() == (FUNDS - 700 * len(ENDS) + 700) * 100  # one has failed and is back
    start = server.clock.now()
    for until in (timedelta(minutes=21), timedelta(hours=25)):
        for step in (timedelta(minutes=2), timedelta(minutes=6), timedelta(minutes=12), until):
            if start + step > server.clock.now():
                server.clock.set(start + step)
                for withdrawal_id in ids.values():
                    await tick(daraja, server, withdrawal_id)
        for fate, withdrawal_id in ids.items():
            seen[fate].append((await row_of(server, withdrawal_id))["stage"])
    found = await server.rows("SELECT kind, facts::text AS facts FROM payment_cases ORDER BY id")
    cases = {fate: tuple(case["kind"] for case in found if ids[fate] in case["facts"]) for fate in ids}
    assert {fate: Ended(a, b, c, cases[fate]) for fate, (a, b, c) in seen.items()} == ENDS
    finals = Counter(end.final for end in ENDS.values())
    assert await server.balance(PAYOUTS.name) == finals["completed"] * 700_00
    assert await server.balance(RESERVED) == finals["processing"] * 700_00
    assert await server.wallet() == (FUNDS - 700 * (finals["completed"] + finals["processing"])) * 100
    assert daraja.payouts() == len(ENDS) - 1  # one never reached the books; and nobody was paid twice


async def test_an_end_moves_money_once_and_what_denies_it_moves_nothing_and_is_a_case(
    daraja: DarajaBench, server: PaymentsBench
) -> None:
    addresses = CallbackAddresses("", [CALLBACK_SECRET])
    for first, then, code in ((Fate.SUCCESS, "1", None), (Fate.PAYOUT_FAILS, "0", "FLOAT_TOO_LOW")):
        daraja.simulator.tell(first, kind=Kind.PAYOUT)
        withdrawal_id = await approved(server)
        await server.run("payments.run_payouts")
        [told] = await daraja.told(withdrawal_id)
        before = (await row_of(server, withdrawal_id), await server.wallet(), await server.balance(PAYOUTS.name))
        payout = daraja.simulator.movements[-1]
        assert (before[0]["code"], before[0]["reference"]) == (code, None if code else payout.receipt)
        again = await server.client.post(f"/api/payments/daraja/{told.path}", content=told.body + b" ")
        assert again.status_code == 200
        payout.fate, payout.code = Fate.SUCCESS, then
        path = addresses.address(Purpose.PAYOUT, UUID(withdrawal_id))
        reply = await server.client.post(
            f"/api/payments/daraja{path}", content=payout_result(payout, server.clock.now())
        )
        assert reply.status_code == 200
        after = (await row_of(server, withdrawal_id), await server.wallet(), await server.balance(PAYOUTS.name))
        assert after == before
        cases = await server.rows("SELECT kind, facts::text AS facts FROM payment_cases ORDER BY id")
        assert [case["kind"] for case in cases if withdrawal_id in case["facts"]] == ["contradiction"]


async def test_a_forged_result_pays_and_fails_nothing(daraja: DarajaBench, server: PaymentsBench) -> None:
    daraja.simulator.tell(Fate.NO_ANSWER, kind=Kind.PAYOUT)
    withdrawal_id = await approved(server)
    await server.run("payments.run_payouts")
    [payout] = daraja.simulator.movements
    payout.fate = Fate.SUCCESS
    ours, strangers = CallbackAddresses("", [CALLBACK_SECRET]), CallbackAddresses("", ["a secret of his own"])
    payout_id = UUID(withdrawal_id)
    for code in ("0", "1"):
        payout.code = code
        for path, status in (
            (strangers.address(Purpose.PAYOUT, payout_id), 401),
            (ours.address(Purpose.PROMPT, payout_id).replace("/stk/", "/result/"), 401),
            (ours.address(Purpose.PAYOUT, UUID(int=5)), 200),  # the address of another payout
            (ours.address(Purpose.STATUS, payout_id), 200),  # an answer to a question has another form
            (ours.address(Purpose.PAYOUT_LATE, payout_id), 200),
        ):
            body = payout_result(payout, server.clock.now())
            reply = await server.client.post(f"/api/payments/daraja{path}", content=body)
            assert (reply.status_code, path) == (status, path)
    assert (await row_of(server, withdrawal_id))["stage"] == "processing"
    assert await server.balance(RESERVED) == 700_00
