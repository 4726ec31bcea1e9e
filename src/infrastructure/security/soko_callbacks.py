"""Callbacks in the house's own dialect: signed with a secret of their own, named by our reference.

The documented body has no amount: without one the amount asked is meant.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from application.core.payments.gateway import CallbackMalformed, SignatureInvalid
from domain.core.kernel.errors import DomainError
from domain.core.kernel.money import Money
from domain.core.payments.gateway import EventKind, GatewayNotice, Outcome, ProviderReferences
from domain.core.payments.intent import is_reference

SIGNATURE_HEADER: Final = "x-soko-signature"
TEXT_LENGTH_MAX: Final = 128

OUTCOME_BY_WORD: Final = {
    "success": Outcome.SUCCEEDED,
    "completed": Outcome.SUCCEEDED,
    "paid": Outcome.SUCCEEDED,
    "failed": Outcome.FAILED,
    "failure": Outcome.FAILED,
    "error": Outcome.FAILED,
    "cancelled": Outcome.CANCELLED,
    "canceled": Outcome.CANCELLED,
    "pending": Outcome.PENDING,
}
"""Rule callback.status_words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SokoCallbacks:
    """Reads callbacks of whoever shares the secret; without a secret nobody does."""

    secret: str = field(repr=False)
    name: str = "soko"

    async def verify(self, body: bytes, headers: Mapping[str, str], *, now: object, path: str = "") -> None:
        """Check that the sender knows the secret. Raises SignatureInvalid."""
        word = headers.get(SIGNATURE_HEADER, "").strip().lower().removeprefix("sha256=")
        expected = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        if not self.secret or not hmac.compare_digest(expected.encode(), word.encode("utf-8", "replace")):
            raise SignatureInvalid

    def parse(self, body: bytes, path: str = "") -> GatewayNotice:
        """Read a verified body. Raises CallbackMalformed when it is not a JSON object."""
        try:
            fields = json.loads(body.decode(), parse_float=str, parse_constant=str)
        except (ValueError, RecursionError) as error:
            raise CallbackMalformed from error
        if not isinstance(fields, dict):
            raise CallbackMalformed
        reference = _text(fields, "transaction_reference") or _text(fields, "reference")
        outcome = OUTCOME_BY_WORD.get((_text(fields, "status") or "").lower())
        amount, is_readable = _amount(fields.get("amount"))
        return GatewayNotice(
            kind=EventKind.PAYMENT,
            outcome=outcome or Outcome.UNKNOWN,
            references=ProviderReferences(receipt=_text(fields, "payment_provider_reference")),
            our_reference=reference if reference is not None and is_reference(reference) else None,
            amount=amount,
            is_understood=outcome is not None and is_readable,
        )


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    found = fields.get(name)
    if not isinstance(found, str) or not found.strip() or len(found) > TEXT_LENGTH_MAX or not found.isprintable():
        return None
    return found.strip()


def _amount(value: object) -> tuple[Money | None, bool]:
    """Return the amount in shillings, and whether what was sent can be read; nothing sent is readable."""
    if value is None:
        return None, True
    try:
        return (Money.parse(value), True) if isinstance(value, str | int) else (None, False)
    except DomainError:
        return None, False
