"""The real adapter against a Daraja that misbehaves over real HTTP."""

from collections.abc import AsyncIterator

import pytest

from application.core.payments.gateway import PaymentGateway
from tests.contract.core.payment_gateway import GatewayContract
from tests.integration.daraja.bench import DarajaBench, daraja_bench


@pytest.fixture
async def bench() -> AsyncIterator[DarajaBench]:
    async with daraja_bench() as bench:
        yield bench


class TestDarajaPaymentGateway(GatewayContract):
    @pytest.fixture
    async def bench(self) -> AsyncIterator[DarajaBench]:
        async with daraja_bench() as bench:
            yield bench


async def test_the_adapter_is_a_payment_gateway(bench: DarajaBench) -> None:
    gateway: PaymentGateway = bench.gateway
    can = gateway.capabilities
    assert gateway.name == "daraja"
    assert (can.currencies, can.unit_minor, can.amount_max_minor) == (frozenset({"KES"}), 100, 250_000_00)
    assert (can.needs_phone, can.can_pay_out, can.can_search, can.has_statement) == (True, True, False, False)
