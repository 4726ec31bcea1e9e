"""What a top-up answers in the rarer cases, and what holds when a state was lost."""

from collections.abc import AsyncIterator

import pytest

from domain.core.payments.gateway import Answer, Collection, Outcome
from tests.e2e.core.payments_bench import PaymentsBench, payments_bench
from tests.e2e.market import Market


@pytest.fixture
async def bench(database_url: str) -> AsyncIterator[PaymentsBench]:
    async with payments_bench(database_url) as one:
        yield one


async def test_a_decline_known_at_once_is_told_and_kept(bench: PaymentsBench) -> None:
    async def declines(collection: Collection) -> Answer:
        return Answer(outcome=Outcome.FAILED, amount=collection.amount, code="CARD_DECLINED")

    bench.gateway.collect = declines  # type: ignore[method-assign]
    reply = await bench.top_up(100)
    assert (reply.status_code, reply.json()["code"]) == (422, "payments.declined")
    [row] = await bench.rows(
        "SELECT i.id, i.reference, a.status, a.code FROM payment_intents AS i"
        " JOIN payment_attempts AS a ON a.intent_id = i.id"
    )
    assert (reply.json()["payment_id"], reply.json()["gateway_code"]) == (str(row["id"]), "CARD_DECLINED")
    assert (row["status"], row["code"]) == ("failed", "CARD_DECLINED")
    assert (await bench.status(row["reference"]))["status"] == "FAILED"
    assert await bench.rows("SELECT id FROM ledger_transfers") == []


async def test_an_attempt_is_credited_once_even_where_its_state_was_lost(bench: PaymentsBench) -> None:
    """The reference of the transfer is made from the attempt, so the books refuse what the rows would allow."""
    reference = await bench.started(100)
    fields = {"reference": reference, "status": "success", "amount": 100}
    assert (await bench.callback(fields)).json() == {"detail": "processed"}
    async with bench.database.connection() as connection:
        await connection.execute("UPDATE payment_intents SET status = 'open', closed_at = NULL, served_at = NULL")
        await connection.execute("UPDATE payment_attempts SET status = 'pending', finished_at = NULL")
    assert (await bench.callback(fields | {"message": "again"})).status_code == 200
    assert (await bench.wallet(), await bench.balance("clearing:lipana")) == (100_00, -100_00)
    assert len(await bench.rows("SELECT id FROM ledger_transfers")) == 1


async def test_without_a_phone_the_one_of_the_profile_is_prompted(market: Market) -> None:
    ada = await market.register("ada")

    async def refused() -> str:
        reply = await market.post(ada, "/api/wallet/topup", {"amount": 100})
        assert reply.status_code == 422
        return str(reply.json()["code"])

    assert await refused() == "payments.phone_required"
    assert await market.value("SELECT count(*) FROM payment_intents") == 0
    await market.execute("UPDATE accounts SET claimed_phone = '+254712345678' WHERE id = $1", ada.id)
    assert (await market.post(ada, "/api/wallet/topup", {"amount": 100})).status_code == 201
    assert market.gateway.collections[-1].phone == "+254712345678"
    reply = await market.post(ada, "/api/wallet/topup", {"amount": 200, "phone": "0722000111"})
    assert (reply.status_code, market.gateway.collections[-1].phone) == (201, "+254722000111")
