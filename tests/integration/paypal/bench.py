"""The real adapter, the simulated PayPal behind real HTTP, its payer's browser, and a catcher for its webhooks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any
from uuid import UUID

import httpx

from domain.core.kernel.money import Money
from domain.core.payments.gateway import Answer, Collection
from infrastructure.paypal.gateway import PayPalPaymentGateway, PayPalSettings
from infrastructure.providers.asking import Patience
from infrastructure.simulator.paypal import PayPalSimulator, PayPalSimulatorSettings
from infrastructure.simulator.paypal_books import Call, Order, PayPalScript, Tampering
from infrastructure.simulator.paypal_books import Fault as Behaviour
from infrastructure.simulator.paypal_server import PayPalSimulatorServer
from infrastructure.simulator.paypal_signer import Signer
from tests.contract.core.payment_gateway import Fault, Notice, Payer
from tests.fakes.core.system import NOON, FixedClock

CLIENT_ID, CLIENT_SECRET, CONTROL_KEY = "client of a test", "secret of a test", "control key of a test"
WEBHOOK_ID = "1JE4291016473214C"
CALLBACK_PATH = "/api/payments/paypal/callback"
CALLBACK_URL = f"http://soko.test{CALLBACK_PATH}"
DEFAULT_RETURN_URL = "http://shop.test"
RETURN_URL, CANCEL_URL = "http://shop.test/paid?order=7", "http://shop.test/cancelled"

BEHAVIOUR = {
    Fault.ANSWER_LOST: Behaviour.ANSWER_LOST,
    Fault.WEB_PAGE: Behaviour.WEB_PAGE,
    Fault.CUT_SHORT: Behaviour.CUT_SHORT,
    Fault.WRONG_SHAPE: Behaviour.WRONG_SHAPE,
    Fault.SERVER_ERROR: Behaviour.SERVER_ERROR,
    Fault.TOO_OFTEN: Behaviour.TOO_OFTEN,
    Fault.KEY_REFUSED: Behaviour.KEY_REFUSED,
}


@cache
def signer() -> Signer:
    """Make the key once: RSA keys are slow to make."""
    return Signer.new(NOON)


class Catcher:
    """Stands where our API would be and keeps what is posted to it."""

    def __init__(self) -> None:
        self.caught: list[Notice] = []
        self.server: httpx.AsyncClient | None = None
        """The API itself, where a test has one: it gets every webhook, and its answer goes back."""

    async def answer(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        self.caught.append(Notice(body, dict(request.headers)))
        if self.server is None:
            return httpx.Response(200)
        reply = await self.server.post(request.url.path, content=body, headers=request.headers)
        return httpx.Response(reply.status_code, content=reply.content)


class PayPalBench:
    """Everything one test needs; `gateway` speaks to `simulator` over loopback."""

    pays_at_once = False
    sends_notices = True
    faults = frozenset(BEHAVIOUR)

    def __init__(
        self, simulator: PayPalSimulator, gateway: PayPalPaymentGateway, clock: FixedClock, client: httpx.AsyncClient
    ) -> None:
        self.simulator = simulator
        self.gateway = gateway
        self.clock = clock
        self.client = client
        self.catcher = Catcher()
        self._payers: dict[str, Payer] = {}

    def collection(self, payer: Payer = Payer.PAYS, number: int = 1, amount: Money | None = None) -> Collection:
        reference = f"SKTEST{number:06d}"
        self._payers[reference] = payer
        return Collection(
            attempt_id=UUID(int=number),
            reference=reference,
            amount=amount or Money(25_00, "USD"),
            description="Wallet",
            method="paypal",
            return_url=RETURN_URL,
            cancel_url=CANCEL_URL,
            idempotency_key=f"attempt:{UUID(int=number)}",
        )

    async def act(self, sent: Answer) -> None:
        order = self.simulator.orders[sent.references.checkout_id or ""]
        if sent.next_url is None or self._payers[order.reference] is Payer.DOES_NOTHING:
            return
        query = "&cancel=1" if self._payers[order.reference] is Payer.REFUSES else ""
        page = await self.client.get(sent.next_url + query)
        assert page.status_code == 302

    async def notices(self, collection: Collection) -> list[Notice]:
        return await self.delivered(collection.reference)

    async def delivered(self, reference: str, tampering: Tampering = Tampering.NOTHING, times: int = 1) -> list[Notice]:
        self.catcher.caught.clear()
        await self.simulator.deliver(reference, tampering=tampering, times=times)
        return list(self.catcher.caught)

    async def settle_refunds(self) -> None:
        self.simulator.settle()

    async def fault(self, fault: Fault) -> None:
        times = 2 if fault is Fault.KEY_REFUSED else 1  # a refused token is renewed once, and tried again
        self.tell(Call.CREATE, BEHAVIOUR[fault], times=times)

    def tell(self, call: Call, fault: Behaviour, **how: Any) -> None:
        """Say how the next requests of a kind go."""
        self.simulator.script(PayPalScript(call=call, fault=fault, **how))

    def unreachable(self) -> PayPalPaymentGateway:
        settings = paypal_settings("http://127.0.0.1:9", roots=[signer().authority.root])
        return PayPalPaymentGateway(self.client, settings, self.clock)

    def charges(self) -> int:
        return len(self.simulator.orders)

    def captures(self) -> int:
        """Return how often money was taken."""
        return sum(order.capture is not None for order in self.simulator.orders.values())

    def given_back(self) -> int:
        return self.simulator.given_back()

    def order(self, sent: Answer) -> Order:
        return self.simulator.orders[sent.references.checkout_id or ""]

    async def approved(self, number: int = 1, amount: Money | None = None) -> Answer:
        """Have an order made and approved; nothing is captured yet."""
        sent = await self.gateway.collect(self.collection(number=number, amount=amount))
        await self.act(sent)
        return sent


def paypal_settings(base_url: str, **how: Any) -> PayPalSettings:
    return PayPalSettings(
        **{
            "base_url": base_url,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "webhook_id": WEBHOOK_ID,
            "return_url": DEFAULT_RETURN_URL,
            "patience": Patience(total_timeout_s=5.0),
            **how,
        }
    )


@asynccontextmanager
async def paypal_bench(**how: Any) -> AsyncIterator[PayPalBench]:
    """Open the bench; `how` goes to the adapter's settings."""
    clock, catcher = FixedClock(), Catcher()
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(catcher.answer)) as callbacks,
        httpx.AsyncClient(trust_env=False, timeout=30.0) as client,
    ):
        simulator = PayPalSimulator(
            PayPalSimulatorSettings(
                client_id=CLIENT_ID,
                client_secret=CLIENT_SECRET,
                control_key=CONTROL_KEY,
                webhook_id=WEBHOOK_ID,
                callback_url=CALLBACK_URL,
            ),
            clock,
            callbacks,
            signer(),
        )
        async with PayPalSimulatorServer(simulator) as server:
            settings = paypal_settings(server.origin, **{"roots": [signer().authority.root], **how})
            bench = PayPalBench(simulator, PayPalPaymentGateway(client, settings, clock), clock, client)
            bench.catcher = catcher
            yield bench


async def at_once(*asked: Any) -> list[Any]:
    """Ask all of it at the same time."""
    return list(await asyncio.gather(*asked))
