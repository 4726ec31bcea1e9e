"""One place directs every simulated provider of a server."""

import httpx
import pytest

from application.core.payments.simulation import (
    NothingToDeliver,
    OutcomeNotSimulated,
    Script,
    ScriptMatch,
    SimulatedOutcome,
)
from infrastructure.simulator.cards import METHODS as CARD_METHODS
from infrastructure.simulator.cards import REFUND, CardSimulator
from infrastructure.simulator.lipana import METHODS as LIPANA_METHODS
from infrastructure.simulator.lipana import LipanaSimulator, SimulatorSettings
from infrastructure.simulator.providers import SimulatedProviders
from tests.fakes.core.system import FixedClock

FAILED = SimulatedOutcome.FAILED


class Both:
    def __init__(self) -> None:
        clock = FixedClock()
        settings = SimulatorSettings(api_key="a", webhook_secret="b", control_key="c")
        self.lipana = LipanaSimulator(settings, clock, httpx.AsyncClient())
        self.cards = CardSimulator(clock)
        self.providers = SimulatedProviders(
            {**dict.fromkeys(LIPANA_METHODS, self.lipana), **dict.fromkeys({*CARD_METHODS, REFUND}, self.cards)}
        )

    def fails(self, method: str) -> bool:
        """Tell whether a script waits for a payment by this method."""
        simulator = self.lipana if method == "mpesa" else self.cards
        return simulator.take_rule(method, description="Order") is not None


async def test_a_script_goes_to_who_plays_its_method() -> None:
    both = Both()
    await both.providers.script(Script(match=ScriptMatch(method="payme"), outcome=FAILED))
    assert [both.fails(method) for method in ("mpesa", "card", "payme")] == [False, False, True]
    await both.providers.script(Script(match=ScriptMatch(method="mpesa"), outcome=FAILED))
    assert [both.fails(method) for method in ("mpesa", "card")] == [True, False]
    with pytest.raises(OutcomeNotSimulated):
        await both.providers.script(Script(match=ScriptMatch(method="cheque"), outcome=FAILED))


async def test_a_script_without_a_method_goes_to_all_that_can_play_it() -> None:
    both = Both()
    await both.providers.script(Script(outcome=FAILED))
    assert [both.fails(method) for method in ("mpesa", "card", "click")] == [True, True, True]
    by_phone, refunds = Both(), Both()
    await by_phone.providers.script(Script(match=ScriptMatch(phone="+254712345678"), outcome=FAILED))
    assert by_phone.fails("card") is False
    await refunds.providers.script(Script(outcome=SimulatedOutcome.REFUND_REFUSED))
    assert refunds.cards.take_rule("card", "Order", is_refund=True) is not None
    with pytest.raises(OutcomeNotSimulated):
        await both.providers.script(Script(match=ScriptMatch(phone="+254712345678"), outcome=FAILED, times=0))


async def test_what_nobody_knows_is_not_delivered() -> None:
    both = Both()
    both.cards.charge(
        key="1", method="payme", reference="SKTEST000001", description="", amount=1, currency="KES",
        card=None, token=None, script=None,
    )  # fmt: skip
    assert await both.providers.deliver("SKTEST000001") == 0
    both.lipana.take_prompt(phone="+254712345678", amount=100, reference="SKTEST000002", description=None, script=None)
    with pytest.raises(NothingToDeliver):
        await both.providers.deliver("SKTEST000003")
