"""Prices as workers name them."""

import re
from typing import Final

from domain.core.kernel.errors import FieldError, Invalid
from domain.core.kernel.money import Money, UnknownCurrency

CREDITS: Final = "CRD"
"""What the time bank counts in. It is no money, so nothing is sold for it."""

_BOUND = re.compile(r"(0|[1-9][0-9]{0,14})(?:\.([0-9]{1,3}))?", re.ASCII)


def read_price(
    value: str | int | float | None, currency: str | None, *, field: str, instead_of: Money | None = None
) -> Money:
    """Read a price, which may be 0: its amount, its currency or both in place of a former one.

    Raises InvalidAmount, UnknownCurrency.
    """
    former = instead_of or Money.zero()
    if currency == CREDITS:
        raise UnknownCurrency(errors=(FieldError("currency", "is no money"),))
    amount = former.text if value is None else value
    return Money.parse(amount, currency or former.currency, field=field, minor_least=0)


def read_price_bound(text: str | None, *, field: str) -> int | None:
    """Read a bound of prices, in thousandths of a whole unit of whatever currency. Raises Invalid."""
    if text is None:
        return None
    found = _BOUND.fullmatch(text)
    if found is None:
        raise Invalid(errors=(FieldError(field, "is not a price"),))
    return int(found[1] + (found[2] or "").ljust(3, "0"))
