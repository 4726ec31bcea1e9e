"""Money: a whole number of minor units in one currency, and the only place that reads or writes it as text."""

import re
from dataclasses import dataclass
from typing import Self

from domain.core.kernel.errors import FieldError, Invalid

BASIS_POINTS = 10_000
"""Basis points in the whole: 1,500 of them are 15 %."""

AMOUNT_MINOR_MAX = 10**12
"""The largest amount of one posting, in minor units (rule ledger.transfer_balances); far inside int64."""

DIGITS_BY_CURRENCY: dict[str, int] = {
    "KES": 2, "USD": 2, "EUR": 2, "GBP": 2, "UGX": 0, "TZS": 2, "RWF": 0, "UZS": 2, "NGN": 2, "ZAR": 2,
    "JPY": 0, "BHD": 3, "KWD": 3,
    "CRD": 2,  # credits of the time bank, not ISO 4217: hundredths of a credit
}  # fmt: skip
"""Minor-unit digits by currency code (ISO 4217)."""

_PLAIN_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,14})(?:\.([0-9]{1,3}))?", re.ASCII)


class InvalidAmount(Invalid):
    """An amount is a plain decimal number above zero, with no more digits than its currency has."""

    code = "kernel.invalid_amount"


class UnknownCurrency(Invalid):
    """This currency is not known here."""

    code = "payments.currency_not_supported"


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount of one currency in whole minor units; adding two currencies is a mistake of ours, no input error."""

    minor: int
    currency: str = "KES"

    def __post_init__(self) -> None:
        if type(self.minor) is not int:  # bool and float are programmer errors, not user input
            raise TypeError(f"minor units must be int, got {self.minor!r}")
        if self.currency not in DIGITS_BY_CURRENCY:
            raise UnknownCurrency

    @classmethod
    def parse(
        cls, value: str | int | float, currency: str = "KES", *, field: str = "amount", minor_least: int = 1
    ) -> Self:
        """Read an amount above zero as a client sends it: `"100.50"`, `100` or `100.5`; a price may be 0.

        Raises InvalidAmount for anything but a plain ASCII decimal (no exponent, sign, grouping, NaN) that is a
        whole number of minor units, and UnknownCurrency.
        """
        if currency not in DIGITS_BY_CURRENCY:
            raise UnknownCurrency(errors=(FieldError("currency", "is not known here"),))
        refused = InvalidAmount(errors=(FieldError(field, "is not an amount of this currency"),))
        if isinstance(value, bool):
            raise refused
        found = _PLAIN_DECIMAL.fullmatch(value if isinstance(value, str) else repr(value))
        if found is None:
            raise refused
        digits = DIGITS_BY_CURRENCY[currency]
        fraction = found[2] or ""
        if isinstance(value, float):
            fraction = fraction.rstrip("0")  # repr(100.0) ends in ".0" in every currency
        if len(fraction) > digits:
            raise refused
        minor = int(found[1] + fraction.ljust(digits, "0"))
        if not minor_least <= minor <= AMOUNT_MINOR_MAX:
            raise refused
        return cls(minor, currency)

    @classmethod
    def zero(cls, currency: str = "KES") -> Self:
        """Return nothing of a currency."""
        return cls(0, currency)

    @property
    def text(self) -> str:
        """The decimal string of the wire, with the currency's own number of digits: `"1500.00"`."""
        digits = DIGITS_BY_CURRENCY[self.currency]
        sign = "-" if self.minor < 0 else ""
        whole, fraction = divmod(abs(self.minor), 10**digits)
        return f"{sign}{whole}.{fraction:0{digits}d}" if digits else f"{sign}{whole}"

    def __str__(self) -> str:
        return f"{self.text} {self.currency}"

    def __add__(self, other: Self) -> Self:
        assert self.currency == other.currency, "one sum, one currency"
        return type(self)(self.minor + other.minor, self.currency)

    def __sub__(self, other: Self) -> Self:
        assert self.currency == other.currency, "one sum, one currency"
        return type(self)(self.minor - other.minor, self.currency)

    def __neg__(self) -> Self:
        return type(self)(-self.minor, self.currency)

    def split_fee(self, fee_basis_points: int) -> tuple[Self, Self]:
        """Return (fee, remainder); the fee rounds down (ledger.fee_rounds_down), so the payee never loses a cent."""
        assert 0 <= fee_basis_points <= BASIS_POINTS
        fee = self.minor * fee_basis_points // BASIS_POINTS
        return type(self)(fee, self.currency), type(self)(self.minor - fee, self.currency)
