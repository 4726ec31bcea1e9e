"""Check and read a callback of Lipana's.

Three shapes are read: the documented one, the nested one (`event` and `data`) and the flat one (`event` beside the
fields). Whatever is doubtful in a body makes its notice worth nothing: an unknown word, an event and a status that
disagree, an amount that is not exactly a number of cents.
"""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

from application.core.payments.gateway import CallbackMalformed, SignatureInvalid
from domain.core.payments.gateway import EventKind, GatewayNotice, Outcome, ProviderReferences
from infrastructure.lipana.fields import (
    CHECKOUT_ID,
    MOMENT,
    PHONE,
    RECEIPT,
    REFERENCE,
    RESULT_CODE,
    RESULT_TEXT,
    amount_at,
    currency_of,
    outcome_of,
    transaction_id_at,
)
from infrastructure.providers.fields import (
    Fields,
    NotAnObject,
    moment_of,
    money_of,
    object_at,
    read_object,
    sentence_at,
    text_at,
)
from infrastructure.providers.mpesa import CANCELLED_BY_PAYER, code_of, phone_of

SIGNATURE_HEADER: Final = "x-lipana-signature"

KIND_BY_PREFIX: Final = {
    "payment": EventKind.PAYMENT,
    "transaction": EventKind.PAYMENT,
    "payout": EventKind.PAYOUT,
    "refund": EventKind.REFUND,
    "test": EventKind.TEST,
    "webhook": EventKind.TEST,
}

_TEST_KEYS: Final = frozenset({"event", "message", "timestamp"})
_NOT_SUCCESSFUL: Final = frozenset({Outcome.FAILED, Outcome.CANCELLED})


def signature(body: bytes, secret: str) -> str:
    """Return the signature of these bytes: lower-case hex of HMAC-SHA256 under the secret as UTF-8."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def verify(body: bytes, received: str | None, secrets: Iterable[str]) -> None:
    """Check that one of the secrets made this signature of exactly these bytes. Raises SignatureInvalid."""
    word = (received or "").strip().lower().removeprefix("sha256=").strip().encode("utf-8", "replace")
    matches = [hmac.compare_digest(signature(body, secret).encode(), word) for secret in secrets]
    if not any(matches):  # every secret was tried, so the time taken does not tell which one is in use
        raise SignatureInvalid


def parse(body: bytes) -> GatewayNotice:
    """Return what a verified body says. Raises CallbackMalformed when it is not a JSON object."""
    try:
        root = read_object(body)
    except NotAnObject as error:
        raise CallbackMalformed from error
    event = text_at(root, "event")
    if _is_test(root, event):
        return GatewayNotice(
            kind=EventKind.TEST,
            outcome=Outcome.UNKNOWN,
            message=sentence_at(root, "message"),
            occurred_at=moment_of(text_at(root, *MOMENT)),
        )
    fields = _inner(root)
    outcome, is_contradictory = _outcome(root, fields)
    kind = _kind(root, event)
    is_understood = (outcome is not None or is_contradictory) and kind is not EventKind.UNKNOWN
    currency, currency_code = currency_of(
        root.get("currency") if fields.get("currency") is None else fields["currency"]
    )
    code = code_of(text_at(fields, *RESULT_CODE, "code"))
    if outcome is Outcome.FAILED and code == CANCELLED_BY_PAYER:
        outcome = Outcome.CANCELLED
    return GatewayNotice(
        kind=kind,
        outcome=outcome if outcome is not None and is_understood else Outcome.UNKNOWN,
        references=ProviderReferences(
            transaction_id=transaction_id_at(fields),
            checkout_id=text_at(fields, *CHECKOUT_ID),
            receipt=text_at(fields, *RECEIPT),
        ),
        our_reference=text_at(fields, *REFERENCE),
        amount=money_of(amount_at(fields), currency) if currency else None,
        currency_code=currency_code,
        phone=phone_of(text_at(fields, *PHONE, length_max=32)),
        code=code,
        message=sentence_at(fields, *RESULT_TEXT),
        is_contradictory=is_contradictory,
        is_understood=is_understood,
        occurred_at=moment_of(text_at(fields, *MOMENT) or text_at(root, *MOMENT)),
    )


def _inner(root: Fields) -> Fields:
    """Return the object that holds the fields; some senders nest it twice, as `data.data`."""
    data = object_at(root, "data")
    if data is None:
        return root
    return object_at(data, "data") or data


def _is_test(root: Fields, event: str | None) -> bool:
    if event is None:
        return False
    return root.keys() <= _TEST_KEYS or event.lower().split(".")[0] in {"test", "webhook"}


def _kind(root: Fields, event: str | None) -> EventKind:
    if event is not None:
        return KIND_BY_PREFIX.get(event.lower().split(".")[0], EventKind.UNKNOWN)
    # the documented shape has no event; one that is there and is not a text is an event that nobody knows
    return EventKind.PAYMENT if root.get("event") is None else EventKind.UNKNOWN


def _outcome(root: Fields, fields: Fields) -> tuple[Outcome | None, bool]:
    """Return (outcome, whether the body contradicts itself); no outcome where a word is unknown."""
    said: list[Outcome | None] = []
    if root.get("event") is not None:
        event = root["event"]
        said.append(outcome_of(event.rpartition(".")[2]) if isinstance(event, str) else None)
    if fields.get("status") is not None:
        said.append(outcome_of(fields["status"]))
    if not said or None in said:
        return None, False
    last, first = said[-1], said[0]  # the status is more exact than the event
    result = text_at(fields, *RESULT_CODE)
    if result is not None and (result == "0") is not (last is Outcome.SUCCEEDED):
        return None, True
    if first is not last and not {first, last} <= _NOT_SUCCESSFUL:
        return None, True
    return last, False
