"""Daraja as a server has it: the real one where its keys are set, where it is chosen without them a simulated one."""

import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx

from application.core.kernel.ports import Clock
from application.core.payments.simulation import PaymentSimulator
from infrastructure.daraja.gateway import DarajaPaymentGateway, DarajaPayouts, DarajaSettings
from infrastructure.simulator.daraja import DarajaSimulator, DarajaSimulatorSettings, Kind
from infrastructure.simulator.daraja_server import DarajaSimulatorServer
from interface.bootstrap.core.simulator_port import listening
from interface.bootstrap.settings import Settings, SettingsRefused

DARAJA: Final = "daraja"
DARAJA_CALLBACK_PATH: Final = "/api/payments/daraja"
DARAJA_SCRIPTS: Final = frozenset(kind.value for kind in Kind)
"""What a script may name to be for this provider."""
SIMULATED_PAYER_TAKES: Final = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Daraja:
    """The gateway, and the provider behind it where that is ours."""

    gateway: DarajaPaymentGateway
    simulator: PaymentSimulator | None


async def open_daraja(
    settings: Settings, *, client: httpx.AsyncClient, clock: Clock, resources: AsyncExitStack
) -> Daraja | None:
    """Open it; it is closed with `resources`. Return None where this server has none. Raises SettingsRefused."""
    if settings.daraja_consumer_key:
        configured = _configured(settings)
        try:
            return Daraja(DarajaPaymentGateway(client, configured, clock), None)
        except ValueError as error:
            raise SettingsRefused(f"DARAJA_CERTIFICATE_PATH: {error}") from error
    if settings.mpesa_gateway != DARAJA:
        return None
    assert not settings.is_production, "the settings refuse the simulator in production"
    is_development = settings.environment == "development"
    made_up = DarajaSimulatorSettings(
        consumer_key=secrets.token_hex(16),
        consumer_secret=secrets.token_hex(16),
        passkey=secrets.token_hex(16),
        initiator_password=secrets.token_hex(16),
        control_key=secrets.token_hex(16),
        is_automatic=is_development,
        settles_after=SIMULATED_PAYER_TAKES if is_development else timedelta(0),
    )
    simulator = DarajaSimulator(made_up, clock, client)
    server = await listening(DarajaSimulatorServer(simulator, port=settings.simulator_port), settings, resources)
    daraja = DarajaSettings(
        base_url=server.origin,
        consumer_key=made_up.consumer_key,
        consumer_secret=made_up.consumer_secret,
        shortcode=made_up.shortcode,
        passkey=made_up.passkey,
        callback_url=settings.address + DARAJA_CALLBACK_PATH,
        callback_secret=settings.simulated_secret("daraja"),
        payouts=DarajaPayouts(
            initiator=made_up.initiator, password=made_up.initiator_password, certificate=simulator.certificate()
        ),
    )
    return Daraja(DarajaPaymentGateway(client, daraja, clock), simulator)


def _configured(settings: Settings) -> DarajaSettings:
    payouts = None
    if settings.daraja_initiator_name:
        payouts = DarajaPayouts(
            initiator=settings.daraja_initiator_name,
            password=settings.daraja_initiator_password,
            certificate=Path(settings.daraja_certificate_path).read_bytes(),
            shortcode=settings.daraja_payout_shortcode or None,
        )
    return DarajaSettings(
        base_url=settings.daraja_base_url,
        consumer_key=settings.daraja_consumer_key,
        consumer_secret=settings.daraja_consumer_secret,
        shortcode=settings.daraja_shortcode,
        till=settings.daraja_till or None,
        passkey=settings.daraja_passkey,
        callback_url=settings.address + DARAJA_CALLBACK_PATH,
        callback_secret=settings.daraja_callback_secret,
        previous_callback_secret=settings.daraja_previous_callback_secret or None,
        payouts=payouts,
        sources=frozenset(settings.daraja_sources),
        is_live=settings.is_production,
    )
