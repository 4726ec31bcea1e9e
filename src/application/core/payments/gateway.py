"""The port behind which every payment gateway stands."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Protocol

from domain.core.kernel.errors import Malformed, NotSignedIn
from domain.core.kernel.money import Money
from domain.core.payments.gateway import (
    Answer,
    Capabilities,
    Collection,
    GatewayNotice,
    Payout,
    ProviderReferences,
    Search,
    StatementLine,
)


class SignatureInvalid(NotSignedIn):
    """The signature of this callback is missing or wrong."""

    code = "payments.signature_invalid"


class CallbackMalformed(Malformed):
    """The body of this callback is not a JSON object."""

    code = "kernel.malformed"


class PaymentGateway(Protocol):
    """One provider of payments. Promises (tests/contract/core/test_payment_gateway.py):

    - nothing here raises for what a provider does: silence, an error page or nonsense is `Outcome.UNKNOWN`;
      `did_not_leave` is set only when the request provably was not looked into; the two lists (`search`, `statement`)
      are the exception, because an empty list would be a claim;
    - a phone prompt is sent at most once a call, and never again by itself;
    - amounts that the provider cannot express exactly are a caller's mistake (see `capabilities`) and assert;
    - `verify` looks at the received bytes only; `parse` never raises for fields that are missing or retyped.
    """

    @property
    def name(self) -> str:
        """The word in `clearing:<name>`."""
        ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def collect(self, collection: Collection) -> Answer:
        """Ask the payer for money."""
        ...

    async def query(self, references: ProviderReferences) -> Answer:
        """Ask what became of an attempt whose provider id is known."""
        ...

    async def search(self, search: Search) -> tuple[Answer, ...]:
        """Return the provider's transactions that could be the attempt we lost sight of.

        Their authority is HINT when the provider did not show the whole window. Raises Unavailable.
        """
        ...

    async def refund(self, references: ProviderReferences, amount: Money, idempotency_key: str) -> Answer:
        """Give money back on the original rail. Call only where the capabilities say so."""
        ...

    async def pay_out(self, payout: Payout) -> Answer:
        """Send money to a person. Call only where the capabilities say so."""
        ...

    async def query_payout(self, references: ProviderReferences) -> Answer:
        """Ask what became of a payout. Money that came back after it was paid is FAILED with the code `RETURNED`."""
        ...

    def statement(self, *, since: datetime, until: datetime) -> AsyncIterator[StatementLine]:
        """Yield the provider's own list of movements, oldest first. Raises Unavailable when it cannot be had."""
        ...

    def verify(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> None:
        """Check that the provider sent these bytes; header names are lower case. Raises SignatureInvalid."""
        ...

    def parse(self, body: bytes) -> GatewayNotice:
        """Read a verified body. Raises CallbackMalformed when it is not a JSON object."""
        ...
