"""PayPal as a server opens it: real where its keys are set, simulated in development, and nowhere else."""

from contextlib import AsyncExitStack

import httpx
import pytest

from domain.core.payments.gateway import Outcome
from infrastructure.system.clock import SystemClock
from interface.bootstrap.core.paypal_gateway import open_paypal
from interface.bootstrap.settings import Settings, SettingsRefused, read_settings
from tests.fakes.core.system import FixedClock
from tests.integration.paypal.bench import paypal_bench

KEYS = {"PAYPAL_CLIENT_ID": "an id", "PAYPAL_CLIENT_SECRET": "a secret", "PAYPAL_WEBHOOK_ID": "a webhook"}
PRODUCTION = {
    "SOKO_ENVIRONMENT": "production",
    "SECRET_KEY": "k" * 32,
    "DATABASE_URL": "postgresql://db/soko",
    "LIPANA_BASE_URL": "https://api.lipana.dev/v1",
    "LIPANA_API_KEY": "lip_sk_live_1",
    "LIPANA_CALLBACK_SECRET": "s" * 16,
    "EMAIL_HOST": "mail.example",
    "SOKO_PUBLIC_URL": "https://soko.example",
    "ALLOWED_HOSTS": "soko.example",
}


async def test_in_development_a_payer_pays_at_the_simulator() -> None:
    async with AsyncExitStack() as resources, paypal_bench() as bench:
        # the stand-in uses it until it is closed itself
        client = await resources.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=30.0))
        settings = Settings(environment="development", public_url="http://127.0.0.1:9")
        gateway = await open_paypal(settings, client=client, clock=SystemClock(), resources=resources)
        assert gateway is not None
        sent = await gateway.collect(bench.collection())
        assert (sent.outcome, sent.next_action) == (Outcome.PENDING, "redirect")
        assert (await client.get(sent.next_url or "")).status_code == 302
        assert (await gateway.query(sent.references)).outcome is Outcome.SUCCEEDED


async def test_elsewhere_it_is_off_until_its_keys_are_set() -> None:
    async with AsyncExitStack() as resources, httpx.AsyncClient() as client:
        for environment in ("test", "production"):
            off = await open_paypal(
                Settings(environment=environment), client=client, clock=FixedClock(), resources=resources
            )
            assert off is None
        settings = read_settings(KEYS | {"SOKO_ENVIRONMENT": "test"})
        on = await open_paypal(settings, client=client, clock=FixedClock(), resources=resources)
        assert on is not None
        live = read_settings(PRODUCTION | KEYS | {"PAYPAL_BASE_URL": "https://api-m.paypal.com/"})
        assert await open_paypal(live, client=client, clock=FixedClock(), resources=resources) is not None


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"PAYPAL_CLIENT_ID": "an id"}, "PAYPAL_CLIENT_ID, PAYPAL_CLIENT_SECRET, PAYPAL_WEBHOOK_ID"),
        (KEYS | {"PAYPAL_WEBHOOK_ID": ""}, "PAYPAL_CLIENT_ID, PAYPAL_CLIENT_SECRET, PAYPAL_WEBHOOK_ID"),
        (KEYS | {"PAYPAL_BASE_URL": "https://api-m.paypal.com"}, "PAYPAL_BASE_URL"),
        (PRODUCTION | KEYS, "PAYPAL_BASE_URL"),
        (PRODUCTION | KEYS | {"PAYPAL_BASE_URL": "http://api-m.paypal.com"}, "PAYPAL_BASE_URL"),
        (PRODUCTION | KEYS | {"PAYPAL_BASE_URL": "http://127.0.0.1:8099"}, "PAYPAL_BASE_URL"),
    ],
)
def test_settings_that_do_not_fit_stop_the_start(environment: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsRefused) as refused:
        read_settings(environment)
    assert [line.split(":")[0] for line in str(refused.value).splitlines()] == [told]
