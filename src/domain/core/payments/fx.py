"""Prices in dollars, charged in shillings at a rate that is frozen for a while (rule payments.fx_quote_is_frozen)."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import ceil

from domain.core.kernel.money import Money
from domain.core.payments.policies import rate_and_date

CENTS_IN_SHILLING = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FxQuote:
    """A price in dollars and the rate it is charged at; kept on the intent."""

    usd: Money
    rate: str
    """Shillings per dollar, as a decimal."""
    rate_date: date
    expires_at: datetime

    def __post_init__(self) -> None:
        assert self.usd.currency == "USD"

    @property
    def shillings(self) -> Money:
        """What is charged."""
        return quote_in_shillings(self.usd.minor, self.rate)


def quote_in_shillings(usd_minor: int, rate: str) -> Money:
    """Return the price in whole shillings, rounded up: 5.00 USD at 129.50 is 648.00 KES."""
    assert usd_minor > 0
    shillings = ceil(Decimal(usd_minor) * Decimal(rate) / 100)  # exact: 28 digits are far more than both have
    return Money(shillings * CENTS_IN_SHILLING, "KES")


def quote(usd: Money, policy_value: str, *, life: timedelta, now: datetime) -> FxQuote:
    """Return a quote at the rate that the policy payments.fx_usd_kes gives."""
    rate, day = rate_and_date(policy_value)
    return FxQuote(usd=usd, rate=str(rate), rate_date=date.fromisoformat(day), expires_at=now + life)
