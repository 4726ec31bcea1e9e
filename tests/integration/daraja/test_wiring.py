"""Which gateway serves M-Pesa: Daraja where it is chosen, and the other one finishes what it began."""

from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from application.core.payments.gateway import SignatureInvalid
from application.core.payments.simulation import PaymentSimulator, Script, ScriptMatch, SimulatedOutcome
from domain.core.payments.gateway import Outcome
from infrastructure.daraja.gateway import DarajaPaymentGateway
from infrastructure.lipana import callback
from infrastructure.simulator.daraja import DarajaSimulator
from interface.bootstrap.core.daraja_gateway import open_daraja
from interface.bootstrap.core.payment_gateways import BoundGateways, open_gateways
from interface.bootstrap.settings import Settings, SettingsRefused, read_settings
from tests.fakes.core.system import FixedClock
from tests.integration.daraja.bench import daraja_bench
from tests.integration.paypal.test_wiring import PRODUCTION

KEYS = {
    "DARAJA_CONSUMER_KEY": "a key",
    "DARAJA_CONSUMER_SECRET": "a secret",
    "DARAJA_SHORTCODE": "174379",
    "DARAJA_PASSKEY": "a passkey",
    "DARAJA_CALLBACK_SECRET": "s" * 32,
}
LIPANA = {"LIPANA_BASE_URL": "http://127.0.0.1:9/v1", "LIPANA_API_KEY": "k", "LIPANA_CALLBACK_SECRET": "s" * 16}
TEST = {"SOKO_ENVIRONMENT": "test", "SOKO_SIMULATED_CARDS": "no"}
LIVE = PRODUCTION | KEYS | {"DARAJA_BASE_URL": "https://api.safaricom.co.ke"}
WITHOUT_LIPANA = {name: text for name, text in LIVE.items() if not name.startswith("LIPANA")}


async def opened(
    environment: dict[str, str], resources: AsyncExitStack
) -> tuple[BoundGateways, PaymentSimulator | None]:
    return await open_gateways(read_settings(environment), clock=FixedClock(), resources=resources)


@pytest.mark.parametrize(
    ("environment", "serves", "others"),
    [
        (TEST | KEYS | LIPANA | {"SOKO_MPESA_GATEWAY": "daraja"}, "daraja", {"lipana"}),
        (TEST | KEYS | {"SOKO_MPESA_GATEWAY": "daraja"}, "daraja", set()),
        (TEST | {"SOKO_MPESA_GATEWAY": "daraja"}, "daraja", set()),
        (TEST | KEYS | LIPANA, "lipana", {"daraja"}),
        (TEST | KEYS | LIPANA | {"SOKO_MPESA_GATEWAY": "lipana"}, "lipana", {"daraja"}),
        (TEST | LIPANA, "lipana", set()),
        (WITHOUT_LIPANA | {"SOKO_MPESA_GATEWAY": "daraja"}, "daraja", set()),
    ],
)
async def test_one_serves_mpesa_and_the_other_stays_bound(
    environment: dict[str, str], serves: str, others: set[str]
) -> None:
    async with AsyncExitStack() as resources:
        gateways, _ = await opened(environment, resources)
        assert gateways.gateway_for("mpesa").name == serves
        assert {one.name for one in gateways.bound if one.name in {"lipana", "daraja"}} == {serves, *others}


async def test_where_it_is_chosen_without_keys_it_is_simulated_and_directed_as_the_others_are() -> None:
    async with AsyncExitStack() as resources, daraja_bench() as bench:
        gateways, simulator = await opened(TEST | {"SOKO_MPESA_GATEWAY": "daraja"}, resources)
        assert simulator is not None
        script = Script(match=ScriptMatch(phone="0712000001"), outcome=SimulatedOutcome.CANCELLED)
        await simulator.script(script)
        gateway = gateways.gateway_for("mpesa")
        sent = await gateway.collect(bench.collection())
        assert (await gateway.query(sent.references)).outcome is Outcome.CANCELLED
        assert gateway.capabilities.can_pay_out
        assert (await gateway.pay_out(bench.payout())).outcome is Outcome.PENDING


async def test_in_development_its_payer_takes_two_seconds() -> None:
    settings = Settings(environment="development", mpesa_gateway="daraja", public_url="http://127.0.0.1:9")
    async with AsyncExitStack() as resources, httpx.AsyncClient() as client:
        daraja = await open_daraja(settings, client=client, clock=FixedClock(), resources=resources)
        assert daraja is not None
        assert isinstance(daraja.simulator, DarajaSimulator)
        assert (daraja.simulator.settings.is_automatic, daraja.simulator.settings.settles_after) == (
            True,
            timedelta(seconds=2),
        )


async def test_payouts_need_an_initiator_and_a_certificate_that_can_be_read(tmp_path: Path) -> None:
    certificate = tmp_path / "safaricom.cer"
    initiator = {
        "DARAJA_INITIATOR_NAME": "api",
        "DARAJA_INITIATOR_PASSWORD": "p",
        "DARAJA_CERTIFICATE_PATH": str(certificate),
    }
    async with AsyncExitStack() as resources, httpx.AsyncClient() as client, daraja_bench() as bench:

        async def gateway(environment: dict[str, str]) -> DarajaPaymentGateway:
            settings = read_settings(TEST | KEYS | environment)
            daraja = await open_daraja(settings, client=client, clock=FixedClock(), resources=resources)
            assert daraja is not None
            return daraja.gateway

        certificate.write_bytes(bench.simulator.certificate())
        assert (await gateway(initiator)).capabilities.can_pay_out
        assert not (await gateway({})).capabilities.can_pay_out
        certificate.write_text("nonsense")
        with pytest.raises(SettingsRefused, match="DARAJA_CERTIFICATE_PATH"):
            await gateway(initiator)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        (TEST | {"SOKO_MPESA_GATEWAY": "paypal"}, "SOKO_MPESA_GATEWAY"),
        (TEST | {"DARAJA_CONSUMER_KEY": "a key"}, ", ".join(KEYS)),
        (TEST | KEYS | {"DARAJA_PASSKEY": ""}, ", ".join(KEYS)),
        (TEST | KEYS | {"DARAJA_BASE_URL": "https://api.safaricom.co.ke"}, "DARAJA_BASE_URL"),
        (PRODUCTION | KEYS, "DARAJA_BASE_URL"),
        (LIVE | {"DARAJA_BASE_URL": "https://api.safaricom.co.ke.soko.example"}, "DARAJA_BASE_URL"),
        (LIVE | {"DARAJA_BASE_URL": "http://127.0.0.1:9"}, "DARAJA_BASE_URL"),
        (LIVE | {"DARAJA_CALLBACK_SECRET": "short"}, "DARAJA_CALLBACK_SECRET"),
        (LIVE | {"SOKO_PUBLIC_URL": "http://soko.example"}, "SOKO_PUBLIC_URL"),
        (PRODUCTION | {"SOKO_MPESA_GATEWAY": "daraja"}, "DARAJA_CONSUMER_KEY"),
        (WITHOUT_LIPANA, "LIPANA_BASE_URL, LIPANA_API_KEY, LIPANA_CALLBACK_SECRET"),
        (
            TEST | KEYS | {"DARAJA_INITIATOR_NAME": "api"},
            "DARAJA_INITIATOR_NAME, DARAJA_INITIATOR_PASSWORD, DARAJA_CERTIFICATE_PATH",
        ),
        (
            TEST
            | KEYS
            | {
                "DARAJA_INITIATOR_NAME": "api",
                "DARAJA_INITIATOR_PASSWORD": "p",
                "DARAJA_CERTIFICATE_PATH": "/nowhere/safaricom.cer",
            },
            "DARAJA_CERTIFICATE_PATH",
        ),
    ],
)
def test_settings_that_do_not_fit_stop_the_start(environment: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsRefused) as refused:
        read_settings(environment)
    assert [line.split(":")[0] for line in str(refused.value).splitlines()] == [told]


async def test_what_one_process_simulates_another_one_of_the_same_key_believes() -> None:
    body, now = b'{"event":"payment.success"}', FixedClock().now()
    sent = {callback.SIGNATURE_HEADER: callback.signature(body, read_settings(TEST).simulated_secret("lipana"))}
    async with AsyncExitStack() as resources:
        first, second = (await opened(TEST, resources))[0], (await opened(TEST, resources))[0]
        stranger, _ = await opened(TEST | {"SECRET_KEY": "another key of thirty-two characters"}, resources)
        for gateways in (first, second):
            await gateways.gateway_for("mpesa").verify(body, sent, now=now)
        with pytest.raises(SignatureInvalid):
            await stranger.gateway_for("mpesa").verify(body, sent, now=now)
