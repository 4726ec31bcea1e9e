"""What a card must look like before anybody is asked to charge it. Whether it exists is the gateway's to say."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from domain.core.kernel.errors import FieldError, Invalid
from domain.core.payments.gateway import Card


class CardIncomplete(Invalid):
    """A card needs its number, expiry, security code and holder."""

    code = "payments.card_incomplete"


class CardExpired(Invalid):
    """This card has expired."""

    code = "payments.card_expired"


_NUMBER: Final = re.compile(r"[0-9](?:[ -]?[0-9]){0,18}", re.ASCII)
_EXPIRY: Final = re.compile(r"(0[1-9]|1[0-2]) ?/ ?([0-9]{2})", re.ASCII)
_CVV: Final = re.compile(r"[0-9]{3,4}", re.ASCII)
_CENTURY: Final = 2000


def check_typed(card: Card | None, now: datetime) -> None:
    """Let a card pass whose four fields are there and can be read; none of what was typed is in the refusal.

    A card is good until the end of the month it names. Raises CardIncomplete, CardExpired.
    """
    wrong = _wrong_fields(card)
    if card is None or wrong:
        raise CardIncomplete(errors=tuple(wrong))
    found = _EXPIRY.fullmatch(card.expiry.strip())
    assert found is not None, "checked above"
    if (_CENTURY + int(found[2]), int(found[1])) < (now.year, now.month):
        raise CardExpired(errors=(FieldError("card_expiry", "lies in the past"),))


def number_digits(number: str) -> str:
    """Return a card number without the gaps in which people type it."""
    return number.replace(" ", "").replace("-", "")


def _wrong_fields(card: Card | None) -> Sequence[FieldError]:
    rules = (
        ("card_number", card and card.number, _NUMBER, "must be digits"),
        ("card_expiry", card and card.expiry, _EXPIRY, "must be MM/YY"),
        ("card_cvv", card and card.cvv, _CVV, "must be three or four digits"),
        ("card_holder", card and card.holder, None, ""),
    )
    wrong = []
    for field, typed, form, rule in rules:
        text = (typed or "").strip()
        if not text:
            wrong.append(FieldError(field, "is required"))
        elif form is not None and form.fullmatch(text) is None:
            wrong.append(FieldError(field, rule))
    return wrong
