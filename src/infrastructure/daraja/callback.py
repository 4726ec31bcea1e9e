"""Read what Daraja posts: how a prompt ended, how a payout ended, what a question found, or that it takes longer.

Nobody signs these. What is read here of a prompt that was paid is a hint; the provider is asked before anything moves.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from application.core.payments.gateway import CallbackMalformed
from domain.core.payments.gateway import EventKind, GatewayNotice, Outcome, ProviderReferences
from infrastructure.daraja.addresses import Addressee, Purpose
from infrastructure.daraja.credentials import moment_of_timestamp
from infrastructure.daraja.results import OUTCOME_BY_TRANSACTION_STATUS, end_of_payout, end_of_prompt
from infrastructure.providers.fields import (
    Fields,
    NotAnObject,
    money_of,
    object_at,
    read_object,
    sentence_at,
    text_at,
)
from infrastructure.providers.mpesa import code_of, phone_of

FINISHED_FORM: Final = "%d.%m.%Y %H:%M:%S"
PHONE_LENGTH_MAX: Final = 32


def parse(body: bytes, addressee: Addressee | None) -> GatewayNotice:
    """Return what is told to this address. Raises CallbackMalformed."""
    try:
        fields = read_object(body)
    except NotAnObject as error:
        raise CallbackMalformed from error
    if addressee is None:
        return GatewayNotice(kind=EventKind.UNKNOWN, outcome=Outcome.UNKNOWN, is_signed=False, is_understood=False)
    match addressee.purpose:
        case Purpose.PROMPT:
            return _of_prompt(fields, addressee)
        case Purpose.PAYOUT:
            return _of_payout(object_at(fields, "Result") or {}, addressee)
        case Purpose.STATUS:
            return _of_status(object_at(fields, "Result") or {}, addressee)
        case Purpose.PAYOUT_LATE | Purpose.STATUS_LATE:
            return _about(addressee)


def _of_prompt(fields: Fields, addressee: Addressee) -> GatewayNotice:
    told = object_at(object_at(fields, "Body") or {}, "stkCallback") or {}
    outcome, code = end_of_prompt(text_at(told, "ResultCode"))
    items = _named(object_at(told, "CallbackMetadata") or {}, "Item", "Name")
    return GatewayNotice(
        kind=EventKind.PAYMENT,
        outcome=outcome,
        attempt_id=addressee.id,
        references=ProviderReferences(
            transaction_id=text_at(told, "MerchantRequestID"),
            checkout_id=text_at(told, "CheckoutRequestID"),
            receipt=text_at(items, "MpesaReceiptNumber"),
        ),
        amount=money_of(items.get("Amount"), "KES"),
        phone=phone_of(text_at(items, "PhoneNumber", length_max=PHONE_LENGTH_MAX)),
        code=code,
        message=None if outcome is Outcome.SUCCEEDED else sentence_at(told, "ResultDesc"),
        is_signed=False,
        is_hint=outcome in {Outcome.SUCCEEDED, Outcome.PENDING, Outcome.UNKNOWN},
        occurred_at=moment_of_timestamp(text_at(items, "TransactionDate")),
    )


def _of_payout(told: Fields, addressee: Addressee) -> GatewayNotice:
    """Read the result of a payout. One that names another payout, or none, says nothing."""
    notice = _about(addressee)
    if text_at(told, "OriginatorConversationID") != str(addressee.id):
        return replace(notice, outcome=Outcome.UNKNOWN, is_understood=False)
    outcome, code = end_of_payout(text_at(told, "ResultCode"))
    items = _named(object_at(told, "ResultParameters") or {}, "ResultParameter", "Key")
    transaction_id = text_at(told, "TransactionID")
    return replace(
        notice,
        outcome=outcome,
        references=ProviderReferences(
            transaction_id=transaction_id if outcome is Outcome.SUCCEEDED else None,
            checkout_id=text_at(told, "ConversationID"),
            receipt=text_at(items, "TransactionReceipt") if outcome is Outcome.SUCCEEDED else None,
        ),
        amount=money_of(items.get("TransactionAmount"), "KES"),
        code=code,
        message=sentence_at(told, "ResultDesc"),
        occurred_at=moment_of_timestamp(text_at(items, "TransactionCompletedDateTime"), FINISHED_FORM),
    )


def _of_status(told: Fields, addressee: Addressee) -> GatewayNotice:
    """Read what a question about a payout found; that it found nothing proves nothing."""
    notice = _about(addressee)
    items = _named(object_at(told, "ResultParameters") or {}, "ResultParameter", "Key")
    code = text_at(told, "ResultCode")
    if code != "0" or text_at(items, "OriginatorConversationID") not in {None, str(addressee.id)}:
        return replace(notice, outcome=Outcome.UNKNOWN, code=code_of(code), is_understood=False)
    word = (text_at(items, "TransactionStatus") or "").lower()
    outcome = OUTCOME_BY_TRANSACTION_STATUS.get(word, Outcome.PENDING)
    receipt = text_at(items, "ReceiptNo") if outcome is Outcome.SUCCEEDED else None
    return replace(
        notice,
        outcome=outcome,
        references=ProviderReferences(
            transaction_id=receipt, checkout_id=text_at(items, "ConversationID"), receipt=receipt
        ),
        amount=money_of(items.get("Amount"), "KES"),
        code=word.upper() if outcome is Outcome.FAILED else None,
        occurred_at=moment_of_timestamp(text_at(items, "FinalisedTime")),
    )


def _about(addressee: Addressee) -> GatewayNotice:
    """Return that a payout has no result yet."""
    return GatewayNotice(
        kind=EventKind.PAYOUT, outcome=Outcome.PENDING, payout_id=addressee.id, is_signed=False, is_hint=False
    )


def _named(holder: Fields, list_name: str, key: str) -> Mapping[str, object]:
    """Return the values of a list of named items by their names; one single item may come without its list."""
    found = holder.get(list_name)
    items = found if isinstance(found, list) else [found]
    return {
        name: item.get("Value") for item in items if isinstance(item, dict) and isinstance(name := item.get(key), str)
    }
