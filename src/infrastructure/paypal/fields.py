"""PayPal's words and shapes: amounts as decimal strings, states of captures and refunds, links by their meaning."""

from typing import Final

from domain.core.kernel.money import Money
from domain.core.payments.gateway import Outcome
from infrastructure.providers.fields import Fields, currency_named, money_of, object_at, text_at

CURRENCIES: Final = frozenset({"USD", "EUR", "GBP", "JPY"})
"""What PayPal takes of the currencies known here. It does not take Kenyan shillings."""

OUTCOME_BY_CAPTURE: Final = {
    "COMPLETED": Outcome.SUCCEEDED,
    "PENDING": Outcome.PENDING,
    "DECLINED": Outcome.FAILED,
    "FAILED": Outcome.FAILED,
}
"""A capture that was refunded is not among them: its money came and went, and nobody told us of its coming."""

OUTCOME_BY_REFUND: Final = {
    "COMPLETED": Outcome.SUCCEEDED,
    "PENDING": Outcome.PENDING,
    "FAILED": Outcome.FAILED,
    "CANCELLED": Outcome.FAILED,
}

APPROVE_LINKS: Final = frozenset({"payer-action", "approve"})
LINK_LENGTH_MAX: Final = 2048


def amount_fields(amount: Money) -> dict[str, str]:
    """Write an amount as PayPal takes it; yen have no decimals."""
    assert amount.currency in CURRENCIES, "see capabilities"
    return {"currency_code": amount.currency, "value": amount.text}


def money_at(fields: Fields, name: str = "amount") -> tuple[Money | None, str | None]:
    """Return (amount, None), or (None, the currency's word) where the currency is not one we know, or (None, None)."""
    found = object_at(fields, name)
    if found is None:
        return None, None
    currency, word = currency_named(found.get("currency_code"))
    if currency is None:
        return None, word
    return money_of(found.get("value"), currency), None


def word_at(fields: Fields, name: str) -> str | None:
    """Return a word in upper case."""
    word = text_at(fields, name)
    return word.upper() if word is not None else None


def objects_at(fields: Fields, name: str) -> list[Fields]:
    """Return the objects of a list."""
    found = fields.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def link_at(fields: Fields, meanings: frozenset[str]) -> str | None:
    """Return the first web address among the links that has one of these meanings."""
    for link in objects_at(fields, "links"):
        address = text_at(link, "href", length_max=LINK_LENGTH_MAX)
        if link.get("rel") in meanings and address is not None and address.startswith(("https://", "http://")):
            return address
    return None


def captures_of(order: Fields) -> list[Fields]:
    """Return the captures of an order."""
    return [
        capture
        for unit in objects_at(order, "purchase_units")
        for capture in objects_at(object_at(unit, "payments") or {}, "captures")
    ]


def reference_of(fields: Fields) -> str | None:
    """Return our own reference, which PayPal echoes in two places."""
    return text_at(fields, "custom_id", "invoice_id")


def reason_of(capture: Fields) -> str | None:
    """Return why a capture is pending or was declined, where PayPal says so."""
    return word_at(object_at(capture, "status_details") or {}, "reason")
