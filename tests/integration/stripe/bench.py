"""The real adapter, the simulated Stripe behind real HTTP, and a catcher for its events."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx

from application.core.payments.simulation import NothingToDeliver
from domain.core.kernel.money import Money
from domain.core.payments.gateway import Answer, Collection
from infrastructure.providers.asking import Patience
from infrastructure.simulator.stripe import StripeSimulator, StripeSimulatorSettings
from infrastructure.simulator.stripe_app import StripeSimulatorServer
from infrastructure.simulator.stripe_books import StripeTrick
from infrastructure.stripe.gateway import StripePaymentGateway, StripeSettings
from tests.contract.core.payment_gateway import Fault, Notice, Payer
from tests.fakes.core.system import FixedClock

SECRET_KEY = "sk_test_0123456789"
WEBHOOK_SECRET = "whsec_test_0123456789abcdef"
EARLIER_SECRET = "whsec_test_of_last_year"
CONTROL_KEY = "control key of a test"
CALLBACK_URL = "http://soko.test/api/payments/stripe/callback"
RETURN_URL = "http://shop.test/paid"
AMOUNT = Money(1500_00)

TRICK_OF = {
    Fault.ANSWER_LOST: StripeTrick.ANSWER_LOST,
    Fault.WEB_PAGE: StripeTrick.WEB_PAGE,
    Fault.CUT_SHORT: StripeTrick.CUT_SHORT,
    Fault.WRONG_SHAPE: StripeTrick.WRONG_SHAPE,
    Fault.SERVER_ERROR: StripeTrick.SERVER_ERROR,
    Fault.TOO_OFTEN: StripeTrick.TOO_OFTEN,
    Fault.KEY_REFUSED: StripeTrick.KEY_REFUSED,
}


class Catcher:
    """Stands where our API would be and keeps what is posted to it."""

    def __init__(self) -> None:
        self.caught: list[httpx.Request] = []
        self.came = asyncio.Event()
        self.server: httpx.AsyncClient | None = None
        """The API itself, where a test has one: it gets every event, and its answer goes back."""
        self.replies: list[tuple[int, str]] = []

    async def answer(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.caught.append(request)
        self.came.set()
        if self.server is None:
            return httpx.Response(200, json={"detail": "processed"})
        reply = await self.server.post(request.url.path, content=request.content, headers=request.headers)
        self.replies.append((reply.status_code, reply.json().get("detail", "")))
        return httpx.Response(reply.status_code, content=reply.content)


class StripeBench:
    """Everything one test needs; `gateway` speaks to `simulator` over loopback."""

    pays_at_once = False
    sends_notices = True
    faults = frozenset(Fault)

    def __init__(self, simulator: StripeSimulator, gateway: StripePaymentGateway, clock: FixedClock) -> None:
        self.simulator = simulator
        self.gateway = gateway
        self.clock = clock
        self.catcher = Catcher()
        self.base_url = ""
        self.client: httpx.AsyncClient
        self._payers: dict[str, Payer] = {}

    def collection(self, payer: Payer = Payer.PAYS, number: int = 1) -> Collection:
        reference = f"SKTEST{number:06}"
        self._payers[reference] = payer
        return Collection(
            attempt_id=UUID(int=number),
            reference=reference,
            amount=AMOUNT,
            description="Wallet top-up",
            method="stripe",
            return_url=RETURN_URL,
            cancel_url="http://shop.test/cancelled",
            started_at=self.clock.now(),
            idempotency_key=f"attempt:{number}",
        )

    async def act(self, sent: Answer) -> None:
        page = next(page for page in self.simulator.books.pages if page.id == sent.references.checkout_id)
        match self._payers.get(page.reference or "", Payer.PAYS):
            case Payer.PAYS:
                await self.visit(sent)
            case Payer.REFUSES:
                await self.visit(sent, "/decline")
            case Payer.DOES_NOTHING:
                pass

    async def visit(self, sent: Answer, more: str = "") -> httpx.Response:
        """Open the page as the payer's browser does."""
        assert sent.next_url is not None
        return await self.client.get(sent.next_url + more)

    async def notices(self, collection: Collection) -> list[Notice]:
        self.catcher.caught.clear()
        try:
            await self.simulator.deliver(collection.reference)
        except NothingToDeliver:
            return []
        return [Notice(request.content, dict(request.headers)) for request in self.catcher.caught]

    async def settle_refunds(self) -> None:
        self.simulator.settle()

    async def fault(self, fault: Fault) -> None:
        self.simulator.script(TRICK_OF[fault], on="sessions")

    def unreachable(self) -> StripePaymentGateway:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]  # free again after this line, and nobody listens there
        return self.at(f"http://127.0.0.1:{port}")

    def at(self, base_url: str, **settings: Any) -> StripePaymentGateway:
        """Return an adapter for another address."""
        stripe = StripeSettings(
            base_url=base_url, secret_key=SECRET_KEY, webhook_secret=WEBHOOK_SECRET, return_url=RETURN_URL, **settings
        )
        return StripePaymentGateway(self.client, stripe, self.clock)

    def charges(self) -> int:
        return len(self.simulator.books.pages)

    def given_back(self) -> int:
        return sum(refund.amount for refund in self.simulator.books.refunds if refund.status == "succeeded")

    async def paid(self, number: int = 1, **changes: Any) -> tuple[Collection, Answer]:
        """Have a page opened and paid, and return what was sent and what came back for it."""
        collection = replace(self.collection(number=number), **changes)
        sent = await self.gateway.collect(collection)
        await self.act(sent)
        return collection, sent


@asynccontextmanager
async def stripe_bench(patience: Patience | None = None) -> AsyncIterator[StripeBench]:
    clock, catcher = FixedClock(), Catcher()
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(catcher.answer)) as callbacks,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        simulator = StripeSimulator(
            StripeSimulatorSettings(
                secret_key=SECRET_KEY,
                webhook_secret=WEBHOOK_SECRET,
                previous_webhook_secret=EARLIER_SECRET,
                control_key=CONTROL_KEY,
                callback_url=CALLBACK_URL,
            ),
            clock,
            callbacks,
        )
        async with StripeSimulatorServer(simulator) as server:
            stripe = StripeSettings(
                base_url=server.base_url,
                secret_key=SECRET_KEY,
                webhook_secret=WEBHOOK_SECRET,
                return_url=RETURN_URL,
                patience=patience or Patience(total_timeout_s=5),
            )
            bench = StripeBench(simulator, StripePaymentGateway(client, stripe, clock), clock)
            bench.catcher, bench.base_url, bench.client = catcher, server.base_url, client
            yield bench
