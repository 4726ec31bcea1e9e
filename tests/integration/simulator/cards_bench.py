"""The adapter of the simulated cards, and the provider behind real HTTP on loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx

from application.core.payments.gateway import PaymentGateway
from application.core.payments.simulation import Script, ScriptMatch, SimulatedOutcome
from domain.core.kernel.money import Money
from domain.core.payments.gateway import Answer, Card, Collection, key_of_attempt
from infrastructure.simulator.cards import CardSimulator
from infrastructure.simulator.cards_app import CardSimulatorApp
from infrastructure.simulator.cards_gateway import SimulatedCardGateway, SimulatedCardSettings
from infrastructure.simulator.loopback import LoopbackServer
from tests.contract.core.payment_gateway import Fault, Notice, Payer
from tests.fakes.core.system import FixedClock

KEY = "the simulator's key of a test"
GOOD, DECLINED = "4242424242424242", "4000000000000002"

OUTCOME_BY_FAULT = {
    Fault.ANSWER_LOST: SimulatedOutcome.ANSWER_LOST,
    Fault.WEB_PAGE: SimulatedOutcome.HTML_PAGE,
    Fault.CUT_SHORT: SimulatedOutcome.TRUNCATED_JSON,
    Fault.WRONG_SHAPE: SimulatedOutcome.WRONG_SHAPE,
    Fault.SERVER_ERROR: SimulatedOutcome.SERVER_ERROR,
    Fault.TOO_OFTEN: SimulatedOutcome.TOO_MANY_REQUESTS,
    Fault.KEY_REFUSED: SimulatedOutcome.NOT_AUTHORISED,
}


def a_card(number: str = GOOD) -> Card:
    return Card(number=number, expiry="12/29", cvv="123", holder="Ada Achieng")


def a_collection(number: int = 1, **changed: Any) -> Collection:
    attempt_id = UUID(int=number)
    fields: dict[str, Any] = {
        "attempt_id": attempt_id,
        "reference": f"SKTEST{number:06}",
        "amount": Money(5000_00),
        "description": "Order",
        "method": "card",
        "card": a_card(),
        "idempotency_key": key_of_attempt(attempt_id),
    }
    return Collection(**fields | changed)


class CardBench:
    """Everything one test needs; `gateway` speaks to `simulator` over loopback."""

    pays_at_once = True
    sends_notices = False
    faults = frozenset(OUTCOME_BY_FAULT)

    def __init__(self, client: httpx.AsyncClient, simulator: CardSimulator, clock: FixedClock, base_url: str) -> None:
        self._client = client
        self.simulator = simulator
        self.clock = clock
        self.gateway = self.gateway_at(base_url)

    def gateway_at(self, base_url: str) -> SimulatedCardGateway:
        return SimulatedCardGateway(self._client, SimulatedCardSettings(base_url=base_url, secret_key=KEY), self.clock)

    def collection(self, payer: Payer = Payer.PAYS, number: int = 1) -> Collection:
        return a_collection(number, card=a_card(GOOD if payer is Payer.PAYS else DECLINED))

    async def act(self, sent: Answer) -> None:
        return None

    async def notices(self, collection: Collection) -> list[Notice]:
        assert await self.simulator.deliver(collection.reference) == 0
        return []

    async def settle_refunds(self) -> None:
        return None

    async def fault(self, fault: Fault) -> None:
        await self.script(OUTCOME_BY_FAULT[fault], times=1)

    async def script(self, outcome: SimulatedOutcome, method: str | None = None, **how: Any) -> None:
        purpose = how.pop("purpose", None)
        await self.simulator.script(Script(match=ScriptMatch(method=method, purpose=purpose), outcome=outcome, **how))

    def unreachable(self) -> PaymentGateway:
        return self.gateway_at("http://127.0.0.1:9/v1")

    def charges(self) -> int:
        return len(self.simulator.charges())

    def given_back(self) -> int:
        return self.simulator.given_back()


@asynccontextmanager
async def card_bench() -> AsyncIterator[CardBench]:
    clock = FixedClock()
    simulator = CardSimulator(clock)
    async with (
        httpx.AsyncClient(trust_env=False) as client,
        LoopbackServer(CardSimulatorApp(simulator, KEY).route) as server,
    ):
        yield CardBench(client, simulator, clock, f"{server.origin}/v1")
