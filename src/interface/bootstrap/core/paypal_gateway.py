"""PayPal as a server has it: the real one where its keys are set, in development the simulator that speaks like it."""

import secrets
from contextlib import AsyncExitStack

import httpx

from application.core.kernel.ports import Clock
from infrastructure.paypal.gateway import PayPalPaymentGateway, PayPalSettings
from infrastructure.simulator.paypal import PayPalSimulator, PayPalSimulatorSettings
from infrastructure.simulator.paypal_server import PayPalSimulatorServer
from interface.bootstrap.settings import Settings

PAYPAL_CALLBACK_PATH = "/api/payments/paypal/callback"


async def open_paypal(
    settings: Settings, *, client: httpx.AsyncClient, clock: Clock, resources: AsyncExitStack
) -> PayPalPaymentGateway | None:
    """Open the gateway, and the simulator where one is used; return None where this server has neither."""
    if settings.paypal_client_id:
        paypal = PayPalSettings(
            base_url=settings.paypal_base_url,
            client_id=settings.paypal_client_id,
            client_secret=settings.paypal_client_secret,
            webhook_id=settings.paypal_webhook_id,
            return_url=settings.front_end_address,
            is_live=settings.is_production,
        )
        return PayPalPaymentGateway(client, paypal, clock)
    if settings.environment != "development":
        return None
    simulator = PayPalSimulator(
        PayPalSimulatorSettings(
            client_id="soko",
            client_secret=secrets.token_hex(16),
            control_key=secrets.token_hex(16),
            webhook_id="SOKO",
            callback_url=settings.address + PAYPAL_CALLBACK_PATH,
            is_automatic=True,
            first_number=int(clock.now().timestamp() * 1000),  # the database may remember an earlier simulator's ids
        ),
        clock,
        client,
    )
    server = await resources.enter_async_context(PayPalSimulatorServer(simulator))
    paypal = PayPalSettings(
        base_url=server.origin,
        client_id=simulator.settings.client_id,
        client_secret=simulator.settings.client_secret,
        webhook_id=simulator.settings.webhook_id,
        return_url=settings.front_end_address,
        roots=[simulator.signer.authority.root],
    )
    return PayPalPaymentGateway(client, paypal, clock)
