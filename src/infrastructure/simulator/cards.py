"""A provider of cards, Payme and Click that is ours: it answers at once, keeps three per cent, and calls nobody back.

How a charge ends is told by the card's number, or by a script. A number is looked at and forgotten: what is kept of a
card is its brand, its last four digits and a token that tells how the next charge of it ends.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from application.core.kernel.ports import Clock
from application.core.payments.simulation import NothingToDeliver, OutcomeNotSimulated, Script, SimulatedOutcome
from infrastructure.simulator.fates import LATE, NOT_TAKEN

CARD: Final = "card"
METHODS: Final = frozenset({CARD, "payme", "click"})
REFUND: Final = "refund"
"""What a script names to be for money that is given back."""

FEE_BASIS_POINTS: Final = 300
NUMBER_LENGTHS: Final = range(12, 20)

DECLINED, NO_FUNDS, NETWORK, FRAUD, INVALID = (
    "CARD_DECLINED", "INSUFFICIENT_FUNDS", "NETWORK_ERROR", "FRAUD_DETECTED", "INVALID_CARD",
)  # fmt: skip
CODE_BY_NUMBER: Final = {
    "4000000000000002": DECLINED,
    "4000000000009995": NO_FUNDS,
    "4000000000000119": NETWORK,
    "4100000000000019": FRAUD,
}
SENTENCE_BY_CODE: Final = {
    DECLINED: "The bank declined the card.",
    NO_FUNDS: "The balance is not enough.",
    NETWORK: "The charge did not reach the bank; it can be tried again.",
    FRAUD: "The bank takes this charge for a fraud.",
    INVALID: "There is no card of this number.",
    "CANCELLED": "The payer cancelled.",
}
TOKEN_WORDS: Final = {"ok": None, "declined": DECLINED, "funds": NO_FUNDS, "fraud": FRAUD}
"""How a token says what becomes of the next charge; a bank that was not reached once is reached the next time."""

_BRANDS: Final = (("4", "visa"), ("5", "mastercard"), ("2", "mastercard"), ("34", "amex"), ("37", "amex"))
_CHARGE_OUTCOMES: Final = (
    frozenset(
        {
            SimulatedOutcome.SUCCESS,
            SimulatedOutcome.FAILED,
            SimulatedOutcome.INSUFFICIENT_FUNDS,
            SimulatedOutcome.CANCELLED,
            SimulatedOutcome.NO_ANSWER,
            SimulatedOutcome.ANSWER_LOST,
            SimulatedOutcome.AMOUNT_SHORT,
            SimulatedOutcome.AMOUNT_OVER,
            SimulatedOutcome.LATE_SUCCESS,
            SimulatedOutcome.WRONG_CURRENCY,
            SimulatedOutcome.HTML_PAGE,
            SimulatedOutcome.TRUNCATED_JSON,
            SimulatedOutcome.WRONG_SHAPE,
        }
    )
    | NOT_TAKEN
)
_REFUND_ONLY: Final = frozenset({SimulatedOutcome.REFUND_REFUSED, SimulatedOutcome.REFUND_FAILS_LATER})
_REFUND_OUTCOMES: Final = (
    _REFUND_ONLY | {SimulatedOutcome.SUCCESS, SimulatedOutcome.NO_ANSWER, SimulatedOutcome.ANSWER_LOST} | NOT_TAKEN
)
_FAILS_LATER_AFTER: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedCard:
    """A card as it came; it is looked at and forgotten."""

    number: str = field(repr=False)


@dataclass(slots=True, kw_only=True)
class Charge:
    """One charge and its fate, written down when it was taken. Amounts in minor units."""

    id: str
    key: str
    method: str
    reference: str
    description: str
    asked: int
    asked_currency: str
    amount: int
    """What really moves."""
    currency: str
    created_at: datetime
    ends_at: datetime | None
    """None: never."""
    ending: str
    """`succeeded`, `failed` or `cancelled`."""
    outcome: SimulatedOutcome
    code: str | None = None
    brand: str | None = None
    last4: str | None = None
    token: str | None = None
    given_back: int = 0

    def status(self, now: datetime) -> str:
        """Return `pending`, or how it ended."""
        return "pending" if self.ends_at is None or self.ends_at > now else self.ending

    @property
    def fee(self) -> int:
        """What the provider keeps of a success: 3 %, rounded to the nearest minor unit, a half upwards."""
        return (self.amount * FEE_BASIS_POINTS + 5_000) // 10_000


@dataclass(slots=True, kw_only=True)
class Refund:
    """Money on its way back. Amount in minor units."""

    id: str
    key: str
    charge: str
    amount: int
    currency: str
    created_at: datetime
    ends_at: datetime | None
    fails_at: datetime | None = None
    """When one that was taken turns out not to arrive."""
    code: str | None = None

    def status(self, now: datetime) -> str:
        """Return `pending`, `succeeded` or `failed`."""
        if self.code is not None and (self.fails_at is None or self.fails_at <= now):
            return "failed"
        return "pending" if self.ends_at is None or self.ends_at > now else "succeeded"


class ChargeRefused(Exception):
    """The provider read the request and will not carry it out; `code` is its word for why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(slots=True)
class _Rule:
    script: Script
    left: int | None


class CardSimulator:
    """The provider itself, without its HTTP."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rules: list[_Rule] = []
        self._charges: dict[str, Charge] = {}
        self._refunds: dict[str, Refund] = {}

    def now(self) -> datetime:
        """Return the simulator's time."""
        return self._clock.now()

    async def script(self, script: Script) -> None:
        """Say how the next charges or refunds end; the latest script that matches counts. Raises OutcomeNotSimulated.

        Matching `refund`, or with an outcome that only a refund can have, it is for refunds.
        """
        method = script.match.method
        if method is not None and method not in METHODS | {REFUND}:
            raise OutcomeNotSimulated(f"Cards, Payme and Click know no method {method}.")
        if script.match.phone is not None:
            raise OutcomeNotSimulated("Cards, Payme and Click know no phone.")
        outcomes = _REFUND_OUTCOMES if _is_for_refunds(script) else _CHARGE_OUTCOMES
        if script.outcome not in outcomes:
            raise OutcomeNotSimulated("Cards, Payme and Click cannot end so.")
        self._rules.insert(0, _Rule(script, script.times))

    async def deliver(self, reference: str) -> int:
        """Send no callbacks: there are none. Raises NothingToDeliver where the reference is nobody's."""
        if not any(reference in {one.id, one.reference} for one in self._charges.values()):
            raise NothingToDeliver
        return 0

    def take_rule(self, method: str, description: str, *, is_refund: bool = False) -> Script | None:
        """Return the script for this charge or refund, using up one of its times."""
        for rule in self._rules:
            if rule.left != 0 and _matches(rule.script, method, description, is_refund=is_refund):
                if rule.left is not None:
                    rule.left -= 1
                return rule.script
        return None

    def charged(self, key: str) -> Charge | None:
        """Return the charge that was made under a key."""
        return next((one for one in self._charges.values() if one.key == key), None)

    def charge(
        self,
        *,
        key: str,
        method: str,
        reference: str,
        description: str,
        amount: int,
        currency: str,
        card: TypedCard | None,
        token: str | None,
        script: Script | None,
    ) -> Charge:
        """Charge. Raises ChargeRefused for a token that is nobody's."""
        now = self.now()
        outcome = script.outcome if script is not None else SimulatedOutcome.SUCCESS
        code = _code_of(script) if script is not None else _code_of_card(card, token)
        if script is None and code is not None:
            outcome = SimulatedOutcome.FAILED
        ends_at: datetime | None = now
        if outcome is SimulatedOutcome.NO_ANSWER:
            ends_at = None
        elif outcome is SimulatedOutcome.LATE_SUCCESS:
            ends_at = now + LATE
        elif script is not None and script.delay_s is not None:
            ends_at = now + timedelta(seconds=script.delay_s)
        moved, moved_currency = _moved(outcome, amount, currency)
        ending = "succeeded" if code is None else "cancelled" if outcome is SimulatedOutcome.CANCELLED else "failed"
        charge = Charge(
            id=f"ch_{secrets.token_hex(12)}",
            key=key,
            method=method,
            reference=reference,
            description=description,
            asked=amount,
            asked_currency=currency,
            amount=moved,
            currency=moved_currency,
            created_at=now,
            ends_at=ends_at,
            ending=ending,
            outcome=outcome,
            code=code,
        )
        _remember(charge, card, token)
        self._charges[charge.id] = charge
        return charge

    def find(self, charge_id: str) -> Charge | None:
        """Return a charge."""
        return self._charges.get(charge_id)

    def find_refund(self, refund_id: str) -> Refund | None:
        """Return a refund."""
        return self._refunds.get(refund_id)

    def charges(self) -> Sequence[Charge]:
        """Return every charge, oldest first."""
        return tuple(self._charges.values())

    def refunded(self, key: str) -> Refund | None:
        """Return the refund that was made under a key."""
        return next((one for one in self._refunds.values() if one.key == key), None)

    def given_back(self) -> int:
        """Return what was given back of all charges, in minor units."""
        return sum(one.given_back for one in self._charges.values())

    def refund(self, *, key: str, charge: Charge, amount: int, currency: str, script: Script | None) -> Refund:
        """Give money back. Raises ChargeRefused."""
        now = self.now()
        if script is not None and script.outcome is SimulatedOutcome.REFUND_REFUSED:
            raise ChargeRefused(script.code or "REFUND_REFUSED")
        if charge.status(now) != "succeeded" or currency != charge.currency:
            raise ChargeRefused("NOT_REFUNDABLE")
        if amount < 1 or charge.given_back + amount > charge.amount:
            raise ChargeRefused("REFUND_EXCEEDS_CHARGE")
        ends_at: datetime | None = now
        fails_at, code = None, None
        delay = None if script is None or script.delay_s is None else timedelta(seconds=script.delay_s)
        if script is not None and script.outcome is SimulatedOutcome.NO_ANSWER:
            ends_at = None
        elif script is not None and script.outcome is SimulatedOutcome.REFUND_FAILS_LATER:
            ends_at = None
            fails_at, code = now + (delay or _FAILS_LATER_AFTER), script.code or "REFUND_FAILED"
        elif delay is not None:
            ends_at = now + delay
        refund = Refund(
            id=f"re_{secrets.token_hex(12)}",
            key=key,
            charge=charge.id,
            amount=amount,
            currency=currency,
            created_at=now,
            ends_at=ends_at,
            fails_at=fails_at,
            code=code,
        )
        charge.given_back += 0 if code is not None else amount
        self._refunds[refund.id] = refund
        return refund


def has_check_digit(number: str) -> bool:
    """Tell whether a number passes the check that Luhn found for mistyped digits."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _is_for_refunds(script: Script) -> bool:
    return script.match.method == REFUND or script.outcome in _REFUND_ONLY


def _matches(script: Script, method: str, description: str, *, is_refund: bool) -> bool:
    if _is_for_refunds(script) is not is_refund:
        return False
    if script.match.method not in {None, method, REFUND}:
        return False
    return script.match.purpose is None or _plain(description).startswith(_plain(script.match.purpose))


def _plain(words: str) -> str:
    return "".join(letter for letter in words.lower() if letter.isalnum())


def _code_of(script: Script) -> str | None:
    """Return the code with which a scripted charge fails, None for one that does not."""
    match script.outcome:
        case SimulatedOutcome.FAILED:
            return script.code or DECLINED
        case SimulatedOutcome.INSUFFICIENT_FUNDS:
            return script.code or NO_FUNDS
        case SimulatedOutcome.CANCELLED:
            return script.code or "CANCELLED"
        case _:
            return None


def _code_of_card(card: TypedCard | None, token: str | None) -> str | None:
    """Return the code with which a charge of this card fails. Raises ChargeRefused."""
    if card is not None:
        is_number = card.number.isascii() and card.number.isdigit() and len(card.number) in NUMBER_LENGTHS
        if not is_number or not has_check_digit(card.number):
            return INVALID
        return CODE_BY_NUMBER.get(card.number)
    if token is None:
        return None
    word = token.split("_")[1:2]
    if not word or word[0] not in TOKEN_WORDS:
        raise ChargeRefused("TOKEN_UNKNOWN")
    return TOKEN_WORDS[word[0]]


def _remember(charge: Charge, card: TypedCard | None, token: str | None) -> None:
    """Keep of a card what may be kept (rule payments.no_card_data_kept)."""
    if card is None:
        charge.token = token
        return
    code = _code_of_card(card, None)
    if code == INVALID:
        return
    word = next((word for word, meant in TOKEN_WORDS.items() if meant == code), "ok")
    charge.brand = next((brand for start, brand in _BRANDS if card.number.startswith(start)), "card")
    charge.last4 = card.number[-4:]
    charge.token = f"tok_{word}_{secrets.token_hex(12)}"


def _moved(outcome: SimulatedOutcome, asked: int, currency: str) -> tuple[int, str]:
    """Return what really moves when it succeeds, in minor units, and its currency."""
    match outcome:
        case SimulatedOutcome.AMOUNT_SHORT:
            return max(1, asked - 1_00), currency
        case SimulatedOutcome.AMOUNT_OVER:
            return asked + 1_00, currency
        case SimulatedOutcome.WRONG_CURRENCY:
            return asked, "KES" if currency == "USD" else "USD"
        case _:
            return asked, currency
