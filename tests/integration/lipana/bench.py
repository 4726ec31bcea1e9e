"""The real adapter, the simulated provider behind real HTTP, and a catcher for its callbacks."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx

from application.core.payments.simulation import NothingToDeliver, Script, ScriptMatch, SimulatedOutcome
from domain.core.payments.gateway import Answer, Collection
from infrastructure.lipana.gateway import LipanaPaymentGateway, LipanaSettings
from infrastructure.simulator.lipana import LipanaSimulator, SimulatorSettings
from infrastructure.simulator.server import LipanaSimulatorServer
from tests.contract.core.payment_gateway import RETRY_AFTER_S, Fault, Notice, Payer
from tests.contract.core.test_payment_gateway import collection_of
from tests.fakes.core.system import FixedClock

API_KEY = "lip_sk_test_0123456789"
SECRET = "lipana_test_secret_0123456789abcdef"
EARLIER_SECRET = "lipana_test_secret_of_last_year"
CONTROL_KEY = "control key of a test"
CALLBACK_URL = "http://soko.test/api/payments/lipana/callback"


OUTCOME_OF = {
    Fault.ANSWER_LOST: SimulatedOutcome.ANSWER_LOST,
    Fault.WEB_PAGE: SimulatedOutcome.HTML_PAGE,
    Fault.CUT_SHORT: SimulatedOutcome.TRUNCATED_JSON,
    Fault.WRONG_SHAPE: SimulatedOutcome.WRONG_SHAPE,
    Fault.SERVER_ERROR: SimulatedOutcome.SERVER_ERROR,
    Fault.TOO_OFTEN: SimulatedOutcome.TOO_MANY_REQUESTS,
    Fault.KEY_REFUSED: SimulatedOutcome.NOT_AUTHORISED,
}


class Catcher:
    """Stands where our API would be and keeps what is posted to it."""

    def __init__(self) -> None:
        self.caught: list[httpx.Request] = []
        self.came = asyncio.Event()
        self.status = 200
        self.server: httpx.AsyncClient | None = None
        """The API itself, where a test has one: it gets every callback, and its answer goes back."""

    async def answer(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.caught.append(request)
        self.came.set()
        if self.server is not None:
            reply = await self.server.post(request.url.path, content=request.content, headers=request.headers)
            return httpx.Response(reply.status_code, content=reply.content)
        return httpx.Response(self.status, json={"detail": "processed"})


class LipanaBench:
    """Everything one test needs; `gateway` speaks to `simulator` over loopback."""

    pays_at_once = False
    sends_notices = True
    faults = frozenset(Fault)

    def __init__(self, simulator: LipanaSimulator, gateway: LipanaPaymentGateway, clock: FixedClock) -> None:
        self.simulator = simulator
        self.gateway = gateway
        self.clock = clock
        self.catcher = Catcher()
        self.base_url = ""
        self.control_url = ""
        self.client: httpx.AsyncClient

    async def script(self, phone: str, outcome: SimulatedOutcome) -> None:
        await self.tell(outcome, phone=phone)

    async def tell(self, outcome: SimulatedOutcome, **how: Any) -> None:
        """Script the provider; `phone`, `method`, `purpose` say for what, the rest goes to the script."""
        match = ScriptMatch(**{name: how.pop(name) for name in ("phone", "method", "purpose") if name in how})
        await self.simulator.script(Script(match=match, outcome=outcome, **how))

    async def callbacks(self, reference: str) -> list[tuple[bytes, dict[str, str]]]:
        self.catcher.caught.clear()
        await self.simulator.deliver(reference)
        return [(request.content, dict(request.headers)) for request in self.catcher.caught]

    def collection(self, payer: Payer = Payer.PAYS, number: int = 1) -> Collection:
        return collection_of(payer, number)

    async def act(self, sent: Answer) -> None:
        """Nothing: the simulated phone decides by itself."""

    async def notices(self, collection: Collection) -> list[Notice]:
        try:
            return [Notice(body, headers) for body, headers in await self.callbacks(collection.reference)]
        except NothingToDeliver:
            return []

    async def settle_refunds(self) -> None:
        """Nothing: Lipana gives nothing back."""

    async def fault(self, fault: Fault) -> None:
        how = {"delay_s": RETRY_AFTER_S} if fault is Fault.TOO_OFTEN else {}
        await self.tell(OUTCOME_OF[fault], times=1, **how)

    def unreachable(self) -> LipanaPaymentGateway:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]  # free again after this line, and nobody listens there
        settings = LipanaSettings(base_url=f"http://127.0.0.1:{port}/v1", api_key=API_KEY, callback_secret=SECRET)
        return LipanaPaymentGateway(self.client, settings, self.clock)

    def charges(self) -> int:
        return sum(movement.kind == "stk_push" for movement in self.simulator.books())

    def given_back(self) -> int:
        return 0


@asynccontextmanager
async def lipana_bench(
    settings: dict[str, Any] | None = None, simulator_settings: dict[str, Any] | None = None
) -> AsyncIterator[LipanaBench]:
    clock, catcher = FixedClock(), Catcher()
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(catcher.answer)) as callbacks,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        simulator = LipanaSimulator(
            SimulatorSettings(
                **{
                    "api_key": API_KEY,
                    "webhook_secret": SECRET,
                    "previous_webhook_secret": EARLIER_SECRET,
                    "control_key": CONTROL_KEY,
                    "callback_url": CALLBACK_URL,
                    **(simulator_settings or {}),
                }
            ),
            clock,
            callbacks,
        )
        async with LipanaSimulatorServer(simulator) as server:
            lipana = LipanaSettings(
                **{
                    "base_url": server.base_url,
                    "api_key": API_KEY,
                    "callback_secret": SECRET,
                    "previous_callback_secret": EARLIER_SECRET,
                    "previous_callback_secret_until": clock.now() + timedelta(hours=1),
                    "can_pay_out": True,
                    **(settings or {}),
                }
            )
            bench = LipanaBench(simulator, LipanaPaymentGateway(client, lipana, clock), clock)
            bench.catcher, bench.base_url, bench.control_url = catcher, server.base_url, server.control_url
            bench.client = client
            yield bench
