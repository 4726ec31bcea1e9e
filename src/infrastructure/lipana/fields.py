"""Lipana's own names for things, of which it has several for each, and its words for what happened."""

from typing import Final

from domain.core.payments.gateway import Outcome
from infrastructure.providers.fields import Fields, currency_named, object_at, text_at

TRANSACTION_ID: Final = ("transactionId", "transaction_id", "transactionID", "id", "_id")
CHECKOUT_ID: Final = ("checkoutRequestID", "checkoutRequestId", "checkout_request_id")
AMOUNT: Final = ("amount", "Amount")
PHONE: Final = ("phone", "phoneNumber", "phone_number", "msisdn")
RECEIPT: Final = ("mpesaReceiptNumber", "mpesa_receipt_number", "receiptNumber", "mpesaCode")
REFERENCE: Final = ("reference", "accountReference", "account_reference")
RESULT_CODE: Final = ("resultCode", "result_code")
RESULT_TEXT: Final = ("resultDesc", "result_desc", "message")
MOMENT: Final = ("timestamp", "createdAt", "created_at", "updatedAt")

OUTCOME_BY_WORD: Final = {
    "success": Outcome.SUCCEEDED, "completed": Outcome.SUCCEEDED, "paid": Outcome.SUCCEEDED,
    "failed": Outcome.FAILED, "failure": Outcome.FAILED, "error": Outcome.FAILED,
    "cancelled": Outcome.CANCELLED, "canceled": Outcome.CANCELLED,
    "pending": Outcome.PENDING,
}  # fmt: skip
"""Rule callback.status_words."""


def transaction_id_at(fields: Fields) -> str | None:
    """Return the transaction's id under any of its names."""
    return text_at(fields, *TRANSACTION_ID) or text_at(object_at(fields, "transaction") or {}, "id")


def amount_at(fields: Fields) -> object:
    """Return whatever stands where the amount should be."""
    return next((fields[name] for name in AMOUNT if fields.get(name) is not None), None)


def currency_of(value: object) -> tuple[str | None, str | None]:
    """Return (currency, None) for one we know, absent meaning KES, else (None, the word as sent)."""
    if value is None:
        return "KES", None
    currency, word = currency_named(value)
    return (currency, None) if currency else (None, word)


def outcome_of(word: object) -> Outcome | None:
    """Return what a status word means, or None for one we do not know (rule callback.status_words)."""
    return OUTCOME_BY_WORD.get(word.strip().lower()) if isinstance(word, str) else None
