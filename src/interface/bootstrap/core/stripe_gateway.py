"""Stripe as a server has it: the real one where its keys are set, in development the simulator that speaks like it."""

import secrets
from contextlib import AsyncExitStack

import httpx

from application.core.kernel.ports import Clock
from infrastructure.simulator.stripe import StripeSimulator, StripeSimulatorSettings
from infrastructure.simulator.stripe_app import StripeSimulatorServer
from infrastructure.stripe.gateway import StripePaymentGateway, StripeSettings
from interface.bootstrap.settings import Settings

STRIPE_CALLBACK_PATH = "/api/payments/stripe/callback"


async def open_stripe(
    settings: Settings, *, client: httpx.AsyncClient, clock: Clock, resources: AsyncExitStack
) -> StripePaymentGateway | None:
    """Open the gateway, and the simulator where one is used; return None where this server has neither."""
    if settings.stripe_secret_key:
        stripe = StripeSettings(
            base_url=settings.stripe_base_url,
            secret_key=settings.stripe_secret_key,
            webhook_secret=settings.stripe_webhook_secret,
            previous_webhook_secret=settings.stripe_previous_webhook_secret or None,
            return_url=settings.front_end_address,
            is_live=settings.is_production,
        )
        return StripePaymentGateway(client, stripe, clock)
    if settings.environment != "development":
        return None
    simulator = StripeSimulator(
        StripeSimulatorSettings(
            secret_key=f"sk_test_{secrets.token_hex(16)}",
            webhook_secret=f"whsec_{settings.simulated_secret('stripe')}",
            control_key=secrets.token_hex(16),
            callback_url=settings.address + STRIPE_CALLBACK_PATH,
            is_automatic=True,
            first_number=int(clock.now().timestamp() * 1000),  # the database may remember an earlier simulator's ids
        ),
        clock,
        client,
    )
    server = await resources.enter_async_context(StripeSimulatorServer(simulator))
    stripe = StripeSettings(
        base_url=server.base_url,
        secret_key=simulator.settings.secret_key,
        webhook_secret=simulator.settings.webhook_secret,
        return_url=settings.front_end_address,
    )
    return StripePaymentGateway(client, stripe, clock)
