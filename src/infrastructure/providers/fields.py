"""Read single fields of what a provider sends: its names vary, its types vary, and none of that may crash or guess.

JSON is read so that every number stays the text it was sent as; no amount ever passes through a float.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from domain.core.kernel.money import DIGITS_BY_CURRENCY, InvalidAmount, Money

Fields = Mapping[str, object]
"""One JSON object with its numbers as text."""

TEXT_LENGTH_MAX: Final = 300
"""Characters kept of a sentence of the provider's."""

ID_LENGTH_MAX: Final = 128
"""Characters an id or a code may have; a longer one is not an id of a provider's and is left out, never cut."""

OWN_UNITS: Final = frozenset({"CRD"})
"""Units of this house that no payment provider can send."""

_AMOUNT = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,20}))?", re.ASCII)
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
        if text.lower() in _NOT_A_VALUE or len(text) > length_max or not can_be_stored(text):
            continue
        return text
    return None


def sentence_at(fields: Fields, *names: str) -> str | None:
    """Return the first sentence under `names`, cut to what is worth keeping."""
    cut = {name: value[:TEXT_LENGTH_MAX] for name in names if isinstance(value := fields.get(name), str)}
    return text_at(cut, *names, length_max=TEXT_LENGTH_MAX)


def money_of(value: object, currency: str) -> Money | None:
    """Return a decimal amount above zero that is exactly a whole number of minor units, else None."""
    found = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    fraction = (found[2] or "").rstrip("0")
    whole = found[1].lstrip("0") or "0"
    try:
        return Money.parse(f"{whole}.{fraction}" if fraction else whole, currency)
    except InvalidAmount:
        return None


def currency_named(value: object) -> tuple[str | None, str]:
    """Return (currency, currency) for one we know that a provider can send, else (None, the word as sent)."""
    word = value.strip().upper() if isinstance(value, str) else ""
    if word in DIGITS_BY_CURRENCY and word not in OWN_UNITS:
        return word, word
    return None, word[:8] if word and can_be_stored(word[:8]) else "?"


def moment_of(text: str | None) -> datetime | None:
    """Return an ISO 8601 moment in UTC; one without a zone is taken as UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def can_be_stored(text: str) -> bool:
    """Say whether the text survives UTF-8 and PostgreSQL: no lone surrogate, no NUL."""
    return not _NOT_STORABLE.search(text)
