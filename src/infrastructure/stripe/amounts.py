"""Write money as Stripe does, and read it: whole numbers, of minor units for most currencies."""

import re
from datetime import UTC, datetime
from typing import Final

from domain.core.kernel.money import AMOUNT_MINOR_MAX, DIGITS_BY_CURRENCY, Money
from infrastructure.providers.fields import OWN_UNITS, currency_named

DIGITS_MAX: Final = 8
"""Digits that an amount may have at Stripe."""

WITHOUT_MINOR_UNITS: Final = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"}
)
"""Currencies of which Stripe counts whole units. The Ugandan shilling has no cents either, and is sent with 00."""

CURRENCIES: Final = frozenset(
    code for code, digits in DIGITS_BY_CURRENCY.items() if digits <= 2 and code not in OWN_UNITS
)
"""What is collected through Stripe. Of currencies with three digits it takes only amounts whose last one is zero."""

_WHOLE = re.compile(r"[0-9]{1,15}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)


def written(amount: Money) -> int:
    """Return the number that means this amount at Stripe."""
    assert amount.currency in CURRENCIES, "see capabilities"
    return amount.minor * _stripe_units_per_minor(amount.currency)


def is_writable(amount: Money) -> bool:
    """Tell whether the number is short enough for Stripe."""
    return len(str(written(amount))) <= DIGITS_MAX


def money_at(amount: object, currency: object) -> tuple[Money | None, str | None]:
    """Return (amount, None) where both can be read exactly, else (None, the currency as sent where we know it not)."""
    known, word = currency_named(currency)
    if known is None:
        return None, word if isinstance(currency, str) else None
    if not isinstance(amount, str) or _WHOLE.fullmatch(amount) is None:
        return None, None
    minor, rest = divmod(int(amount), _stripe_units_per_minor(known))
    if rest or not 0 < minor <= AMOUNT_MINOR_MAX:
        return None, None
    return Money(minor, known), None


def moment_at(seconds: object) -> datetime | None:
    """Return the moment that a number of seconds since 1970 means."""
    if not isinstance(seconds, str) or _SECONDS.fullmatch(seconds) is None:
        return None
    return datetime.fromtimestamp(int(seconds), UTC)


def _stripe_units_per_minor(currency: str) -> int:
    digits = 0 if currency in WITHOUT_MINOR_UNITS else max(2, DIGITS_BY_CURRENCY[currency])
    return int(10 ** (digits - DIGITS_BY_CURRENCY[currency]))
