"""Which payment gateways a server has: those that are configured, and simulators that speak like the others."""

import secrets
import ssl
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import httpx

from application.core.kernel.ports import Clock
from application.core.payments.gateway import PaymentGateway
from application.core.payments.ports import GatewayNotBound, MethodUnavailable
from application.core.payments.simulation import PaymentSimulator
from infrastructure.lipana.gateway import LipanaPaymentGateway, LipanaSettings
from infrastructure.simulator.lipana import METHODS as LIPANA_SCRIPTS
from infrastructure.simulator.lipana import LipanaSimulator, SimulatorSettings
from infrastructure.simulator.providers import SimulatedProviders
from infrastructure.simulator.server import LipanaSimulatorServer
from interface.bootstrap.core.daraja_gateway import DARAJA, DARAJA_SCRIPTS, open_daraja
from interface.bootstrap.core.paypal_gateway import open_paypal
from interface.bootstrap.core.simulated_cards import CARD_METHODS, CARD_SCRIPTS, open_cards
from interface.bootstrap.core.simulator_port import listening
from interface.bootstrap.core.stripe_gateway import open_stripe
from interface.bootstrap.settings import Settings

LIPANA_CALLBACK_PATH = "/api/payments/lipana/callback"
SIMULATED_PAYER_TAKES = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class BoundGateways:
    """Which gateway serves which method of payment."""

    by_method: Mapping[str, PaymentGateway]
    outgoing: tuple[PaymentGateway, ...] = ()
    """Those that take no new payments, and still finish the ones they began."""

    @property
    def bound(self) -> Sequence[PaymentGateway]:
        """Every gateway of this server, once."""
        return tuple({one.name: one for one in (*self.by_method.values(), *self.outgoing)}.values())

    def gateway_for(self, method: str) -> PaymentGateway:
        """Return the gateway that a method of payment uses. Raises MethodUnavailable."""
        found = self.by_method.get(method)
        if found is None:
            known = ", ".join(sorted(self.by_method))
            raise MethodUnavailable(f"This way to pay is not available; beside wallets there are {known}.")
        return found

    def by_name(self, name: str) -> PaymentGateway:
        """Return a gateway by its name. Raises GatewayNotBound."""
        found = next((one for one in self.bound if one.name == name), None)
        if found is None:
            raise GatewayNotBound
        return found


@cache
def _certificates() -> ssl.SSLContext:
    """Whom this process believes; read once, for reading them takes longer than the rest of opening a gateway."""
    return httpx.create_ssl_context()


async def open_gateways(
    settings: Settings, *, clock: Clock, resources: AsyncExitStack
) -> tuple[BoundGateways, PaymentSimulator | None]:
    """Open the gateways, and what directs those that are simulated; all are closed with `resources`.

    Raises SettingsRefused.
    """
    client = await resources.enter_async_context(httpx.AsyncClient(verify=_certificates()))
    simulated: dict[str, PaymentSimulator] = {}
    daraja = await open_daraja(settings, client=client, clock=clock, resources=resources)
    by_method: dict[str, PaymentGateway] = {}
    outgoing: list[PaymentGateway] = []
    if daraja is not None and settings.mpesa_gateway == DARAJA:
        by_method["mpesa"] = daraja.gateway
        if daraja.simulator is not None:
            simulated |= dict.fromkeys(DARAJA_SCRIPTS, daraja.simulator)
        if settings.lipana_base_url:
            outgoing.append((await _open_lipana(settings, client=client, clock=clock, resources=resources))[0])
    else:
        by_method["mpesa"], simulator = await _open_lipana(settings, client=client, clock=clock, resources=resources)
        if simulator is not None:
            simulated |= dict.fromkeys(LIPANA_SCRIPTS, simulator)
        if daraja is not None:
            outgoing.append(daraja.gateway)
    if settings.simulates_cards:
        cards = await open_cards(client=client, clock=clock, resources=resources)
        by_method |= dict.fromkeys(CARD_METHODS, cards.gateway)
        simulated |= dict.fromkeys(CARD_SCRIPTS, cards.simulator)
    paypal = await open_paypal(settings, client=client, clock=clock, resources=resources)
    if paypal is not None:
        by_method["paypal"] = paypal
    stripe = await open_stripe(settings, client=client, clock=clock, resources=resources)
    if stripe is not None:
        by_method["stripe"] = stripe
    return BoundGateways(by_method, tuple(outgoing)), SimulatedProviders(simulated) if simulated else None


async def _open_lipana(
    settings: Settings, *, client: httpx.AsyncClient, clock: Clock, resources: AsyncExitStack
) -> tuple[LipanaPaymentGateway, PaymentSimulator | None]:
    """Open Lipana, or the simulator in its place."""
    if settings.lipana_base_url:
        lipana = LipanaSettings(
            base_url=settings.lipana_base_url.rstrip("/"),
            api_key=settings.lipana_api_key,
            callback_secret=settings.lipana_callback_secret,
            previous_callback_secret=settings.lipana_previous_callback_secret or None,
            is_live=settings.is_production,
            can_pay_out=settings.lipana_payouts,
        )
        return LipanaPaymentGateway(client, lipana, clock), None
    assert not settings.is_production, "the settings refuse the simulator in production"
    api_key = f"lip_sk_test_{secrets.token_hex(16)}"
    secret = settings.lipana_callback_secret or settings.simulated_secret("lipana")
    simulator = LipanaSimulator(
        SimulatorSettings(
            api_key=api_key,
            webhook_secret=secret,
            control_key=secrets.token_hex(16),
            callback_url=settings.address + LIPANA_CALLBACK_PATH,
            is_automatic=settings.environment == "development",
            settles_after=SIMULATED_PAYER_TAKES if settings.environment == "development" else timedelta(0),
            first_number=int(clock.now().timestamp() * 1000),  # the database may remember an earlier simulator's ids
        ),
        clock,
        client,
    )
    server = await listening(LipanaSimulatorServer(simulator, port=settings.simulator_port), settings, resources)
    lipana = LipanaSettings(
        base_url=server.base_url, api_key=api_key, callback_secret=secret, can_pay_out=settings.lipana_payouts
    )
    return LipanaPaymentGateway(client, lipana, clock), simulator
