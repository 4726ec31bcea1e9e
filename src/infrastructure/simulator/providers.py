"""Direct every simulated provider of a server at one place: a script goes to who plays what it matches."""

from collections.abc import Mapping

from application.core.payments.simulation import NothingToDeliver, OutcomeNotSimulated, PaymentSimulator, Script


class SimulatedProviders:
    """The `PaymentSimulator` over several of them, each named by the methods it plays.

    A script without a method goes to all that can play it, and each counts `times` for itself.
    """

    def __init__(self, by_method: Mapping[str, PaymentSimulator]) -> None:
        self._by_method = by_method
        self._providers = tuple({id(one): one for one in by_method.values()}.values())

    async def script(self, script: Script) -> None:
        """Say how the next payments end. Raises OutcomeNotSimulated where nobody plays it, and Unavailable."""
        if script.match.method is not None:
            provider = self._by_method.get(script.match.method)
            if provider is None:
                raise OutcomeNotSimulated(f"No simulated provider knows a method {script.match.method}.")
            await provider.script(script)
            return
        refusals = []
        for provider in self._providers:
            try:
                await provider.script(script)
            except OutcomeNotSimulated as refused:
                refusals.append(refused)
        if len(refusals) == len(self._providers):
            raise refusals[0]

    async def deliver(self, reference: str) -> int:
        """Send what is due of this payment. Raises NothingToDeliver where nobody knows it, and Unavailable."""
        sent = []
        for provider in self._providers:
            try:
                sent.append(await provider.deliver(reference))
            except NothingToDeliver:
                continue
        if not sent:
            raise NothingToDeliver
        return sum(sent)
