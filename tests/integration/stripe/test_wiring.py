"""Stripe as a server opens it: with keys the real one, in development without keys the simulated one."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import httpx
import pytest

from domain.core.payments.gateway import EventKind, Outcome
from infrastructure.simulator.loopback import LoopbackServer, Reply, Scope
from infrastructure.system.clock import SystemClock
from interface.bootstrap.core.stripe_gateway import STRIPE_CALLBACK_PATH, open_stripe
from interface.bootstrap.settings import Settings, SettingsRefused, read_settings
from tests.integration.stripe.bench import stripe_bench

TEST_KEYS = {"STRIPE_SECRET_KEY": "sk_test_1", "STRIPE_WEBHOOK_SECRET": "whsec_0123456789"}
LIVE_KEYS = TEST_KEYS | {"STRIPE_SECRET_KEY": "sk_live_1"}


def told(values: dict[str, str]) -> list[str]:
    """Return what the settings are refused for, as far as it is about Stripe."""
    try:
        read_settings(values)
    except SettingsRefused as refused:
        return [line.partition(":")[0] for line in str(refused).splitlines() if line.startswith("STRIPE")]
    return []


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        ({}, []),
        (TEST_KEYS, []),
        (TEST_KEYS | {"STRIPE_BASE_URL": "http://127.0.0.1:1"}, []),
        (LIVE_KEYS, ["STRIPE_SECRET_KEY"]),
        (TEST_KEYS | {"STRIPE_SECRET_KEY": "nonsense"}, ["STRIPE_SECRET_KEY"]),
        (TEST_KEYS | {"STRIPE_WEBHOOK_SECRET": "short"}, ["STRIPE_WEBHOOK_SECRET"]),
        ({"SOKO_ENVIRONMENT": "production"}, []),
        (LIVE_KEYS | {"SOKO_ENVIRONMENT": "production"}, []),
        (TEST_KEYS | {"SOKO_ENVIRONMENT": "production"}, ["STRIPE_SECRET_KEY"]),
        (LIVE_KEYS | {"SOKO_ENVIRONMENT": "production", "STRIPE_BASE_URL": "http://10.0.0.1"}, ["STRIPE_BASE_URL"]),
    ],
)
def test_keys_of_the_other_mode_stop_the_start(values: dict[str, str], refused: list[str]) -> None:
    assert told(values) == refused


async def test_without_keys_there_is_no_stripe_outside_development() -> None:
    async with AsyncExitStack() as resources, httpx.AsyncClient() as client:
        for environment in ("test", "production"):
            settings = Settings(environment=environment)
            assert await open_stripe(settings, client=client, clock=SystemClock(), resources=resources) is None


async def test_with_keys_the_real_one_is_opened() -> None:
    async with stripe_bench() as bench, AsyncExitStack() as resources:
        settings = Settings(
            environment="test",
            stripe_secret_key=bench.simulator.settings.secret_key,
            stripe_webhook_secret=bench.simulator.settings.webhook_secret,
            stripe_base_url=bench.base_url,
        )
        gateway = await open_stripe(settings, client=bench.client, clock=bench.clock, resources=resources)
        assert gateway is not None
        assert (await gateway.collect(bench.collection())).outcome is Outcome.PENDING
        assert bench.charges() == 1


async def test_in_development_a_link_that_is_opened_pays_and_its_event_comes_by_itself() -> None:
    arrived: asyncio.Queue[tuple[str, dict[str, str], bytes]] = asyncio.Queue()

    async def answer(scope: Scope, body: bytes) -> Reply:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        await arrived.put((scope["path"], headers, body))
        return Reply(200, {})

    async with (
        LoopbackServer(answer) as api,
        AsyncExitStack() as resources,
        httpx.AsyncClient(trust_env=False) as client,
        stripe_bench() as bench,
    ):
        settings = Settings(environment="development", public_url=api.origin)
        clock = SystemClock()
        gateway = await open_stripe(settings, client=client, clock=clock, resources=resources)
        assert gateway is not None
        collection = replace(bench.collection(), started_at=clock.now(), return_url=None)
        sent = await gateway.collect(collection)
        assert sent.next_url is not None
        back = await client.get(sent.next_url)
        assert (back.status_code, back.headers["location"]) == (303, api.origin)
        async with asyncio.timeout(10):
            path, headers, body = await arrived.get()
        assert path == STRIPE_CALLBACK_PATH
        await gateway.verify(body, headers, now=clock.now())
        notice = gateway.parse(body)
        assert (notice.kind, notice.outcome) == (EventKind.PAYMENT, Outcome.SUCCEEDED)
        assert (notice.attempt_id, notice.amount) == (collection.attempt_id, collection.amount)
