"""Top-ups through the whole of payments, against the simulated Daraja over real HTTP, callbacks and jobs included."""

from collections.abc import AsyncIterator

import pytest

from tests.e2e.core.payments_bench import PaymentsBench, payments_bench
from tests.integration.daraja.bench import DarajaBench, daraja_bench

PHONE = "0712345678"
ACCEPTED = {"ResultCode": 0, "ResultDesc": "Accepted"}


@pytest.fixture
async def daraja() -> AsyncIterator[DarajaBench]:
    async with daraja_bench() as bench:
        yield bench


@pytest.fixture
async def server(daraja: DarajaBench, database_url: str) -> AsyncIterator[PaymentsBench]:
    async with payments_bench(database_url, clock=daraja.clock, provider=daraja.gateway) as bench:
        daraja.catcher.server = bench.client
        yield bench


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
