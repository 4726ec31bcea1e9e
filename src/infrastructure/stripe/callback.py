"""Check and read an event of Stripe's.

A payment is credited on one type of event only, `payment_intent.succeeded`: a checkout tells of the same money under
other names. Events about refunds are told on; every other one is stored, and otherwise left alone.
"""

import hashlib
import hmac
import logging
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from application.core.payments.gateway import CallbackMalformed, SignatureInvalid
from domain.core.payments.gateway import EventKind, GatewayNotice, Outcome, ProviderReferences
from infrastructure.providers.fields import Fields, NotAnObject, object_at, read_object, sentence_at, text_at
from infrastructure.stripe.amounts import moment_at, money_at

SIGNATURE_HEADER: Final = "stripe-signature"
TOLERANCE: Final = timedelta(seconds=300)
"""How far the time in a signature may be from ours, in either direction."""

SIGNATURES_MAX: Final = 10
"""Signatures of one header that are looked at; Stripe sends one for each secret of the endpoint."""

CREDITED: Final = "payment_intent.succeeded"

OUTCOME_BY_REFUND_STATUS: Final = {
    "succeeded": Outcome.SUCCEEDED,
    "pending": Outcome.PENDING,
    "requires_action": Outcome.PENDING,
    "failed": Outcome.FAILED,
    "canceled": Outcome.FAILED,
}

_SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)
_log = logging.getLogger("soko.payments")


def signature(body: bytes, secret: str, at: int) -> str:
    """Return the signature of these bytes at a time in seconds since 1970: hex of HMAC-SHA256 over `at.body`."""
    return hmac.new(secret.encode(), str(at).encode() + b"." + body, hashlib.sha256).hexdigest()


def verify(body: bytes, header: str | None, secrets: Iterable[str], now: datetime) -> None:
    """Check that one of the secrets signed exactly these bytes at about this time. Raises SignatureInvalid."""
    parts = [part.strip().partition("=") for part in (header or "").split(",")]
    times = [value for name, _, value in parts if name == "t"]
    received = [value.encode("utf-8", "replace") for name, _, value in parts if name == "v1"][:SIGNATURES_MAX]
    if len(times) != 1 or _SECONDS.fullmatch(times[0]) is None:
        raise SignatureInvalid
    signed_with = times[0].encode() + b"." + body
    expected = [hmac.new(secret.encode(), signed_with, hashlib.sha256).hexdigest().encode() for secret in secrets]
    matches = [hmac.compare_digest(one, right) for one in received for right in expected]
    if not any(matches):  # every pair was compared, so the time taken does not tell which secret is in use
        raise SignatureInvalid
    if abs(now.timestamp() - int(times[0])) > TOLERANCE.total_seconds():
        raise SignatureInvalid


def parse(body: bytes, *, is_live: bool) -> GatewayNotice:
    """Return what a verified event says. Raises CallbackMalformed when it is not a JSON object."""
    try:
        root = read_object(body)
    except NotAnObject as error:
        raise CallbackMalformed from error
    word = text_at(root, "type") or ""
    fields = object_at(object_at(root, "data") or {}, "object") or {}
    if root.get("livemode", is_live) is not is_live:
        return _ignored(root, word, "is of the other mode, live or test")
    if word == CREDITED:
        return _payment(root, fields)
    if word.startswith("refund.") and object_id(fields, "re_", "pyr_") is not None:
        return _refund(root, fields)
    return _ignored(root, word, "credits nothing")


def object_id(fields: Fields, *prefixes: str) -> str | None:
    """Return the id of an object where it is one of the kind whose ids begin so."""
    found = text_at(fields, "id")
    return found if found is not None and found.startswith(prefixes) else None


def id_of(value: object) -> str | None:
    """Return the id in a field that holds one, or the object itself where that was asked for."""
    return text_at({"id": value} if isinstance(value, str) else value if isinstance(value, dict) else {}, "id")


def our_id(fields: Fields, name: str) -> UUID | None:
    """Return the id of ours that was given along."""
    text = text_at(object_at(fields, "metadata") or {}, name)
    try:
        return UUID(text) if text is not None else None
    except ValueError:
        return None


def our_reference(fields: Fields) -> str | None:
    """Return our reference where it was given along."""
    return text_at(object_at(fields, "metadata") or {}, "reference", "ref")


def _payment(root: Fields, fields: Fields) -> GatewayNotice:
    amount, currency_code = money_at(fields.get("amount_received"), fields.get("currency"))
    transaction_id = object_id(fields, "pi_")
    return GatewayNotice(
        kind=EventKind.PAYMENT,
        outcome=Outcome.SUCCEEDED,
        references=ProviderReferences(transaction_id=transaction_id, receipt=id_of(fields.get("latest_charge"))),
        our_reference=our_reference(fields),
        attempt_id=our_id(fields, "attempt_id"),
        amount=amount,
        currency_code=currency_code,
        is_contradictory=text_at(fields, "status") != "succeeded",
        is_understood=transaction_id is not None,
        occurred_at=moment_at(root.get("created")),
    )


def _refund(root: Fields, fields: Fields) -> GatewayNotice:
    amount, currency_code = money_at(fields.get("amount"), fields.get("currency"))
    outcome = OUTCOME_BY_REFUND_STATUS.get(text_at(fields, "status") or "")
    code = text_at(fields, "failure_reason")
    return GatewayNotice(
        kind=EventKind.REFUND,
        outcome=outcome or Outcome.UNKNOWN,
        references=ProviderReferences(transaction_id=id_of(fields.get("payment_intent"))),
        refund_id=our_id(fields, "refund_id"),
        refund_reference=object_id(fields, "re_", "pyr_"),
        amount=amount,
        currency_code=currency_code,
        code=code.upper() if code else None,
        is_understood=outcome is not None,
        occurred_at=moment_at(root.get("created")),
    )


def _ignored(root: Fields, word: str, why: str) -> GatewayNotice:
    _log.warning(
        "stripe_event_ignored", extra={"event_type": word, "provider_event_id": text_at(root, "id"), "reason": why}
    )
    return GatewayNotice(
        kind=EventKind.UNKNOWN,
        outcome=Outcome.UNKNOWN,
        code=word or None,
        message=sentence_at({"why": f"The event {why}."}, "why"),
        is_understood=False,
        occurred_at=moment_at(root.get("created")),
    )
