"""What Daraja's result codes prove of a prompt and of a payout."""

from collections.abc import Mapping
from typing import Final

from domain.core.payments.gateway import Authority, Outcome
from infrastructure.providers.mpesa import code_of

ENDS_OF_PROMPTS: Final[Mapping[str, Outcome]] = {
    "0": Outcome.SUCCEEDED,
    "1019": Outcome.EXPIRED,
    "1032": Outcome.CANCELLED,
    "1037": Outcome.EXPIRED,  # the phone was off; seen to be paid later
    "4999": Outcome.PENDING,
}
"""Any other code is a failure."""

FAILED_PAYOUTS: Final[Mapping[str, str]] = {
    "1": "FLOAT_TOO_LOW",
    "2": "BELOW_MINIMUM",
    "3": "ABOVE_MAXIMUM",
    "4": "DAILY_LIMIT",
    "8": "RECEIVER_LIMIT",
    "17": "RULE_LIMITED",
    "26": "BUSY",
    "2001": "INITIATOR_REFUSED",
    "2028": "NOT_ENTITLED",
}
"""Codes after which no money has left; one that is not here proves nothing, and the money stays set aside."""

OUTCOME_BY_TRANSACTION_STATUS: Final[Mapping[str, Outcome]] = {
    "completed": Outcome.SUCCEEDED,
    "failed": Outcome.FAILED,
    "declined": Outcome.FAILED,
    "cancelled": Outcome.FAILED,
    "expired": Outcome.FAILED,
}
"""Words of a transaction-status result; any other is no end."""


def end_of_prompt(code: str | None) -> tuple[Outcome, str | None]:
    """Return how a prompt ended and why, or UNKNOWN for a code that is none."""
    if code is None:
        return Outcome.UNKNOWN, None
    outcome = ENDS_OF_PROMPTS.get(code, Outcome.FAILED)
    return outcome, None if outcome is Outcome.SUCCEEDED else code_of(code)


def end_of_payout(code: str | None) -> tuple[Outcome, str | None]:
    """Return how a payout ended and why, or UNKNOWN for a code that proves nothing."""
    if code == "0":
        return Outcome.SUCCEEDED, None
    known = FAILED_PAYOUTS.get(code or "")
    return (Outcome.FAILED, known) if known else (Outcome.UNKNOWN, None if code is None else code_of(code))


def authority_of(outcome: Outcome) -> Authority:
    """Return what an outcome that was read from an answer is worth."""
    return Authority.HINT if outcome is Outcome.UNKNOWN else Authority.DEFINITIVE
