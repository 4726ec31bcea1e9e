"""The simulated provider of cards without a port: its adapter speaks to it inside the process."""

import httpx

from application.core.kernel.ports import Clock
from infrastructure.simulator.cards import CardSimulator
from infrastructure.simulator.cards_app import CardSimulatorApp
from infrastructure.simulator.cards_gateway import SimulatedCardGateway, SimulatedCardSettings
from infrastructure.simulator.loopback import Reply
from interface.bootstrap.core.simulated_cards import SimulatedCards

KEY = "the simulator's key of a test"


class ToTheSimulator(httpx.AsyncBaseTransport):
    """Carries requests to the application, and loses the answers that it swallows."""

    def __init__(self, app: CardSimulatorApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        scope = {
            "method": request.method,
            "path": request.url.path,
            "query_string": request.url.query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
        }
        try:
            reply = await self._app.route(scope, await request.aread())
        except Reply as early:
            reply = early
        if reply.status == 0:
            raise httpx.ReadError("The connection was cut.")
        return httpx.Response(reply.status, headers=dict(reply.headers), content=reply.body)


def cards_in_process(clock: Clock) -> SimulatedCards:
    """Return the gateway, and the provider behind it."""
    simulator = CardSimulator(clock)
    client = httpx.AsyncClient(transport=ToTheSimulator(CardSimulatorApp(simulator, KEY)))
    settings = SimulatedCardSettings(base_url="http://cards.test/v1", secret_key=KEY)
    return SimulatedCards(SimulatedCardGateway(client, settings, clock), simulator)
