"""The real adapter against a Stripe that misbehaves over real HTTP."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.core.payment_gateway import GatewayContract
from tests.integration.stripe.bench import StripeBench, stripe_bench


@pytest.fixture
async def bench() -> AsyncIterator[StripeBench]:
    async with stripe_bench() as bench:
        yield bench


class TestStripePaymentGateway(GatewayContract):
    @pytest.fixture
    async def bench(self) -> AsyncIterator[StripeBench]:
        async with stripe_bench() as bench:
            yield bench
