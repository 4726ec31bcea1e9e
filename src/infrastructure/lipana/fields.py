"""Read single fields of what Lipana sends: its field names vary, its types vary, and none of that may crash or guess.

JSON is read so that every number stays the text it was sent as; no amount ever passes through a float.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from domain.core.kernel.money import DIGITS_BY_CURRENCY, InvalidAmount, Money
from domain.core.payments.gateway import Outcome

Fields = Mapping[str, object]
"""One JSON object with its numbers as text."""

TEXT_LENGTH_MAX: Final = 300
"""Characters kept of a sentence of the provider's."""

ID_LENGTH_MAX: Final = 128
"""Characters an id or a code may have; a longer one is not an id of Lipana's and is left out, never cut."""

OWN_UNITS: Final = frozenset({"CRD"})
"""Units of this house that no payment provider can send."""

TRANSACTION_ID: Final = ("transactionId", "transaction_id", "transactionID", "id", "_id")
CHECKOUT_ID: Final = ("checkoutRequestID", "checkoutRequestId", "checkout_request_id")
AMOUNT: Final = ("amount", "Amount")
PHONE: Final = ("phone", "phoneNumber", "phone_number", "msisdn")
RECEIPT: Final = ("mpesaReceiptNumber", "mpesa_receipt_number", "receiptNumber", "mpesaCode")
REFERENCE: Final = ("reference", "accountReference", "account_reference")
RESULT_CODE: Final = ("resultCode", "result_code")
RESULT_TEXT: Final = ("resultDesc", "result_desc", "message")
MOMENT: Final = ("timestamp", "createdAt", "created_at", "updatedAt")

OUTCOME_BY_WORD: Final = {
    "success": Outcome.SUCCEEDED, "completed": Outcome.SUCCEEDED, "paid": Outcome.SUCCEEDED,
    "failed": Outcome.FAILED, "failure": Outcome.FAILED, "error": Outcome.FAILED,
    "cancelled": Outcome.CANCELLED, "canceled": Outcome.CANCELLED,
    "pending": Outcome.PENDING,
}  # fmt: skip
"""Rule callback.status_words."""

WORD_BY_RESULT_CODE: Final = {
    "1": "INSUFFICIENT_FUNDS", "2": "BELOW_MINIMUM", "3": "ABOVE_MAXIMUM", "4": "DAILY_LIMIT", "8": "RECEIVER_LIMIT",
    "17": "RULE_LIMITED", "26": "BUSY", "1001": "BUSY", "1019": "PROMPT_EXPIRED", "1025": "PROMPT_NOT_SENT",
    "9999": "PROMPT_NOT_SENT", "1032": "CANCELLED_BY_PAYER", "1037": "NO_ANSWER", "2001": "WRONG_PIN",
}  # fmt: skip
"""M-Pesa's numbers, which Lipana passes on, in words; a number that is not here stays a number."""

CANCELLED_BY_PAYER: Final = "CANCELLED_BY_PAYER"

_AMOUNT = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,20}))?", re.ASCII)
_KENYAN_MOBILE = re.compile(r"(?:\+?254|0)([17][0-9]{8})", re.ASCII)
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")
_NOT_A_VALUE = frozenset({"", "undefined", "null", "none"})


class NotAnObject(Exception):
    """These bytes are not one JSON object in UTF-8."""


def read_object(body: bytes) -> Fields:
    """Return the JSON object in `body`. Raises NotAnObject."""
    try:
        read = json.loads(body.decode("utf-8"), parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise NotAnObject from error
    if not isinstance(read, dict):
        raise NotAnObject
    return read


def object_at(fields: Fields, name: str) -> Fields | None:
    """Return the object under `name` if there is one with anything in it."""
    found = fields.get(name)
    return found if isinstance(found, dict) and found else None


def text_at(fields: Fields, *names: str, length_max: int = ID_LENGTH_MAX) -> str | None:
    """Return the first usable text under `names`: a string or a number that says something and can be stored."""
    for name in names:
        found = fields.get(name)
        if not isinstance(found, str):
            continue
        text = found.strip()
        if text.lower() in _NOT_A_VALUE or len(text) > length_max or not _can_be_stored(text):
            continue
        return text
    return None


def sentence_at(fields: Fields, *names: str) -> str | None:
    """Return the first sentence under `names`, cut to what is worth keeping."""
    cut = {name: value[:TEXT_LENGTH_MAX] for name in names if isinstance(value := fields.get(name), str)}
    return text_at(cut, *names, length_max=TEXT_LENGTH_MAX)


def transaction_id_at(fields: Fields) -> str | None:
    """Return the transaction's id under any of its names."""
    return text_at(fields, *TRANSACTION_ID) or text_at(object_at(fields, "transaction") or {}, "id")


def money_of(value: object, currency: str) -> Money | None:
    """Return an amount above zero that is exactly a whole number of minor units, else None."""
    found = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    fraction = (found[2] or "").rstrip("0")
    whole = found[1].lstrip("0") or "0"
    try:
        return Money.parse(f"{whole}.{fraction}" if fraction else whole, currency)
    except InvalidAmount:
        return None


def amount_at(fields: Fields) -> object:
    """Return whatever stands where the amount should be."""
    return next((fields[name] for name in AMOUNT if fields.get(name) is not None), None)


def currency_of(value: object) -> tuple[str | None, str | None]:
    """Return (currency, None) for one we know, absent meaning KES, else (None, the word as sent)."""
    if value is None:
        return "KES", None
    word = value.strip().upper() if isinstance(value, str) else ""
    if word in DIGITS_BY_CURRENCY and word not in OWN_UNITS:
        return word, None
    return None, word[:8] if word and _can_be_stored(word[:8]) else "?"


def outcome_of(word: object) -> Outcome | None:
    """Return what a status word means, or None for one we do not know (rule callback.status_words)."""
    return OUTCOME_BY_WORD.get(word.strip().lower()) if isinstance(word, str) else None


def code_of(code: str | None) -> str | None:
    """Return a provider's code in upper case, M-Pesa's known numbers as words."""
    return None if code is None else WORD_BY_RESULT_CODE.get(code, code.upper())


def phone_of(text: str | None) -> str | None:
    """Return a Kenyan mobile number in E.164; anything else, a masked number for example, as it came."""
    if text is None:
        return None
    found = _KENYAN_MOBILE.fullmatch(text.replace(" ", "").replace("-", ""))
    return f"+254{found[1]}" if found else text


def moment_of(text: str | None) -> datetime | None:
    """Return an ISO 8601 moment in UTC; one without a zone is taken as UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _can_be_stored(text: str) -> bool:
    """Say whether the text survives UTF-8 and PostgreSQL: no lone surrogate, no NUL."""
    return not _NOT_STORABLE.search(text)
