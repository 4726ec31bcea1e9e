"""What every gateway promises, held by the adapter of PayPal's against the simulated PayPal, over HTTP."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.core.payment_gateway import GatewayBench, GatewayContract
from tests.integration.paypal.bench import paypal_bench


class TestPayPalPaymentGateway(GatewayContract):
    @pytest.fixture
    async def bench(self) -> AsyncIterator[GatewayBench]:
        async with paypal_bench() as bench:
            yield bench
