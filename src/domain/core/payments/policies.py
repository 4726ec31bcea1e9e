"""The business numbers of payments, as administrators may change them."""

import re
from decimal import Decimal

from domain.core.kernel.policies import Policy, PolicyValueRefused, number_policy

ATTEMPT_EXPIRY = number_policy("payments.attempt_expiry", 15, "min", minimum=1, maximum=1_440)
PUSH_LIMIT = number_policy("payments.push_limit", 3, "per 10 min and phone", minimum=1, maximum=100)
PARKED_EVENT_LIFE = number_policy("payments.parked_event_life", 24, "h", minimum=1, maximum=720)
TOPUP_MIN = number_policy("payments.topup_min", 10_00, "KES cents", minimum=1)
TOPUP_MAX = number_policy("payments.topup_max", 150_000_00, "KES cents", minimum=1)
FX_QUOTE_LIFE = number_policy("payments.fx_quote_life", 15, "min", minimum=1, maximum=1_440)

_RATE = re.compile(r"([1-9][0-9]{0,5}\.[0-9]{2,4})@([0-9]{4}-[0-9]{2}-[0-9]{2})", re.ASCII)


def _rate_with_date(text: str) -> str:
    if _RATE.fullmatch(text) is None:
        raise PolicyValueRefused("The value must be a rate and its date, such as 129.50@2026-01-15.")
    return text


FX_USD_KES = Policy(
    "payments.fx_usd_kes", "129.50@2026-01-15", "KES per USD, @ and the date of the rate", _rate_with_date
)


def rate_and_date(value: str) -> tuple[Decimal, str]:
    """Return the rate in shillings per dollar and its ISO date."""
    rate, _, day = value.partition("@")
    return Decimal(rate), day


WITHDRAWAL_MINIMUM = number_policy("withdrawals.minimum", 100_00, "KES cents", minimum=1)
CHANGED_DESTINATION_WAIT = number_policy("withdrawals.changed_destination_wait", 72, "h", maximum=720)
