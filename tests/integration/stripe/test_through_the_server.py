"""Top-ups through the whole of payments, against the simulated Stripe over real HTTP, events and jobs included."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import httpx
import pytest

from infrastructure.providers.asking import Patience
from infrastructure.simulator.stripe_books import REFUND_TRICKS, SimulatedPage, StripeTrick
from tests.e2e.core.payments_bench import PaymentsBench, payments_bench
from tests.integration.lipana.test_through_the_server import CASES, MOVED
from tests.integration.stripe.bench import StripeBench, stripe_bench

IN_FULL, NOTHING = {"wallet": 100_00}, dict[str, int]()
WITH_FEE = {"wallet": 100_00, "clearing": 3_40}  # what Stripe keeps never reaches us


@pytest.fixture
async def stripe() -> AsyncIterator[StripeBench]:
    async with stripe_bench(Patience(total_timeout_s=3)) as bench:
        yield bench


@pytest.fixture
async def server(stripe: StripeBench, database_url: str) -> AsyncIterator[PaymentsBench]:
    async with payments_bench(database_url, clock=stripe.clock, provider=stripe.gateway) as bench:
        stripe.catcher.server = bench.client
        yield bench


async def start(server: PaymentsBench) -> dict[str, Any]:
    """Start a top-up of KES 100 and return what the payer is told, its reference in any case."""
    told: dict[str, Any] = (await server.top_up(100)).json()
    [newest] = await server.rows("SELECT reference FROM payment_intents ORDER BY id DESC LIMIT 1")
    return told | newest


def page_of(stripe: StripeBench, reference: str) -> SimulatedPage | None:
    return next((page for page in stripe.simulator.books.pages if page.reference == reference), None)


async def stage(server: PaymentsBench, reference: str) -> str:
    return str((await server.status(reference))["stage"])


async def moved(server: PaymentsBench, reference: str) -> dict[str, int]:
    return {row["place"]: row["amount"] for row in await server.rows(MOVED, reference)}


async def pass_days(server: PaymentsBench, *ages: timedelta) -> None:
    """Let the jobs run at each of these ages."""
    start = server.clock.now()
    for age in ages:
        server.clock.set(start + age)
        for job in ("payments.apply_events", "payments.reconcile", "payments.expire_attempts"):
            await server.run(job)


async def test_a_page_is_paid_its_event_arrives_and_the_payment_is_credited_once(
    stripe: StripeBench, server: PaymentsBench
) -> None:
    told = await start(server)
    assert (told["stage"], told["next_action"]) == ("pending", "redirect")
    page = page_of(stripe, told["reference"])
    assert page is not None
    assert told["next_url"] == f"{stripe.base_url}/pay/{page.id}"
    assert await server.wallet() == 0
    back = await stripe.client.get(told["next_url"])
    assert (back.status_code, back.headers["location"]) == (303, "http://shop.test/paid")
    assert await stage(server, told["reference"]) == "pending"  # a browser that came back proves nothing
    assert await stripe.simulator.deliver(told["reference"]) == 2
    assert stripe.catcher.replies == [(200, "processed"), (200, "accepted")]
    assert await stage(server, told["reference"]) == "succeeded"
    assert (await server.wallet(), await server.balance("clearing:stripe")) == (100_00, -100_00)
    [attempt] = await server.rows("SELECT transaction_id, checkout_id, receipt, gateway FROM payment_attempts")
    assert page.payment is not None
    assert dict(attempt) == {
        "transaction_id": page.payment.id,
        "checkout_id": page.id,
        "receipt": page.payment.charge_id,
        "gateway": "stripe",
    }
    await pass_days(server, timedelta(minutes=6), timedelta(days=1))
    assert await server.wallet() == 100_00


async def test_a_fee_that_no_event_tells_is_booked_once_from_the_statement(
    stripe: StripeBench, server: PaymentsBench
) -> None:
    told = await start(server)
    await stripe.client.get(told["next_url"])
    await stripe.simulator.deliver(told["reference"])
    assert (await server.balance("clearing:stripe"), await server.balance("costs:gateway")) == (-100_00, 0)
    server.clock.advance(timedelta(days=1))
    for _ in range(2):
        await server.run("payments.compare_statements")
    fee = await server.balance("clearing:stripe") + 100_00
    assert fee > 0
    assert await server.balance("costs:gateway") == -fee
    assert [row["fee"] for row in await server.rows("SELECT fee FROM payment_attempts")] == [fee]
    assert await server.rows("SELECT id FROM payment_cases") == []


async def test_what_is_forged_or_sent_again_changes_nothing(stripe: StripeBench, server: PaymentsBench) -> None:
    told = await start(server)
    await stripe.client.get(told["next_url"])
    event = stripe.simulator.books.events[0]
    headers = stripe.simulator.signed(event.body)

    async def send(body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        return await server.client.post("/api/payments/stripe/callback", content=body, headers=headers)

    for body, forged in (
        (event.body.replace(b"10000", b"90000"), headers),
        (event.body, {}),
        (event.body, headers | {"stripe-signature": headers["stripe-signature"].replace("v1=", "v1=0")}),
        (event.body, stripe.simulator.signed(event.body, StripeTrick.FUTURE_TIME)),
    ):
        refused = await send(body, forged)
        assert (refused.status_code, refused.json()["code"]) == (401, "payments.signature_invalid")
    assert await server.rows("SELECT id FROM gateway_events") == []
    assert await server.wallet() == 0
    assert (await send(event.body, headers)).json() == {"detail": "processed"}
    server.clock.advance(timedelta(seconds=60))
    later = stripe.simulator.signed(event.body)
    assert later != headers
    assert (await send(event.body, later)).json() == {"detail": "already processed"}
    same = event.body.replace(b'"object": "event"', b'"object":  "event"')  # the same event in other bytes
    assert (await send(same, stripe.simulator.signed(same))).json() == {"detail": "already processed"}
    assert (await server.wallet(), await server.balance("clearing:stripe")) == (100_00, -100_00)


async def test_a_payment_that_no_event_tells_of_is_found_by_asking(stripe: StripeBench, server: PaymentsBench) -> None:
    stripe.simulator.script(StripeTrick.NEVER_TOLD)
    told = await start(server)
    await stripe.client.get(told["next_url"])
    await pass_days(server, timedelta(minutes=4))
    assert await stage(server, told["reference"]) == "pending"
    await pass_days(server, timedelta(minutes=2))
    assert await stage(server, told["reference"]) == "succeeded"
    assert stripe.catcher.caught == []
    assert await moved(server, told["reference"]) == WITH_FEE  # who asks is told the fee as well
    assert await server.wallet() == 100_00


async def test_a_page_whose_address_was_lost_is_found_and_can_be_paid(
    stripe: StripeBench, server: PaymentsBench
) -> None:
    stripe.simulator.script(StripeTrick.ERROR_AFTERWARDS, on="sessions")
    told = await start(server)
    assert (told["stage"], told["next_url"]) == ("unknown", None)
    await pass_days(server, timedelta(minutes=6))
    [page] = stripe.simulator.books.pages
    [attempt] = await server.rows("SELECT status, checkout_id, next_action, next_url FROM payment_attempts")
    url = f"{stripe.base_url}/pay/{page.id}"
    assert dict(attempt) == {
        "status": "pending",
        "checkout_id": page.id,
        "next_action": "redirect",
        "next_url": url,
    }
    await stripe.client.get(url)
    await stripe.simulator.deliver(told["reference"])
    assert (await stage(server, told["reference"]), await server.wallet()) == ("succeeded", 100_00)


class Ended(NamedTuple):
    """How a top-up of KES 100 stands: as it was started, once paid and told, after half an hour, after a day."""

    started: str
    told: str
    soon: str
    final: str
    moved: Mapping[str, int]
    """Minor units that reached an account."""
    cases: Sequence[str] = ()


TURNED_AWAY = {
    StripeTrick.TOO_OFTEN,
    StripeTrick.OUT_OF_SERVICE,
    StripeTrick.KEY_REFUSED,
    StripeTrick.FORBIDDEN,
}
ENDS = {
    StripeTrick.ANSWER_LOST: Ended("pending", "succeeded", "succeeded", "succeeded", IN_FULL),
    StripeTrick.WEB_PAGE: Ended("unknown", "succeeded", "succeeded", "succeeded", IN_FULL),
    StripeTrick.CUT_SHORT: Ended("unknown", "succeeded", "succeeded", "succeeded", IN_FULL),
    StripeTrick.WRONG_SHAPE: Ended("unknown", "succeeded", "succeeded", "succeeded", IN_FULL),
    StripeTrick.SLOW: Ended("unknown", "succeeded", "succeeded", "succeeded", IN_FULL),
    StripeTrick.SERVER_ERROR: Ended("unknown", "unknown", "failed", "failed", NOTHING),
    StripeTrick.ERROR_AFTERWARDS: Ended("unknown", "succeeded", "succeeded", "succeeded", IN_FULL),
    StripeTrick.CONFLICT: Ended("unknown", "unknown", "failed", "failed", NOTHING),
    StripeTrick.TOO_OFTEN: Ended("payments.gateway_unavailable", "failed", "failed", "failed", NOTHING),
    StripeTrick.OUT_OF_SERVICE: Ended("unknown", "unknown", "failed", "failed", NOTHING),
    StripeTrick.KEY_REFUSED: Ended("payments.gateway_unavailable", "failed", "failed", "failed", NOTHING),
    StripeTrick.FORBIDDEN: Ended("payments.gateway_unavailable", "failed", "failed", "failed", NOTHING),
    StripeTrick.CARD_DECLINED: Ended("payments.declined", "failed", "failed", "failed", NOTHING),
    StripeTrick.DECLINED: Ended("pending", "pending", "succeeded", "succeeded", WITH_FEE),
    StripeTrick.PAID_LATER: Ended("pending", "pending", "succeeded", "succeeded", WITH_FEE),
    StripeTrick.NEVER_PAID: Ended("pending", "pending", "failed", "failed", NOTHING),
    StripeTrick.AMOUNT_SHORT: Ended("pending", "review", "review", "review", {"suspense": 99_99}, ["amount_differs"]),
    StripeTrick.AMOUNT_OVER: Ended("pending", "review", "review", "review", {"suspense": 100_01}, ["amount_differs"]),
    StripeTrick.OTHER_CURRENCY: Ended(
        "pending", "review", "review", "review", {"suspense in USD": 100_00}, ["currency_differs"]
    ),
    StripeTrick.DISPUTED: Ended("pending", "succeeded", "succeeded", "succeeded", IN_FULL),
    StripeTrick.EVENT_FIRST: Ended("succeeded", "succeeded", "succeeded", "succeeded", IN_FULL),
    StripeTrick.THREE_AT_ONCE: Ended("pending", "succeeded", "succeeded", "succeeded", IN_FULL),
    StripeTrick.NEVER_TOLD: Ended("pending", "pending", "succeeded", "succeeded", WITH_FEE),
    StripeTrick.BYTE_CHANGED: Ended("pending", "pending", "succeeded", "succeeded", WITH_FEE),
    StripeTrick.OLD_SECRET: Ended("pending", "pending", "succeeded", "succeeded", WITH_FEE),
    StripeTrick.FUTURE_TIME: Ended("pending", "pending", "succeeded", "succeeded", WITH_FEE),
    StripeTrick.REVERSED: Ended("pending", "succeeded", "succeeded", "succeeded", IN_FULL),
    StripeTrick.WRONG_MODE: Ended("pending", "pending", "succeeded", "succeeded", WITH_FEE),
}


def test_every_trick_about_a_payment_is_played() -> None:
    assert set(ENDS) == set(StripeTrick) - REFUND_TRICKS


async def test_every_trick_ends_as_its_rule_says(stripe: StripeBench, server: PaymentsBench) -> None:
    references, seen = dict[StripeTrick, str](), dict[StripeTrick, list[str]]()
    for trick in ENDS:
        stripe.simulator.script(trick, on="sessions", delay_s=4)
        told = await start(server)
        references[trick], seen[trick] = told["reference"], [told.get("stage", told.get("code", "?"))]
        page = page_of(stripe, told["reference"])
        if page is not None:
            await stripe.client.get(f"{stripe.base_url}/pay/{page.id}")
        if trick in TURNED_AWAY:
            server.clock.advance(timedelta(seconds=31))  # who is told to wait waits

    async def look() -> None:
        for trick, reference in references.items():
            if page_of(stripe, reference) is not None:
                await stripe.simulator.deliver(reference)
            seen[trick].append(await stage(server, reference))

    await look()
    declined = page_of(stripe, references[StripeTrick.DECLINED])
    assert declined is not None
    declined.delivery = StripeTrick.NEVER_TOLD
    await stripe.client.get(f"{stripe.base_url}/pay/{declined.id}")
    for page in stripe.simulator.books.pages:
        page.delivery = StripeTrick.NEVER_TOLD
    stripe.simulator.settle()
    await pass_days(server, timedelta(minutes=6))
    await look()
    await pass_days(server, timedelta(minutes=30), timedelta(hours=3), timedelta(days=1))
    await look()
    ended = {
        trick: Ended(
            started,
            told,
            soon,
            final,
            await moved(server, references[trick]),
            [row["kind"] for row in await server.rows(CASES, references[trick])],
        )
        for trick, (started, told, soon, final) in seen.items()
    }
    assert ended == {trick: end._replace(cases=list(end.cases)) for trick, end in ENDS.items()}
    assert await server.wallet() == sum(end.moved.get("wallet", 0) for end in ENDS.values())
    assert len(stripe.simulator.books.pages) == sum(
        end.moved != NOTHING or trick is StripeTrick.NEVER_PAID for trick, end in ENDS.items()
    )  # nobody was asked twice
