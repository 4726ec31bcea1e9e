"""Check and read a webhook of PayPal's.

The signature is over the received bytes, through their CRC-32: PayPal's own events hold empty objects and numbers
that no reader writes back as they came, so nothing here is ever written again before it is checked.
"""

import base64
import binascii
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from application.core.payments.gateway import CallbackMalformed, SignatureInvalid
from domain.core.payments.gateway import EventKind, GatewayNotice, Outcome, ProviderReferences
from infrastructure.paypal.fields import (
    LINK_LENGTH_MAX,
    OUTCOME_BY_CAPTURE,
    OUTCOME_BY_REFUND,
    money_at,
    objects_at,
    reason_of,
    reference_of,
    word_at,
)
from infrastructure.providers.fields import (
    Fields,
    NotAnObject,
    moment_of,
    object_at,
    read_object,
    sentence_at,
    text_at,
)

ID_HEADER: Final = "paypal-transmission-id"
TIME_HEADER: Final = "paypal-transmission-time"
SIGNATURE_HEADER: Final = "paypal-transmission-sig"
CERTIFICATE_HEADER: Final = "paypal-cert-url"
ALGORITHM_HEADER: Final = "paypal-auth-algo"

ALGORITHM: Final = "SHA256withRSA"
"""The only one; what the header asks for is never looked up."""

AGE_MAX: Final = timedelta(days=1)
"""PayPal sends again for days."""

AHEAD_MAX: Final = timedelta(minutes=5)
SIGNATURE_LENGTH_MAX: Final = 1024
REVERSED: Final = "REVERSED"

OUTCOME_BY_CAPTURE_EVENT: Final = {
    "PAYMENT.CAPTURE.COMPLETED": Outcome.SUCCEEDED,
    "PAYMENT.CAPTURE.PENDING": Outcome.PENDING,
    "PAYMENT.CAPTURE.DECLINED": Outcome.FAILED,
    "PAYMENT.CAPTURE.DENIED": Outcome.FAILED,
}
REFUND_EVENTS: Final = frozenset({"PAYMENT.CAPTURE.REFUNDED", "PAYMENT.REFUND.PENDING", "PAYMENT.REFUND.FAILED"})
REVERSAL_EVENT: Final = "PAYMENT.CAPTURE.REVERSED"
HINTS: Final = frozenset({"CHECKOUT.ORDER.APPROVED", "CHECKOUT.ORDER.COMPLETED", "CHECKOUT.PAYMENT-APPROVAL.REVERSED"})
"""Events of an order: something can be done or asked now, and no money moved by that alone."""

_ID = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_CAPTURE_PATH = re.compile(r"/payments/captures?/([A-Za-z0-9-]{1,64})$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Transmission:
    """What the headers say of one delivery."""

    id: str
    time: str
    signature: bytes
    certificate_url: str


def read_headers(headers: Mapping[str, str], *, now: datetime) -> Transmission:
    """Return the headers of a delivery of our time. Raises SignatureInvalid."""
    name, time = headers.get(ID_HEADER, ""), headers.get(TIME_HEADER, "")
    if headers.get(ALGORITHM_HEADER) != ALGORITHM or not _ID.fullmatch(name) or not _TIME.fullmatch(time):
        raise SignatureInvalid
    at = moment_of(time)
    if at is None or not -AHEAD_MAX <= now - at <= AGE_MAX:
        raise SignatureInvalid
    try:
        text = headers.get(SIGNATURE_HEADER, "")[: SIGNATURE_LENGTH_MAX + 1]
        signature = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SignatureInvalid from error
    return Transmission(name, time, signature, headers.get(CERTIFICATE_HEADER, "")[: LINK_LENGTH_MAX + 1])


def signed_message(transmission_id: str, time: str, webhook_id: str, body: bytes) -> bytes:
    """Return what PayPal signs for these bytes."""
    return f"{transmission_id}|{time}|{webhook_id}|{zlib.crc32(body)}".encode()


def check_signature(sent: Transmission, body: bytes, *, webhook_id: str, key: RSAPublicKey) -> None:
    """Check that the key's owner signed these bytes for our webhook. Raises SignatureInvalid."""
    try:
        key.verify(sent.signature, signed_message(sent.id, sent.time, webhook_id, body), PKCS1v15(), SHA256())
    except InvalidSignature as error:
        raise SignatureInvalid from error


def parse(body: bytes) -> GatewayNotice:
    """Return what a verified body says. Raises CallbackMalformed when it is not a JSON object."""
    try:
        root = read_object(body)
    except NotAnObject as error:
        raise CallbackMalformed from error
    event, resource = word_at(root, "event_type") or "", object_at(root, "resource") or {}
    at = moment_of(text_at(root, "create_time"))
    if event in HINTS:
        return _hint(resource, at)
    if event in OUTCOME_BY_CAPTURE_EVENT:
        return _capture(OUTCOME_BY_CAPTURE_EVENT[event], resource, at)
    if event in REFUND_EVENTS:
        return _refund(root, resource, at)
    if event == REVERSAL_EVENT:
        return _reversal(root, resource, at)
    return GatewayNotice(
        kind=EventKind.UNKNOWN,
        outcome=Outcome.UNKNOWN,
        code=event or None,
        message=sentence_at(root, "summary"),
        is_understood=False,
        occurred_at=at,
    )


def _hint(resource: Fields, at: datetime | None) -> GatewayNotice:
    units = objects_at(resource, "purchase_units")
    return GatewayNotice(
        kind=EventKind.PAYMENT,
        outcome=Outcome.PENDING,
        references=ProviderReferences(checkout_id=text_at(resource, "order_id", "id")),
        our_reference=reference_of(units[0]) if units else None,
        is_hint=True,
        occurred_at=at,
    )


def _capture(outcome: Outcome, capture: Fields, at: datetime | None) -> GatewayNotice:
    status = word_at(capture, "status")
    amount, currency_code = money_at(capture)
    return GatewayNotice(
        kind=EventKind.PAYMENT,
        outcome=outcome,
        references=ProviderReferences(transaction_id=text_at(capture, "id"), checkout_id=_related(capture, "order_id")),
        our_reference=reference_of(capture),
        amount=amount,
        currency_code=currency_code,
        code=reason_of(capture) or (status if outcome is Outcome.FAILED else None),
        is_hint=status is None,  # the capture itself does not say so
        is_contradictory=status is not None and OUTCOME_BY_CAPTURE.get(status) is not outcome,
        occurred_at=at,
    )


def _refund(root: Fields, refund: Fields, at: datetime | None) -> GatewayNotice:
    outcome = OUTCOME_BY_REFUND.get(word_at(refund, "status") or "")
    reference = reference_of(refund)
    refund_id = _uuid(reference)
    amount, currency_code = money_at(refund)
    return GatewayNotice(
        kind=EventKind.REFUND,
        outcome=outcome or Outcome.UNKNOWN,
        references=_of_refunded(root, refund),
        our_reference=reference if refund_id is None else None,
        refund_id=refund_id,
        refund_reference=None if _is_capture(root) else text_at(refund, "id"),
        amount=amount,
        currency_code=currency_code,
        code=reason_of(refund),
        is_understood=outcome is not None,
        occurred_at=at,
    )


def _reversal(root: Fields, resource: Fields, at: datetime | None) -> GatewayNotice:
    """Read that the money was taken back from us: a success that was one stays, and a person looks at it."""
    amount, currency_code = money_at(resource)
    return GatewayNotice(
        kind=EventKind.PAYMENT,
        outcome=Outcome.FAILED,
        references=_of_refunded(root, resource),
        our_reference=reference_of(resource),
        amount=amount,
        currency_code=currency_code,
        code=REVERSED,
        occurred_at=at,
    )


def _of_refunded(root: Fields, resource: Fields) -> ProviderReferences:
    """Return the names of the payment that a refund or reversal takes back."""
    capture_id = _related(resource, "capture_id") or _linked_capture(resource)
    if _is_capture(root):
        capture_id = text_at(resource, "id")
    return ProviderReferences(transaction_id=capture_id, checkout_id=_related(resource, "order_id"))


def _is_capture(root: Fields) -> bool:
    return word_at(root, "resource_type") == "CAPTURE"


def _related(resource: Fields, name: str) -> str | None:
    ids = object_at(object_at(resource, "supplementary_data") or {}, "related_ids") or {}
    return text_at(ids, name)


def _linked_capture(resource: Fields) -> str | None:
    """Return the id at the end of the link that leads up from a refund to its capture."""
    for link in objects_at(resource, "links"):
        address = text_at(link, "href", length_max=LINK_LENGTH_MAX) or ""
        found = _CAPTURE_PATH.search(address)
        if link.get("rel") == "up" and found is not None:
            return found[1]
    return None


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text is not None else None
    except ValueError:
        return None
