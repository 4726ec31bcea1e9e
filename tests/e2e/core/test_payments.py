"""Journey C2: a wallet is topped up over HTTP, once, whatever the provider sends."""

from collections.abc import AsyncIterator

import pytest

from tests.e2e.core.payments_bench import PAYER, PaymentsBench, payments_bench


@pytest.fixture
async def bench(database_url: str) -> AsyncIterator[PaymentsBench]:
    async with payments_bench(database_url) as one:
        yield one


async def test_a_top_up_is_credited_once_by_its_signed_callback(bench: PaymentsBench) -> None:
    reply = await bench.top_up(2000)
    assert reply.status_code == 201
    started = reply.json()
    assert (started["status"], started["amount"], started["currency"]) == ("PENDING", "2000.00", "KES")
    assert (started["purpose"], started["next_action"], started["stage"]) == ("WALLET", "wait_for_phone", "pending")
    assert bench.gateway.borrowed == [0]  # no connection is held while the provider is asked

    fields = {"reference": started["reference"], "status": "SUCCESS", "amount": 2000}
    first = await bench.callback(fields)
    assert (first.status_code, first.json()) == (200, {"detail": "processed"})
    again = await bench.callback(fields)
    assert (again.status_code, again.json()) == (200, {"detail": "already processed"})
    other_bytes = await bench.callback(fields | {"message": "the same success in other bytes"})
    assert other_bytes.json() == {"detail": "already processed"}

    assert await bench.wallet() == 2000_00
    assert await bench.balance("clearing:lipana") == -2000_00
    status = await bench.status(started["reference"])
    assert (status["status"], status["stage"], status["processed"]) == ("SUCCESS", "succeeded", True)
    assert f"wallet:user:{PAYER}" in {row["destination"] for row in await bench.rows("SELECT * FROM ledger_postings")}
