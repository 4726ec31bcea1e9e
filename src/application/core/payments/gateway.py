"""The port behind which every payment gateway stands."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Protocol

from domain.core.kernel.errors import Malformed, NotSignedIn
from domain.core.payments.gateway import (
    Answer,
    Capabilities,
    Collection,
    GatewayNotice,
    Payout,
    ProviderReferences,
    Repayment,
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
    """One provider of payments. Promises (tests/contract/core/payment_gateway.py):

    - nothing here raises for what a provider does: silence, an error page or nonsense is `Outcome.UNKNOWN`;
      `did_not_leave` is set only when the request provably was not looked into; the two lists (`search`, `statement`)
      are the exception, because an empty list would be a claim;
    - a phone prompt is sent at most once a call, and never again by itself;
    - amounts that the provider cannot express exactly are a caller's mistake (see `capabilities`) and assert;
    - asking `collect` again for the same attempt never starts a second charge where the provider honours our key;
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
        """Ask what became of an attempt whose provider id is known, and finish what the payer has approved."""
        ...

    async def search(self, search: Search) -> tuple[Answer, ...]:
        """Return the provider's transactions that could be the attempt we lost sight of.

        Their authority is HINT when the provider did not show the whole window. Raises Unavailable.
        """
        ...

    async def refund(self, repayment: Repayment) -> Answer:
        """Give money back on the original rail. Call only where the capabilities say so.

        The transaction id of the answer is the provider's name for the refund.
        """
        ...

    async def query_refund(self, references: ProviderReferences) -> Answer:
        """Ask what became of a refund whose provider id is known."""
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

    async def verify(self, body: bytes, headers: Mapping[str, str], *, now: datetime, path: str = "") -> None:
        """Check that the provider sent these bytes; header names are lower case. Raises SignatureInvalid, and
        Unavailable where the proof has to be fetched and cannot be had.

        `path` is what follows the gateway's callback address, for a provider that signs nothing and is given an
        address that nobody can guess.
        """
        ...

    def parse(self, body: bytes, path: str = "") -> GatewayNotice:
        """Read a verified body. Raises CallbackMalformed when it is not a JSON object."""
        ...
