"""Which payment gateways a server has: Lipana where it is configured, else the simulator that speaks like it."""

import secrets
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

import httpx

from application.core.kernel.ports import Clock
from application.core.payments.gateway import PaymentGateway
from application.core.payments.ports import GatewayNotBound, MethodUnavailable
from application.core.payments.simulation import PaymentSimulator
from infrastructure.lipana.gateway import LipanaPaymentGateway, LipanaSettings
from infrastructure.simulator.lipana import LipanaSimulator, SimulatorSettings
from infrastructure.simulator.server import LipanaSimulatorServer
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
            raise MethodUnavailable
        return found

    def by_name(self, name: str) -> PaymentGateway:
        """Return a gateway by its name. Raises GatewayNotBound."""
        found = next((one for one in self.bound if one.name == name), None)
        if found is None:
            raise GatewayNotBound
        return found


async def open_gateways(
    settings: Settings, *, clock: Clock, resources: AsyncExitStack
) -> tuple[BoundGateways, PaymentSimulator | None]:
    """Open the gateways, and the simulator where one is used; both are closed with `resources`."""
    client = await resources.enter_async_context(httpx.AsyncClient())
    if settings.lipana_base_url:
        lipana = LipanaSettings(
            base_url=settings.lipana_base_url.rstrip("/"),
            api_key=settings.lipana_api_key,
            callback_secret=settings.lipana_callback_secret,
            previous_callback_secret=settings.lipana_previous_callback_secret or None,
            is_live=settings.is_production,
            can_pay_out=settings.lipana_payouts,
        )
        return BoundGateways({"mpesa": LipanaPaymentGateway(client, lipana, clock)}), None
    assert not settings.is_production, "the settings refuse the simulator in production"
    api_key = f"lip_sk_test_{secrets.token_hex(16)}"
    secret = settings.lipana_callback_secret or secrets.token_hex(32)
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
    server = await resources.enter_async_context(LipanaSimulatorServer(simulator, port=settings.simulator_port))
    lipana = LipanaSettings(
        base_url=server.base_url, api_key=api_key, callback_secret=secret, can_pay_out=settings.lipana_payouts
    )
    return BoundGateways({"mpesa": LipanaPaymentGateway(client, lipana, clock)}), simulator
