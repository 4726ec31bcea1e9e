"""The real adapter, the simulated Daraja behind real HTTP, and a catcher for its callbacks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

import httpx

from domain.core.kernel.money import Money
from domain.core.payments.gateway import Answer, Collection, Payout
from infrastructure.daraja.gateway import DarajaPaymentGateway, DarajaPayouts, DarajaSettings
from infrastructure.simulator.daraja import DarajaSimulator, DarajaSimulatorSettings, Fate, Kind, new_key
from infrastructure.simulator.daraja_server import DarajaSimulatorServer
from tests.contract.core.payment_gateway import Fault, Notice, Payer
from tests.fakes.core.system import FixedClock

CALLBACK_URL = "http://soko.test/api/payments/daraja"
CALLBACK_SECRET = "daraja_callback_secret_0123456789"
EARLIER_SECRET = "daraja_callback_secret_of_last_year"
CONTROL_KEY = "control key of a test"
PASSKEY = "test_passkey_for_vectors_only"
NOBODY = "http://127.0.0.1:9"
"""The port of nobody: a connection to it is refused."""

PHONE_BY_PAYER = {
    Payer.PAYS: "+25471200{:04d}",
    Payer.REFUSES: "+25471300{:04d}",
    Payer.DOES_NOTHING: "+25471400{:04d}",
}
FATE_BY_FAULT = {
    Fault.ANSWER_LOST: Fate.ANSWER_LOST,
    Fault.WEB_PAGE: Fate.HTML_PAGE,
    Fault.CUT_SHORT: Fate.TRUNCATED_JSON,
    Fault.WRONG_SHAPE: Fate.WRONG_SHAPE,
    Fault.SERVER_ERROR: Fate.SERVER_ERROR,
    Fault.TOO_OFTEN: Fate.TOO_MANY_REQUESTS,
    Fault.KEY_REFUSED: Fate.NOT_AUTHORISED,
}


key_of_tests = cache(new_key)
"""Making one takes longer than most tests."""


class Catcher:
    """Stands where our API would be and keeps what is posted to it."""

    def __init__(self) -> None:
        self.caught: list[Notice] = []
        self.status = 200
        self.server: httpx.AsyncClient | None = None
        """The API itself, where a test has one: it gets every callback, and its answer goes back."""

    async def answer(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        path = str(request.url).removeprefix(f"{CALLBACK_URL}/")
        self.caught.append(Notice(request.content, dict(request.headers), path))
        if self.server is not None:
            reply = await self.server.post(request.url.path, content=request.content, headers=request.headers)
            return httpx.Response(reply.status_code, content=reply.content)
        return httpx.Response(self.status, json={"ResultCode": 0, "ResultDesc": "Accepted"})


class DarajaBench:
    """Everything one test needs; `gateway` speaks to `simulator` over loopback."""

    pays_at_once = False
    sends_notices = True
    faults = frozenset(FATE_BY_FAULT)

    def __init__(
        self, simulator: DarajaSimulator, client: httpx.AsyncClient, settings: DarajaSettings, clock: FixedClock
    ) -> None:
        self.simulator = simulator
        self.client = client
        self.settings = settings
        self.clock = clock
        self.gateway = DarajaPaymentGateway(client, settings, clock)
        self.catcher = Catcher()
        simulator.tell(Fate.INSUFFICIENT_FUNDS, phone="+254713000001")
        simulator.tell(Fate.NO_ANSWER, phone="+254714000001")
        simulator.tell(Fate.NO_ANSWER, phone="+254714000004")

    def collection(self, payer: Payer = Payer.PAYS, number: int = 1) -> Collection:
        return Collection(
            attempt_id=UUID(int=number),
            reference=f"SKTEST{number:06d}",
            amount=Money((500 + number) * 100),
            description="Wallet top-up of a person",
            phone=PHONE_BY_PAYER[payer].format(number),
            idempotency_key=f"attempt:{number}",
        )

    def payout(self, number: int = 1, phone: str = "+254712345678") -> Payout:
        return Payout(
            payout_id=UUID(int=2000 + number), amount=Money(700_00), phone=phone, idempotency_key=f"payout:{number}"
        )

    async def act(self, sent: Answer) -> None:
        """Do nothing: the phone's number says what its owner does."""

    async def told(self, reference: str) -> list[Notice]:
        """Have the provider send what is due of this payment or payout and return what arrived."""
        self.catcher.caught.clear()
        await self.simulator.deliver(reference)
        return list(self.catcher.caught)

    async def notices(self, collection: Collection) -> list[Notice]:
        return await self.told(collection.reference)

    async def settle_refunds(self) -> None:
        """Do nothing: there are none."""

    async def fault(self, fault: Fault) -> None:
        times = 2 if fault is Fault.KEY_REFUSED else 1  # a refused token is renewed once
        self.simulator.tell(FATE_BY_FAULT[fault], times=times, delay_s=30)

    def unreachable(self) -> DarajaPaymentGateway:
        return DarajaPaymentGateway(self.client, replace(self.settings, base_url=NOBODY), self.clock)

    def charges(self) -> int:
        return sum(movement.kind is Kind.PROMPT for movement in self.simulator.movements)

    def payouts(self) -> int:
        return sum(movement.kind is Kind.PAYOUT for movement in self.simulator.movements)

    def given_back(self) -> int:
        return 0


@asynccontextmanager
async def daraja_bench(
    settings: dict[str, Any] | None = None, simulator_settings: dict[str, Any] | None = None
) -> AsyncIterator[DarajaBench]:
    clock, catcher = FixedClock(), Catcher()
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(catcher.answer)) as callbacks,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        given: dict[str, Any] = {
            "consumer_key": "ck_test",
            "consumer_secret": "cs_test",
            "passkey": PASSKEY,
            "initiator_password": "Safaricom999!*!",
            "control_key": CONTROL_KEY,
            "token_life": timedelta(seconds=3599 + 1),
        }
        simulator = DarajaSimulator(
            DarajaSimulatorSettings(**given | (simulator_settings or {})), clock, callbacks, key_of_tests()
        )
        async with DarajaSimulatorServer(simulator) as server:
            wanted: dict[str, Any] = {
                "base_url": server.origin,
                "consumer_key": "ck_test",
                "consumer_secret": "cs_test",
                "shortcode": "174379",
                "passkey": PASSKEY,
                "callback_url": CALLBACK_URL,
                "callback_secret": CALLBACK_SECRET,
                "previous_callback_secret": EARLIER_SECRET,
                "payouts": DarajaPayouts(
                    initiator="testapi", password="Safaricom999!*!", certificate=simulator.certificate()
                ),
            }
            bench = DarajaBench(simulator, client, DarajaSettings(**wanted | (settings or {})), clock)
            bench.catcher = catcher
            yield bench
