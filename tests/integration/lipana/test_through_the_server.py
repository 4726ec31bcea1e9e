"""Every outcome that the simulated provider can play, over HTTP both ways, through the server into the books."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from itertools import zip_longest
from typing import NamedTuple

import httpx
import pytest

from application.core.payments.simulation import SimulatedOutcome as Outcome
from infrastructure.providers.asking import Patience
from tests.e2e.core.payments_bench import ADMIN, PaymentsBench, payments_bench
from tests.integration.lipana.bench import LipanaBench, lipana_bench

NEVER_BOOKED = {
    Outcome.SERVER_ERROR,
    Outcome.OUT_OF_SERVICE,
    Outcome.TOO_MANY_REQUESTS,
    Outcome.NOT_AUTHORISED,
}
MOVED = (
    "SELECT split_part(p.destination, ':', 1) || CASE p.currency WHEN 'KES' THEN '' ELSE ' in ' || p.currency END"
    " AS place, p.amount FROM ledger_postings AS p"
    " JOIN ledger_transfers AS t ON t.id = p.transfer_id WHERE t.subject = 'payment:' || $1"
)
CASES = (
    "SELECT c.kind FROM payment_cases AS c JOIN payment_intents AS i ON i.id = c.intent_id"
    " WHERE i.reference = $1 ORDER BY c.id"
)


@pytest.fixture
async def lipana() -> AsyncIterator[LipanaBench]:
    async with lipana_bench({"patience": Patience(total_timeout_s=1.5)}) as bench:
        yield bench


@pytest.fixture
async def server(lipana: LipanaBench, database_url: str) -> AsyncIterator[PaymentsBench]:
    async with payments_bench(
        database_url, clock=lipana.clock, provider=lipana.gateway, simulator=lipana.simulator
    ) as bench:
        lipana.catcher.server = bench.client
        yield bench


class Ended(NamedTuple):
    """How a top-up of KES 100 stands: as it was started, as callbacks told it, 20 minutes later, a day later."""

    started: str
    told: str
    late: str
    final: str
    moved: Mapping[str, int]
    """Minor units that reached an account."""
    cases: Sequence[str] = ()


IN_FULL, NOTHING = {"wallet": 100_00}, dict[str, int]()

ENDS = {
    Outcome.SUCCESS: Ended("pending", "succeeded", "succeeded", "succeeded", IN_FULL),
    Outcome.FAILED: Ended("pending", "failed", "failed", "failed", NOTHING),
    Outcome.INSUFFICIENT_FUNDS: Ended("pending", "failed", "failed", "failed", NOTHING),
    Outcome.CANCELLED: Ended("pending", "cancelled", "cancelled", "cancelled", NOTHING),
    Outcome.NO_ANSWER: Ended("pending", "pending", "expired", "expired", NOTHING),
    Outcome.ANSWER_LOST: Ended("unknown", "succeeded", "succeeded", "succeeded", IN_FULL),
    Outcome.AMOUNT_SHORT: Ended("pending", "review", "review", "review", {"suspense": 99_00}, ["amount_differs"]),
    Outcome.AMOUNT_OVER: Ended("pending", "review", "review", "review", {"suspense": 101_00}, ["amount_differs"]),
    Outcome.THREE_DELIVERIES: Ended("pending", "succeeded", "succeeded", "succeeded", IN_FULL),
    Outcome.CALLBACK_FIRST: Ended("succeeded", "succeeded", "succeeded", "succeeded", IN_FULL),
    Outcome.LATE_SUCCESS: Ended("pending", "pending", "succeeded", "succeeded", IN_FULL),
    Outcome.FAILURE_THEN_SUCCESS: Ended("pending", "failed", "succeeded", "succeeded", IN_FULL),
    Outcome.SUCCESS_THEN_FAILURE: Ended("pending", "succeeded", "succeeded", "succeeded", IN_FULL, ["contradiction"]),
    Outcome.NO_CALLBACK: Ended("pending", "pending", "succeeded", "succeeded", IN_FULL),
    Outcome.WRONG_CURRENCY: Ended(
        "pending", "review", "review", "review", {"suspense in USD": 100_00}, ["currency_differs"]
    ),
    Outcome.BAD_SIGNATURE: Ended("pending", "pending", "succeeded", "succeeded", IN_FULL),
    Outcome.OLD_SECRET: Ended("pending", "succeeded", "succeeded", "succeeded", IN_FULL),
    Outcome.CONTRADICTION: Ended("pending", "pending", "succeeded", "succeeded", IN_FULL),
    Outcome.REVERSED_ORDER: Ended("pending", "succeeded", "succeeded", "succeeded", IN_FULL),
    Outcome.AMOUNT_AS_TEXT: Ended("pending", "succeeded", "succeeded", "succeeded", IN_FULL),
    Outcome.AMOUNT_MISSING: Ended("pending", "pending", "succeeded", "succeeded", IN_FULL),
    Outcome.UNKNOWN_FIELDS: Ended("pending", "succeeded", "succeeded", "succeeded", IN_FULL),
    Outcome.UNKNOWN_EVENT: Ended("pending", "pending", "succeeded", "succeeded", IN_FULL),
    Outcome.HTML_PAGE: Ended("unknown", "succeeded", "succeeded", "succeeded", IN_FULL),
    Outcome.TRUNCATED_JSON: Ended("unknown", "succeeded", "succeeded", "succeeded", IN_FULL),
    Outcome.WRONG_SHAPE: Ended("unknown", "succeeded", "succeeded", "succeeded", IN_FULL),
    Outcome.SLOW_ANSWER: Ended("unknown", "succeeded", "succeeded", "succeeded", IN_FULL),
    Outcome.SERVER_ERROR: Ended("unknown", "unknown", "expired", "expired", NOTHING, ["unknown_outcome"]),
    Outcome.OUT_OF_SERVICE: Ended("unknown", "unknown", "expired", "expired", NOTHING, ["unknown_outcome"]),
    Outcome.TOO_MANY_REQUESTS: Ended("payments.gateway_unavailable", "failed", "failed", "failed", NOTHING),
    Outcome.NOT_AUTHORISED: Ended("payments.gateway_unavailable", "failed", "failed", "failed", NOTHING),
}


async def test_every_outcome_ends_as_its_rule_says(lipana: LipanaBench, server: PaymentsBench) -> None:
    references, seen = dict[Outcome, str](), dict[Outcome, list[str]]()

    async def play(outcome: Outcome) -> None:
        phone = f"07{20_000_000 + len(seen)}"
        await lipana.tell(outcome, phone=phone)
        reply = (await server.top_up(100, phone=phone)).json()
        newest = await server.rows("SELECT reference FROM payment_intents ORDER BY id DESC LIMIT 1")
        references[outcome], seen[outcome] = newest[0]["reference"], [reply.get("stage", reply.get("code"))]

    # who is told to wait waits: one such comes first, with its wait behind it, and one last
    await play(Outcome.TOO_MANY_REQUESTS)
    server.clock.advance(timedelta(minutes=5))
    rest = [outcome for outcome in ENDS if outcome not in {Outcome.TOO_MANY_REQUESTS, Outcome.OUT_OF_SERVICE}]
    silent = [outcome for outcome in rest if ENDS[outcome].started == "unknown"]
    others = [outcome for outcome in rest if outcome not in silent]
    for pair in zip_longest(others, silent):  # one silence after a wait opens the circuit, as five in a row do
        for outcome in pair:
            if outcome is not None:
                await play(outcome)
    await play(Outcome.OUT_OF_SERVICE)

    async def look() -> None:
        for outcome, reference in references.items():
            if outcome not in NEVER_BOOKED:
                await lipana.simulator.deliver(reference)
            seen[outcome].append((await server.status(reference))["stage"])

    server.clock.advance(timedelta(seconds=65))  # before anybody is asked
    await look()
    await server.pass_time(timedelta(minutes=21))
    await look()
    await server.pass_time(timedelta(hours=24))
    await look()
    ended = {
        outcome: Ended(
            started,
            told,
            late,
            final,
            {row["place"]: row["amount"] for row in await server.rows(MOVED, references[outcome])},
            [row["kind"] for row in await server.rows(CASES, references[outcome])],
        )
        for outcome, (started, told, late, final) in seen.items()
    }
    assert ended == {outcome: end._replace(cases=list(end.cases)) for outcome, end in ENDS.items()}
    credited = sum(end.moved.get("wallet", 0) for end in ENDS.values())
    in_suspense = sum(end.moved.get("suspense", 0) for end in ENDS.values())
    assert (await server.wallet(), await server.balance("suspense:lipana")) == (credited, in_suspense)
    assert await server.balance("clearing:lipana") == -credited - in_suspense
    assert lipana.charges() == len(ENDS) - len(NEVER_BOOKED)  # and nobody was prompted twice


def test_every_outcome_of_a_prompt_is_played() -> None:
    assert set(ENDS) == {one for one in Outcome if not one.value.startswith(("payout", "refund"))}


async def test_an_administrator_directs_the_provider(lipana: LipanaBench, server: PaymentsBench) -> None:
    admin = server.headers(ADMIN, is_admin=True)
    script = {"match": {"phone": "0712345678"}, "outcome": "cancelled", "times": 1}

    async def direct(word: str, body: object, headers: dict[str, str]) -> httpx.Response:
        return await server.client.post(f"/api/payments/simulator/{word}", json=body, headers=headers)

    assert (await direct("script", script, server.headers())).status_code == 403
    assert (await direct("deliver", {"reference": "SK1"}, server.headers())).status_code == 403
    assert (await direct("script", script, admin)).status_code == 200
    first = await server.started(100, phone="0712345678")
    assert (await direct("deliver", {"reference": first}, admin)).json() == {"delivered": 1}
    assert (await server.status(first))["stage"] == "cancelled"
    second = await server.started(100, phone="0712345678")
    assert (await direct("deliver", {"reference": second}, admin)).json() == {"delivered": 1}
    assert (await server.status(second))["stage"] == "succeeded"
    refused = await direct("script", {"outcome": "refund_refused"}, admin)
    assert (refused.status_code, refused.json()["code"]) == (422, "payments.outcome_not_simulated")
    unknown = await direct("deliver", {"reference": "SK9999999999"}, admin)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "payments.simulated_payment_not_found")
    assert await server.wallet() == 100_00
