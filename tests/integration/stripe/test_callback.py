"""What an event of Stripe's proves, and what is made of it."""

import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from application.core.payments.gateway import SignatureInvalid
from domain.core.kernel.money import Money
from domain.core.payments.gateway import EventKind, Outcome
from infrastructure.stripe import callback
from tests.integration.stripe.bench import (
    EARLIER_SECRET,
    RETURN_URL,
    SECRET_KEY,
    WEBHOOK_SECRET,
    StripeBench,
    stripe_bench,
)

BODY = (
    b'{"id":"evt_test_1","object":"event","api_version":"2026-01-28","created":1768473000,'
    b'"type":"payment_intent.succeeded","data":{"object":{"id":"pi_test_1","object":"payment_intent","amount":150000,'
    b'"amount_received":150000,"currency":"kes","status":"succeeded","metadata":{"ref":"WT-000042"}}}}'
)
"""The published vector, and its signature at `AT` under `WEBHOOK_SECRET`."""
AT = 1768473000
RIGHT = "88d0cddfadca1cac16a00800853bc383d08497cee7b93519041812f531453d20"
NOW = datetime.fromtimestamp(AT, UTC)


@pytest.fixture
async def bench() -> AsyncIterator[StripeBench]:
    async with stripe_bench() as bench:
        yield bench


def check(
    header: str, *, body: bytes = BODY, now: datetime = NOW, secrets: tuple[str, ...] = (WEBHOOK_SECRET,)
) -> None:
    callback.verify(body, header, secrets, now)


def test_the_published_vector_is_signed_rightly_and_read() -> None:
    assert len(BODY) == 291
    assert callback.signature(BODY, WEBHOOK_SECRET, AT) == RIGHT
    check(f"t={AT},v1={RIGHT}")
    notice = callback.parse(BODY, is_live=False)
    assert (notice.kind, notice.outcome, notice.amount) == (EventKind.PAYMENT, Outcome.SUCCEEDED, Money(1500_00))
    assert (notice.references.transaction_id, notice.our_reference) == ("pi_test_1", "WT-000042")
    assert (notice.is_understood, notice.is_contradictory, notice.occurred_at) == (True, False, NOW)


@pytest.mark.parametrize(
    "header",
    [
        f"t={AT},v1=deadbeef,v1={RIGHT},v0=x",
        f"t={AT}, v1={RIGHT}",
        f"v1={RIGHT},t={AT}",
    ],
)
def test_any_of_several_signatures_may_be_the_right_one(header: str) -> None:
    check(header)


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"t={AT}",
        f"v1={RIGHT}",
        f"t={AT},v0={RIGHT}",
        f"t={AT},v1={RIGHT[:-1]}",
        f"t={AT},v1={RIGHT.upper()}",
        f"t={AT},t={AT},v1={RIGHT}",
        f"t={AT}.0,v1={RIGHT}",
        f"t=-{AT},v1={RIGHT}",
        f"t={AT + 1},v1={RIGHT}",
        f"t={AT},v1=é{RIGHT}",
        f"t={AT}," + ",".join(["v1=00"] * callback.SIGNATURES_MAX) + f",v1={RIGHT}",
    ],
)
def test_a_header_without_the_right_signature_is_refused(header: str) -> None:
    with pytest.raises(SignatureInvalid):
        check(header)


@pytest.mark.parametrize("body", [BODY + b" ", BODY[:-1], BODY.replace(b"150000", b"150001"), b""])
def test_other_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        check(f"t={AT},v1={RIGHT}", body=body)


def test_a_signature_counts_for_five_minutes_either_way() -> None:
    edge = timedelta(seconds=300)
    for now in (NOW - edge, NOW + edge):
        check(f"t={AT},v1={RIGHT}", now=now)
    for now in (NOW - edge - timedelta(seconds=1), NOW + edge + timedelta(seconds=1)):
        with pytest.raises(SignatureInvalid):
            check(f"t={AT},v1={RIGHT}", now=now)


async def test_the_earlier_secret_counts_where_it_is_configured(bench: StripeBench) -> None:
    rolling = bench.at(bench.base_url, previous_webhook_secret=EARLIER_SECRET)
    now_in_force, earlier, empty = (
        {"stripe-signature": f"t={AT},v1={callback.signature(BODY, secret, AT)}"}
        for secret in (WEBHOOK_SECRET, EARLIER_SECRET, "")
    )
    await bench.gateway.verify(BODY, now_in_force, now=NOW)
    await rolling.verify(BODY, now_in_force, now=NOW)
    await rolling.verify(BODY, earlier, now=NOW)
    for gateway, header in ((bench.gateway, earlier), (bench.gateway, empty), (rolling, empty)):
        with pytest.raises(SignatureInvalid):
            await gateway.verify(BODY, header, now=NOW)


def event(word: str, fields: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"id": "evt_1", "type": word, "livemode": False, "data": {"object": fields}, **more}).encode()


INTENT = {
    "id": "pi_1",
    "amount": 5000,
    "amount_received": 5000,
    "currency": "kes",
    "status": "succeeded",
    "latest_charge": {"id": "ch_1"},
    "metadata": {"attempt_id": str(UUID(int=7)), "reference": "SKTEST000007"},
}


@pytest.mark.parametrize(
    "word",
    [
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.expired",
        "payment_intent.payment_failed",
        "payment_intent.processing",
        "payment_intent.canceled",
        "payment_intent.amount_capturable_updated",
        "charge.succeeded",
        "charge.refunded",
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "payout.paid",
        "something.new",
        "",
    ],
)
def test_only_one_type_of_event_credits(word: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="soko.payments"):
        notice = callback.parse(event(word, INTENT), is_live=False)
    assert (notice.kind, notice.outcome, notice.is_understood) == (EventKind.UNKNOWN, Outcome.UNKNOWN, False)
    assert [record.message for record in caplog.records] == ["stripe_event_ignored"]
    assert caplog.records[0].event_type == word  # type: ignore[attr-defined]


def test_an_event_of_the_other_mode_credits_nothing(caplog: pytest.LogCaptureFixture) -> None:
    for livemode, is_live in ((True, False), (False, True), ("true", True), (None, False)):
        caplog.clear()
        notice = callback.parse(event(callback.CREDITED, INTENT, livemode=livemode), is_live=is_live)
        assert (notice.kind, notice.is_understood) == (EventKind.UNKNOWN, False)
        assert len(caplog.records) == 1
    assert callback.parse(event(callback.CREDITED, INTENT, livemode=True), is_live=True).kind is EventKind.PAYMENT


def test_a_success_names_our_attempt_and_what_arrived() -> None:
    notice = callback.parse(event(callback.CREDITED, INTENT | {"amount_received": 4999}), is_live=False)
    assert (notice.amount, notice.attempt_id, notice.our_reference) == (Money(49_99), UUID(int=7), "SKTEST000007")
    assert (notice.references.transaction_id, notice.references.receipt) == ("pi_1", "ch_1")


@pytest.mark.parametrize(
    ("currency", "sent", "amount", "code"),
    [
        ("kes", 150000, Money(1500_00), None),
        ("KES", 150000, Money(1500_00), None),
        ("usd", 50, Money(50, "USD"), None),
        ("ugx", 150000, Money(1500, "UGX"), None),
        ("ugx", 150050, None, None),
        ("jpy", 1500, Money(1500, "JPY"), None),
        ("rwf", 1500, Money(1500, "RWF"), None),
        ("chf", 1500, None, "CHF"),
        ("crd", 1500, None, "CRD"),
        ("kes", 0, None, None),
        ("kes", -5, None, None),
        ("kes", 15.5, None, None),
        ("kes", "1500", Money(15_00), None),
        ("kes", 10**14, None, None),
    ],
)
def test_amounts_are_read_as_stripe_writes_them(
    currency: str, sent: object, amount: Money | None, code: str | None
) -> None:
    fields = INTENT | {"currency": currency, "amount_received": sent}
    notice = callback.parse(event(callback.CREDITED, fields), is_live=False)
    assert (notice.amount, notice.currency_code) == (amount, code)


def test_a_success_that_says_it_is_none_contradicts_itself() -> None:
    for status in ("processing", "canceled", None):
        assert callback.parse(event(callback.CREDITED, INTENT | {"status": status}), is_live=False).is_contradictory


def test_a_success_without_a_payment_is_not_understood() -> None:
    for fields in ({}, INTENT | {"id": "ch_1"}, INTENT | {"id": None}):
        assert not callback.parse(event(callback.CREDITED, fields), is_live=False).is_understood


@pytest.mark.parametrize(
    ("word", "status", "outcome", "is_understood"),
    [
        ("refund.created", "pending", Outcome.PENDING, True),
        ("refund.created", "succeeded", Outcome.SUCCEEDED, True),
        ("refund.updated", "succeeded", Outcome.SUCCEEDED, True),
        ("refund.updated", "requires_action", Outcome.PENDING, True),
        ("refund.failed", "failed", Outcome.FAILED, True),
        ("refund.updated", "canceled", Outcome.FAILED, True),
        ("refund.updated", "a new word", Outcome.UNKNOWN, False),
    ],
)
def test_a_refund_is_told_with_its_names(word: str, status: str, outcome: Outcome, is_understood: bool) -> None:
    fields = {
        "id": "re_1",
        "amount": 5000,
        "currency": "kes",
        "payment_intent": "pi_1",
        "status": status,
        "metadata": {"refund_id": str(UUID(int=9))},
        "failure_reason": "lost_or_stolen_card" if outcome is Outcome.FAILED else None,
    }
    notice = callback.parse(event(word, fields), is_live=False)
    assert (notice.kind, notice.outcome, notice.is_understood) == (EventKind.REFUND, outcome, is_understood)
    assert (notice.refund_id, notice.refund_reference, notice.amount) == (UUID(int=9), "re_1", Money(50_00))
    assert notice.references.transaction_id == "pi_1"
    assert notice.code == ("LOST_OR_STOLEN_CARD" if outcome is Outcome.FAILED else None)


async def test_nothing_secret_is_shown_by_the_settings(bench: StripeBench) -> None:
    shown = repr(bench.gateway._settings)
    assert RETURN_URL in shown
    assert not [secret for secret in (SECRET_KEY, WEBHOOK_SECRET) if secret in shown]
