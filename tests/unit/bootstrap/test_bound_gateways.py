"""Which gateway serves a method of payment."""

import pytest

from application.core.payments.ports import MethodUnavailable
from interface.bootstrap.core.payment_gateways import BoundGateways
from tests.fakes.core.payment_gateway import InMemoryPaymentGateway
from tests.fakes.core.system import FixedClock


def test_a_method_that_is_not_there_is_refused_with_those_that_are() -> None:
    gateway = InMemoryPaymentGateway(FixedClock())
    gateways = BoundGateways(by_method={"mpesa": gateway, "card": gateway})
    with pytest.raises(
        MethodUnavailable, match=r"^This way to pay is not available; beside wallets there are card, mpesa\.$"
    ):
        gateways.gateway_for("cash")
