"""What a callback of Lipana's is worth: whose it is, and what it says."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.core.payments.gateway import CallbackMalformed, SignatureInvalid
from domain.core.kernel.money import Money
from domain.core.payments.gateway import EventKind, GatewayNotice, Outcome, ProviderReferences
from infrastructure.lipana.callback import parse, signature, verify

SECRET = "lipana_test_secret_0123456789abcdef"
EARLIER = "lipana_test_secret_of_last_year"

FLAT = (
    b'{"event":"transaction.success","transaction_id":"TXN1760000000000ABC123","amount":1500,'
    b'"phone":"+254712345678","reference":"WT-000042","timestamp":"2026-01-15T10:30:00.000Z"}'
)
FLAT_SIGNATURE = "8ec9b51a150c0533048df4924a3c8617496accde1e6de5515acf9b54a859777e"
NESTED = (
    b'{"event":"payment.success","data":{"transactionId":"TXN1760000000000ABC123","amount":1500,"currency":"KES",'
    b'"status":"success","phone":"+254712345678","checkoutRequestID":"ws_CO_15012026103000123712345678",'
    b'"timestamp":"2026-01-15T10:30:00Z"}}'
)
NESTED_SIGNATURE = "915a4b08f6adebf93fce042cb2071ecf8c536a187c3d574eb7237e369ca8fafb"
DOCUMENTED = b'{"reference":"SK7Q2M4T9XB1","status":"SUCCESS","amount":2000}'
DOCUMENTED_SIGNATURE = "b748236bfcbc243e0753670464d15ab81824808404a196665525d71a0355be73"

_AT_EASE = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

VECTORS = [(FLAT, FLAT_SIGNATURE), (NESTED, NESTED_SIGNATURE), (DOCUMENTED, DOCUMENTED_SIGNATURE)]


def body_of(fields: object) -> bytes:
    return json.dumps(fields).encode()


def nested(**fields: object) -> GatewayNotice:
    """Parse a nested success over KES 1,500 with these fields changed; a None leaves one out."""
    data: dict[str, object] = {"transactionId": "TXN1", "amount": 1500, "currency": "KES", "status": "success"}
    event = fields.pop("event", "payment.success")
    data.update(fields)
    return parse(body_of({"event": event, "data": {name: value for name, value in data.items() if value is not None}}))


@pytest.mark.parametrize(("body", "expected"), VECTORS)
def test_the_published_vectors_have_the_published_signatures(body: bytes, expected: str) -> None:
    assert signature(body, SECRET) == expected
    verify(body, expected, [SECRET])


@pytest.mark.parametrize("written", ["sha256={}", "  {}\n", " SHA256={} ", "{}"])
def test_the_known_ways_to_write_a_signature_are_accepted(written: str) -> None:
    verify(FLAT, written.format(FLAT_SIGNATURE), [SECRET])
    verify(FLAT, written.format(FLAT_SIGNATURE.upper()), [SECRET])


def test_the_same_object_dumped_again_is_refused() -> None:
    dumped_again = json.dumps(json.loads(FLAT), sort_keys=True).encode()
    assert signature(dumped_again, SECRET).startswith("84dbfee9371c13f8")
    with pytest.raises(SignatureInvalid):
        verify(dumped_again, FLAT_SIGNATURE, [SECRET])


@pytest.mark.parametrize("received", [None, "", "sha256=", FLAT_SIGNATURE[:-1], FLAT_SIGNATURE + "0", "ß" * 64, "\x00"])
def test_a_missing_or_mangled_signature_is_refused(received: str | None) -> None:
    with pytest.raises(SignatureInvalid):
        verify(FLAT, received, [SECRET])


def test_the_current_and_the_previous_secret_are_accepted_and_no_third() -> None:
    for secret in (SECRET, EARLIER):
        verify(FLAT, signature(FLAT, secret), [SECRET, EARLIER])
    with pytest.raises(SignatureInvalid):
        verify(FLAT, signature(FLAT, "another"), [SECRET, EARLIER])
    with pytest.raises(SignatureInvalid):
        verify(FLAT, signature(FLAT, EARLIER), [SECRET])


@_AT_EASE
@given(body=st.binary(min_size=1, max_size=400), place=st.integers(min_value=0), bits=st.integers(1, 255))
def test_flipping_any_byte_of_a_signed_body_is_refused(body: bytes, place: int, bits: int) -> None:
    signed = signature(body, SECRET)
    forged = bytearray(body)
    forged[place % len(body)] ^= bits
    with pytest.raises(SignatureInvalid):
        verify(bytes(forged), signed, [SECRET, EARLIER])


def test_two_thousand_forged_callbacks_are_all_refused() -> None:
    """Reliability goal D4 where it begins: nothing forged gets past the signature."""
    chance = random.Random(4)
    refused = 0
    for number in range(2_000):
        body, signed = VECTORS[number % len(VECTORS)]
        kind = number % 5
        forged = bytearray(body)
        if kind == 0:
            forged[chance.randrange(len(body))] ^= chance.randrange(1, 256)
        elif kind == 1:
            signed = signature(body, f"secret {chance.random()}")
        elif kind == 2:
            forged = bytearray(body.replace(b"1500", b"9500").replace(b"2000", b"9000"))
        elif kind == 3:
            forged = bytearray(body.replace(b"TXN1760", b"TXN1761").replace(b"SK7Q", b"SK7R"))
        else:
            cut = chance.randrange(len(body))
            del forged[cut : cut + chance.randrange(1, 4)]
        with pytest.raises(SignatureInvalid):
            verify(bytes(forged), signed, [SECRET, EARLIER])
        refused += 1
    assert refused == 2_000


def test_the_documented_shape_is_read() -> None:
    assert parse(DOCUMENTED) == GatewayNotice(
        kind=EventKind.PAYMENT,
        outcome=Outcome.SUCCEEDED,
        our_reference="SK7Q2M4T9XB1",
        amount=Money(2000_00),
    )
    assert parse(b'{"reference":"SK1","status":"FAILED","code":"insufficient_funds","message":"Low"}') == GatewayNotice(
        kind=EventKind.PAYMENT,
        outcome=Outcome.FAILED,
        our_reference="SK1",
        code="INSUFFICIENT_FUNDS",
        message="Low",
    )


def test_the_nested_shape_is_read() -> None:
    assert parse(NESTED) == GatewayNotice(
        kind=EventKind.PAYMENT,
        outcome=Outcome.SUCCEEDED,
        references=ProviderReferences("TXN1760000000000ABC123", "ws_CO_15012026103000123712345678"),
        amount=Money(1500_00),
        phone="+254712345678",
        occurred_at=datetime(2026, 1, 15, 10, 30, tzinfo=UTC),
    )


def test_the_flat_shape_is_read() -> None:
    assert parse(FLAT) == GatewayNotice(
        kind=EventKind.PAYMENT,
        outcome=Outcome.SUCCEEDED,
        references=ProviderReferences("TXN1760000000000ABC123"),
        our_reference="WT-000042",
        amount=Money(1500_00),
        phone="+254712345678",
        occurred_at=datetime(2026, 1, 15, 10, 30, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("success", Outcome.SUCCEEDED),
        ("Completed", Outcome.SUCCEEDED),
        (" PAID ", Outcome.SUCCEEDED),
        ("failed", Outcome.FAILED),
        ("failure", Outcome.FAILED),
        ("error", Outcome.FAILED),
        ("cancelled", Outcome.CANCELLED),
        ("canceled", Outcome.CANCELLED),
        ("pending", Outcome.PENDING),
    ],
)
def test_every_status_word_is_understood(word: str, outcome: Outcome) -> None:
    notice = parse(body_of({"reference": "SK1", "status": word, "amount": 10}))
    assert (notice.outcome, notice.is_understood, notice.is_contradictory) == (outcome, True, False)


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "weird"},
        {"status": ["success"]},
        {"status": {"is": "success"}},
        {"status": True},
        {"status": 1},
        {"event": "payment.initiated", "status": "success"},
        {"event": "payment.received"},
        {"event": "invoice.success"},
        {"event": ["payment.success"]},
        {"event": 7},
    ],
)
def test_an_unknown_word_credits_nothing(fields: dict[str, Any]) -> None:
    notice = nested(**fields)
    assert (notice.outcome, notice.is_understood) == (Outcome.UNKNOWN, False)


def test_a_body_without_any_status_credits_nothing() -> None:
    notice = parse(b'{"reference":"SK1","amount":10}')
    assert (notice.outcome, notice.is_understood) == (Outcome.UNKNOWN, False)


@pytest.mark.parametrize(
    "fields",
    [
        {"event": "payment.failed", "status": "success"},
        {"event": "payment.success", "status": "failed"},
        {"event": "payment.pending", "status": "success"},
        {"event": "payment.cancelled", "status": "paid"},
        {"status": "success", "resultCode": 1032},
        {"event": "payment.failed", "status": "failed", "result_code": "0"},
    ],
)
def test_event_and_status_that_disagree_are_a_contradiction(fields: dict[str, Any]) -> None:
    notice = nested(**fields)
    assert (notice.outcome, notice.is_contradictory) == (Outcome.UNKNOWN, True)
    assert notice.references.transaction_id == "TXN1"  # enough to ask


def test_failed_and_cancelled_are_no_contradiction() -> None:
    assert nested(event="payment.failed", status="cancelled").outcome is Outcome.CANCELLED


@pytest.mark.parametrize(
    ("result", "outcome", "code"),
    [
        (1, Outcome.FAILED, "INSUFFICIENT_FUNDS"),
        ("1032", Outcome.CANCELLED, "CANCELLED_BY_PAYER"),
        (1037, Outcome.FAILED, "NO_ANSWER"),
        (4242, Outcome.FAILED, "4242"),
    ],
)
def test_the_numbers_of_mpesa_become_words(result: object, outcome: Outcome, code: str) -> None:
    notice = nested(event="payment.failed", status="failed", resultCode=result, resultDesc="No.")
    assert (notice.outcome, notice.code, notice.message) == (outcome, code, "No.")


@pytest.mark.parametrize(
    ("written", "minor"),
    [
        (b"1500", 1500_00),
        (b"1500.0", 1500_00),
        (b"1500.50", 1500_50),
        (b"1500.0000000", 1500_00),
        (b'"1500.00"', 1500_00),
        (b'" 1500 "', 1500_00),
        (b'"0010"', 10_00),
        (b"0.1", 10),
        (b"4503599627370.49", None),  # above the largest posting
        (b"9007199254740993", None),
        (b"1500.001", None),
        (b"1e3", None),
        (b"-1500", None),
        (b"0", None),
        (b"NaN", None),
        (b"Infinity", None),
        (b"true", None),
        (b"null", None),
        (b'"1,500"', None),
        (b'"KES 1500"', None),
        (b'"\\u0661\\u0665"', None),
        (b"[1500]", None),
        (b"9" * 5_000, None),
    ],
)
def test_an_amount_is_read_exactly_or_not_at_all(written: bytes, minor: int | None) -> None:
    notice = parse(b'{"reference":"SK1","status":"success","amount":' + written + b"}")
    assert notice.amount == (None if minor is None else Money(minor))


@pytest.mark.parametrize(
    ("currency", "amount", "code"),
    [
        (None, Money(1500_00), None),
        ("kes", Money(1500_00), None),
        ("USD", Money(1500_00, "USD"), None),
        ("XTS", None, "XTS"),
        ("CRD", None, "CRD"),  # a unit of this house only
        ("", None, "?"),
        (["KES"], None, "?"),
        (404, None, "404"),
        ("\x00", None, "?"),
    ],
)
def test_only_a_currency_we_know_makes_an_amount(currency: object, amount: Money | None, code: str | None) -> None:
    notice = nested(currency=currency)
    assert (notice.amount, notice.currency_code) == (amount, code)


def test_a_currency_beside_the_data_counts_as_well() -> None:
    body = {
        "event": "payment.success",
        "currency": "UGX",
        "data": {"transactionId": "T", "amount": 5, "status": "paid"},
    }
    assert parse(body_of(body)).amount == Money(5, "UGX")


@pytest.mark.parametrize("name", ["transactionId", "transaction_id", "transactionID", "id", "_id"])
def test_every_alias_of_the_transaction_id_is_found(name: str) -> None:
    body = {"event": "transaction.success", name: "TXN9", "amount": 10}
    assert parse(body_of(body)).references.transaction_id == "TXN9"
    assert parse(body_of({"event": "payment.success", "data": body})).references.transaction_id == "TXN9"


def test_an_id_inside_a_transaction_object_is_found() -> None:
    body = {"event": "transaction.success", "transaction": {"id": 77}, "amount": 10}
    assert parse(body_of(body)).references.transaction_id == "77"


@pytest.mark.parametrize("receipt", ["undefined", "null", "", " ", None, 0.0, "R" * 129, "QK\x00", "\ud800"])
def test_a_receipt_that_is_none_is_left_out(receipt: object) -> None:
    found = nested(mpesaReceiptNumber=receipt).references.receipt
    assert found in (None, "0.0")
    assert nested(mpesaReceiptNumber=receipt, mpesaCode="QK12ABC345").references.receipt in ("QK12ABC345", "0.0")


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("0712345678", "+254712345678"),
        ("254112345678", "+254112345678"),
        ("+254 712 345 678", "+254712345678"),
        ("2547****5678", "2547****5678"),
    ],
)
def test_a_phone_is_read_as_one_number_however_it_is_written(sent: str, read: str) -> None:
    assert nested(msisdn=sent).phone == read


@pytest.mark.parametrize(
    "body",
    [
        {"event": "webhook.test", "message": "Hello", "timestamp": "2026-01-15T10:30:00Z"},
        {"event": "payment.success", "message": "Hello", "timestamp": "2026-01-15T10:30:00Z"},
        {"event": "test.webhook", "message": "Hello", "timestamp": "2026-01-15T10:30:00Z", "data": {"amount": 5}},
    ],
)
def test_a_test_delivery_is_only_a_test(body: dict[str, object]) -> None:
    notice = parse(body_of(body))
    assert (notice.kind, notice.outcome, notice.amount) == (EventKind.TEST, Outcome.UNKNOWN, None)


def test_a_payout_notice_is_about_a_payout() -> None:
    assert nested(event="payout.success").kind is EventKind.PAYOUT
    assert nested(event="payout.initiated", status="processing").is_understood is False


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'"text"', b"7", b"null", b"{", b"\xff\xfe", b'{"a":"\xff"}', b"[" * 100_000, b'{"a":' * 50_000],
)
def test_bytes_that_are_no_json_object_are_malformed(body: bytes) -> None:
    with pytest.raises(CallbackMalformed):
        parse(body)


_TEXT = st.text(alphabet="aZ0.:+-{\x00\ud800\u00e9", max_size=8)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=4,
)
_NAMES = st.sampled_from(
    [
        *("event", "data", "status", "amount", "Amount", "currency", "transactionId", "transaction", "id", "phone"),
        *("code", "reference", "timestamp", "createdAt", "resultCode", "message", "mpesaReceiptNumber"),
    ]
)
_WORDS = st.sampled_from(
    ["payment.success", "payout.failed", "success", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "KES"]
)
_VALUES = _WORDS | _JSON
_BODIES = st.dictionaries(_NAMES, _VALUES | st.dictionaries(_NAMES, _VALUES, max_size=5), max_size=5)


@_AT_EASE
@given(body=_BODIES)
def test_reading_any_json_object_never_raises(body: dict[str, object]) -> None:
    notice = parse(json.dumps(body).encode())
    assert notice.amount is None or notice.amount.minor > 0
    if notice.outcome is not Outcome.UNKNOWN:
        assert notice.is_understood
        assert not notice.is_contradictory


@_AT_EASE
@given(body=st.binary(max_size=200))
def test_reading_any_bytes_is_a_notice_or_malformed(body: bytes) -> None:
    try:
        parse(body)
    except CallbackMalformed:
        return


def test_a_moment_without_a_zone_is_utc_and_one_with_a_zone_is_moved() -> None:
    assert nested(timestamp="2026-01-15T10:30:00").occurred_at == datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
    kenyan = nested(timestamp="2026-01-15T13:30:00+03:00").occurred_at
    assert kenyan == datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
    assert kenyan is not None
    assert kenyan.utcoffset() == timedelta(0)
    assert nested(timestamp="yesterday").occurred_at is None
