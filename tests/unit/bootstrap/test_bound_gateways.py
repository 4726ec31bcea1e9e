"""Which gateway serves a method of payment."""

import socket
from contextlib import AsyncExitStack

import pytest

from application.core.payments.ports import MethodUnavailable
from interface.bootstrap.core.payment_gateways import BoundGateways, open_gateways
from interface.bootstrap.settings import Settings, SettingsRefused
from tests.fakes.core.payment_gateway import InMemoryPaymentGateway
from tests.fakes.core.system import FixedClock


def test_a_method_that_is_not_there_is_refused_with_those_that_are() -> None:
    gateway = InMemoryPaymentGateway(FixedClock())
    gateways = BoundGateways(by_method={"mpesa": gateway, "card": gateway})
    with pytest.raises(
        MethodUnavailable, match=r"^This way to pay is not available; beside wallets there are card, mpesa\.$"
    ):
        gateways.gateway_for("cash")


@pytest.mark.parametrize("mpesa", ["lipana", "daraja"])
async def test_the_port_of_a_simulator_that_is_taken_is_told_in_a_sentence(mpesa: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings(mpesa_gateway=mpesa, simulator_port=port)
        async with AsyncExitStack() as resources:
            with pytest.raises(SettingsRefused) as refused:
                await open_gateways(settings, clock=FixedClock(), resources=resources)
    assert str(refused.value) == (
        f"SOKO_SIMULATOR_PORT: cannot listen on 127.0.0.1:{port};"
        " name another port, or 0: every server and worker has a simulator of its own"
    )
