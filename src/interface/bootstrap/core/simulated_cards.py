"""Open the simulated provider of cards, Payme and Click, on a port of its own."""

import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx

from application.core.kernel.ports import Clock
from infrastructure.simulator.cards import METHODS, REFUND, CardSimulator
from infrastructure.simulator.cards_app import CardSimulatorApp
from infrastructure.simulator.cards_gateway import SimulatedCardGateway, SimulatedCardSettings
from infrastructure.simulator.loopback import LoopbackServer

CARD_METHODS = METHODS
CARD_SCRIPTS = METHODS | {REFUND}
"""What a script may name to be for this provider."""


@dataclass(frozen=True, slots=True)
class SimulatedCards:
    """The gateway, and the provider behind it."""

    gateway: SimulatedCardGateway
    simulator: CardSimulator


async def open_cards(*, client: httpx.AsyncClient, clock: Clock, resources: AsyncExitStack) -> SimulatedCards:
    """Open it; it is closed with `resources`."""
    secret_key, simulator = secrets.token_hex(16), CardSimulator(clock)
    server = await resources.enter_async_context(LoopbackServer(CardSimulatorApp(simulator, secret_key).route))
    settings = SimulatedCardSettings(base_url=f"{server.origin}/v1", secret_key=secret_key)
    return SimulatedCards(SimulatedCardGateway(client, settings, clock), simulator)
