"""Who may tell us what PayPal says: the published vector, and every way to forge a webhook."""

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from application.core.payments.gateway import SignatureInvalid
from domain.core.kernel.errors import Unavailable
from domain.core.kernel.money import Money
from domain.core.payments.gateway import EventKind, Outcome, ProviderReferences
from infrastructure.paypal.callback import parse, signed_message
from infrastructure.paypal.gateway import PayPalPaymentGateway
from infrastructure.simulator.paypal_books import Call, Fate, Tampering
from infrastructure.simulator.paypal_books import Fault as Behaviour
from infrastructure.simulator.paypal_signer import Authority
from tests.contract.core.payment_gateway import Notice, repayment
from tests.fakes.core.system import NOON
from tests.integration.paypal.bench import PayPalBench, paypal_bench, paypal_settings, signer

KEY = (
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAw0qGHgfnA08QOOjpoNPiyovzrq/2JYP1viA8zKZyRzyT0+MuOXtKZVjrey9DNglBqEXir"
    "joBDx+vmsXY9PnwhLrxiNP19NgzhJc0bhzN2Oo/Owt3p3myVaQHyg1diVJ7Ed5SYeqvIA6IpxAh8L4LQ7nZG/wAj5NvmFOkphiNPV8Et9NfS9JQMw"
    "mcSio4qMiZRWCS8E93lOceZ44YOHxEsVXlbycaNTkitkHt0R7oFOiNEk/G7CbpS9PHphTAn6YBwzFNxNhwgW4Alp0kQWH5LPLHd92vFx/KytAXeVE"
    "S0juuKFR8jRQnnPW1p1KSMFtpqaHL4BUbrXDyKdORd+tWsQIDAQAB"
)
BODY = (
    b'{"id":"WH-TEST-1","event_version":"1.0","create_time":"2026-01-15T10:30:00.000Z","resource_type":"capture",'
    b'"event_type":"PAYMENT.CAPTURE.COMPLETED","summary":"test","resource":{"id":"3C679366HH908993F","status":"COMPLETED",'
    b'"amount":{"currency_code":"USD","value":"25.00"},"custom_id":"WT-000042","supplementary_data":{"related_ids":'
    b'{"order_id":"5O190127TN364715T"}}},"links":[]}'
)
SIGNATURE = (
    "LzK6a6q/o5ILEAjcB+MeXmc2pinh1EX7annWGwDIAVqeIaH5XeLAgYlYEkkofQyYOKmvALpRrxaMNVElmraGl2PBzz8CDoMPuM870mBoZ8RC1Upqw"
    "mWSY4C0wuzhQkprYDIOLWMmcTkswj5tevKRQ1tTJc/E8dm+iCuibAkLrIIoaTyShMG98TMS+qYEK8+EoTp2uc+BhvqxJpAuvcZzQy+m2g+4X79r6V"
    "xd3kc5BfeKzwdL6K9PHmgBbko9JDoAu+nLrZ128/Fj5fSslPB1ZSgjEN9HbPaDjzXwEI1Ovwc5bAm2pJ8hX/0FfSiuXvaCr3D53hM6+zqSpwzr0dC"
    "M0Q=="
)
SENT_ID, SENT_AT = "69cd13f0-d67a-11e5-baa3-778b53f4ae55", "2026-01-15T10:30:01Z"
VECTOR_NOW = datetime.fromisoformat("2026-01-15T10:31:00+00:00")
ELSEWHERE = [
    "http://127.0.0.1:1/v1/notifications/certs/CERT-soko-own",
    "https://api.paypal.com.example.test/v1/notifications/certs/CERT-soko-own",
    "https://evil.test/v1/notifications/certs/CERT-soko-own",
    "{origin}@evil.test/v1/notifications/certs/CERT-soko-own",
    "{origin}/v2/notifications/certs/CERT-soko-own",
    "{origin}/v1/notifications/certs/../certs/CERT-soko-own",
    "{origin}/v1/notifications/certs/CERT-soko-own?x=1",
    "{origin}/v1/notifications/certs/CERT-soko-own#x",
    "{origin}/v1/notifications/certs/CERT-nobody-has",
    "http://[::1/v1/notifications/certs/CERT-soko-own",
    "",
]
NOT_HAD = [
    Behaviour.ANSWER_LOST,
    Behaviour.WEB_PAGE,
    Behaviour.CUT_SHORT,
    Behaviour.SERVER_ERROR,
    Behaviour.OUT_OF_SERVICE,
    Behaviour.FORBIDDEN,
]
FORGERIES = [one for one in Tampering if one not in {Tampering.NOTHING, Tampering.SIGNED_LATE}]


@pytest.fixture
async def bench() -> AsyncIterator[PayPalBench]:
    async with paypal_bench() as bench:
        yield bench


async def notices(bench: PayPalBench, tampering: Tampering = Tampering.NOTHING) -> list[Notice]:
    """Have a payment made and its webhooks sent: the order was approved, the capture is complete."""
    sent = await bench.approved()
    await bench.gateway.query(sent.references)
    return await bench.delivered("SKTEST000001", tampering)


def vector(origin: str) -> Notice:
    headers = {
        "paypal-transmission-id": SENT_ID,
        "paypal-transmission-time": SENT_AT,
        "paypal-transmission-sig": SIGNATURE,
        "paypal-auth-algo": "SHA256withRSA",
        "paypal-cert-url": f"{origin}/v1/notifications/certs/CERT-vector",
    }
    return Notice(BODY, headers)


def vector_key() -> RSAPublicKey:
    key = load_der_public_key(base64.b64decode(KEY))
    assert isinstance(key, RSAPublicKey)
    return key


def test_the_signed_message_of_the_vector() -> None:
    assert signed_message(SENT_ID, SENT_AT, "1JE4291016473214C", BODY) == (
        b"69cd13f0-d67a-11e5-baa3-778b53f4ae55|2026-01-15T10:30:01Z|1JE4291016473214C|698910570"
    )


async def test_the_vector_is_believed_under_a_vouched_certificate_and_no_byte_more(bench: PayPalBench) -> None:
    bench.simulator.certificates["CERT-vector"] = signer().authority.certify(vector_key(), NOON)
    true = vector(bench.simulator.origin)
    await bench.gateway.verify(true.body, true.headers, now=VECTOR_NOW)
    notice = bench.gateway.parse(true.body)
    assert (notice.kind, notice.outcome, notice.amount) == (EventKind.PAYMENT, Outcome.SUCCEEDED, Money(25_00, "USD"))
    assert (notice.our_reference, notice.references) == (
        "WT-000042",
        ProviderReferences(transaction_id="3C679366HH908993F", checkout_id="5O190127TN364715T"),
    )
    assert (notice.is_hint, notice.is_contradictory, notice.is_understood) == (False, False, True)
    forged = [
        replace(true, body=BODY + b"\n"),
        replace(true, body=BODY.replace(b"25.00", b"26.00")),
        *(replace(true, headers=true.headers | {name: value}) for name, value in CHANGED_HEADERS.items()),
        *(replace(true, headers={k: v for k, v in true.headers.items() if k != name}) for name in true.headers),
    ]
    for one in forged:
        with pytest.raises(SignatureInvalid):
            await bench.gateway.verify(one.body, one.headers, now=VECTOR_NOW)


CHANGED_HEADERS = {
    "paypal-transmission-id": SENT_ID.replace("6", "7", 1),
    "paypal-transmission-time": "2026-01-15T10:30:02Z",
    "paypal-transmission-sig": SIGNATURE[:-4],
    "paypal-auth-algo": "none",
}


async def test_a_delivery_of_another_day_is_refused_and_a_late_one_is_not(bench: PayPalBench) -> None:
    bench.simulator.certificates["CERT-vector"] = signer().authority.certify(vector_key(), NOON)
    true, sent_at = vector(bench.simulator.origin), datetime.fromisoformat(SENT_AT)
    for age in (timedelta(days=1), -timedelta(minutes=5)):
        await bench.gateway.verify(true.body, true.headers, now=sent_at + age)
    for age in (timedelta(days=1, seconds=1), -timedelta(minutes=5, seconds=1)):
        with pytest.raises(SignatureInvalid):
            await bench.gateway.verify(true.body, true.headers, now=sent_at + age)


async def test_a_forged_webhook_is_refused(bench: PayPalBench) -> None:
    sent = await bench.approved()
    await bench.gateway.query(sent.references)
    for tampering in FORGERIES:
        for event in bench.simulator.events:
            event.is_done = False
        caught = await bench.delivered("SKTEST000001", tampering)
        assert len(caught) == 2
        for forged in caught:
            with pytest.raises(SignatureInvalid):
                await bench.gateway.verify(forged.body, forged.headers, now=bench.clock.now())


async def test_an_event_with_an_empty_object_inside_is_believed(bench: PayPalBench) -> None:
    approved = (await notices(bench, Tampering.SIGNED_LATE))[0]
    assert b'"paypal":{}' in approved.body
    await bench.gateway.verify(approved.body, approved.headers, now=bench.clock.now())
    rewritten = approved.body.replace(b"{}", b"[]")
    with pytest.raises(SignatureInvalid):
        await bench.gateway.verify(rewritten, approved.headers, now=bench.clock.now())


async def test_a_certificate_from_elsewhere_is_never_asked_for(bench: PayPalBench) -> None:
    true = (await notices(bench))[0]
    for url in ELSEWHERE:
        headers = true.headers | {"paypal-cert-url": url.replace("{origin}", bench.simulator.origin)}
        with pytest.raises(SignatureInvalid):
            await bench.gateway.verify(true.body, headers, now=bench.clock.now())


async def test_a_certificate_of_another_name_or_of_another_year_is_refused(bench: PayPalBench) -> None:
    true = (await notices(bench))[0]
    authority = signer().authority
    key = vector_key()
    names = {"other": "messageverificationcerts.paypal.com.example.test", "wild": "*.paypal.com"}
    for name, said in names.items():
        bench.simulator.certificates[f"CERT-{name}"] = authority.certify(key, NOON, said)
    bench.simulator.certificates["CERT-old"] = authority.certify(key, VECTOR_NOW - timedelta(days=366))
    bench.simulator.certificates["CERT-new"] = authority.certify(key, VECTOR_NOW + timedelta(days=366))
    bench.simulator.certificates["CERT-foreign"] = Authority.new(NOON).certify(key, NOON)
    for name in ("other", "wild", "old", "new", "foreign"):
        vouched = vector(bench.simulator.origin)
        headers = vouched.headers | {"paypal-cert-url": f"{bench.simulator.origin}/v1/notifications/certs/CERT-{name}"}
        with pytest.raises(SignatureInvalid):
            await bench.gateway.verify(vouched.body, headers, now=VECTOR_NOW)
    await bench.gateway.verify(true.body, true.headers, now=bench.clock.now())


async def test_a_certificate_that_cannot_be_had_makes_paypal_send_again(bench: PayPalBench) -> None:
    true = (await notices(bench))[0]
    for fault in NOT_HAD:
        bench.tell(Call.CERTIFICATE, fault)
        with pytest.raises(Unavailable) as refused:
            await bench.gateway.verify(true.body, true.headers, now=bench.clock.now())
        assert refused.value.retry_after_s == (30 if fault is Behaviour.OUT_OF_SERVICE else 60)
        bench.clock.advance(timedelta(minutes=1))
    await bench.gateway.verify(true.body, true.headers, now=bench.clock.now())


async def test_a_certificate_is_fetched_once_and_not_beyond_its_day(bench: PayPalBench) -> None:
    for true in await notices(bench):
        await bench.gateway.verify(true.body, true.headers, now=bench.clock.now())
    bench.simulator.certificates.clear()
    await bench.gateway.verify(true.body, true.headers, now=bench.clock.now())
    bench.clock.advance(timedelta(hours=24))
    with pytest.raises(SignatureInvalid):
        await bench.gateway.verify(true.body, true.headers, now=bench.clock.now())


async def test_what_each_event_says(bench: PayPalBench) -> None:
    bench.simulator.fate = Fate.PENDS
    sent = await bench.approved()
    pending = await bench.gateway.query(sent.references)
    bench.simulator.settle()
    paid = await bench.gateway.query(pending.references)
    bench.simulator.refund_fate = Fate.PENDS_AND_FAILS
    refunded = await bench.gateway.refund(repayment(paid, Money(5_00, "USD")))
    bench.simulator.settle()
    bench.simulator.reverse(bench.order(sent))
    told = [bench.gateway.parse(one.body) for one in await bench.notices(bench.collection())]
    both = ProviderReferences(transaction_id=paid.references.transaction_id, checkout_id=sent.references.checkout_id)
    capture = ProviderReferences(transaction_id=paid.references.transaction_id)
    ours, whole, part = "SKTEST000001", Money(25_00, "USD"), Money(5_00, "USD")
    assert [(one.kind, one.outcome, one.is_hint, one.code, one.amount) for one in told] == [
        (EventKind.PAYMENT, Outcome.PENDING, True, None, None),
        (EventKind.PAYMENT, Outcome.PENDING, False, "PENDING_REVIEW", whole),
        (EventKind.PAYMENT, Outcome.SUCCEEDED, False, None, whole),
        (EventKind.REFUND, Outcome.PENDING, False, None, part),
        (EventKind.REFUND, Outcome.FAILED, False, None, part),
        (EventKind.PAYMENT, Outcome.FAILED, False, "REVERSED", whole),
    ]
    order = ProviderReferences(checkout_id=sent.references.checkout_id)
    assert [one.references for one in told] == [order, both, both, capture, capture, capture]
    assert [one.our_reference for one in told] == [ours, ours, ours, None, None, ours]
    assert [one.refund_id for one in told] == [None, None, None, UUID(int=1001), UUID(int=1001), None]
    assert [one.refund_reference for one in told][3:] == [refunded.references.transaction_id] * 2 + [None]
    assert all(one.is_understood and not one.is_contradictory for one in told)


def test_a_status_that_is_not_the_events_contradicts_it_and_a_missing_one_proves_nothing() -> None:
    for status in (b"PENDING", b"DECLINED", b"REFUNDED", b"SOMETHING"):
        assert parse(BODY.replace(b'"COMPLETED","amount"', b'"' + status + b'","amount"')).is_contradictory
    missing = parse(BODY.replace(b'"status":"COMPLETED",', b""))
    assert (missing.is_hint, missing.is_contradictory) == (True, False)
    for event, outcome in (("DECLINED", Outcome.FAILED), ("DENIED", Outcome.FAILED)):
        denied = BODY.replace(b"CAPTURE.COMPLETED", b"CAPTURE." + event.encode()).replace(b'"COMPLETED"', b'"DECLINED"')
        assert (parse(denied).outcome, parse(denied).is_contradictory) == (outcome, False)


def test_an_event_or_a_currency_that_nobody_knows_is_told_as_such() -> None:
    for name in (b"CUSTOMER.DISPUTE.CREATED", b"PAYMENT.SALE.COMPLETED", b"payment.capture.completed.v3"):
        unknown = parse(BODY.replace(b"PAYMENT.CAPTURE.COMPLETED", name))
        assert (unknown.kind, unknown.outcome, unknown.is_understood) == (EventKind.UNKNOWN, Outcome.UNKNOWN, False)
        assert unknown.code == name.decode().upper()
    krone = parse(BODY.replace(b"USD", b"DKK"))
    assert (krone.outcome, krone.amount, krone.currency_code) == (Outcome.SUCCEEDED, None, "DKK")
    for text in (b'"25.001"', b'"-25"', b'"1e3"', b'"NaN"', b'"\xd9\xa2"', b"{}", b'""'):
        assert parse(BODY.replace(b'"25.00"', text)).amount is None
    assert parse(BODY.replace(b'"25.00"', b"25.00")).amount == Money(25_00, "USD")


def test_live_mode_takes_the_live_address_and_certificates_of_the_web_only() -> None:
    live = paypal_settings("https://api-m.paypal.com", is_live=True)
    assert live.certificate_origins == {"https://api.paypal.com", "https://api-m.paypal.com"}
    sandbox = paypal_settings("https://api-m.sandbox.paypal.com")
    assert sandbox.certificate_origins == {"https://api.sandbox.paypal.com", "https://api-m.sandbox.paypal.com"}
    for base_url, how in (
        ("http://api-m.paypal.com", {"is_live": True}),
        ("https://api-m.sandbox.paypal.com", {"is_live": True}),
        ("https://api-m.paypal.com.example.test", {"is_live": True}),
        ("http://127.0.0.1:80", {"is_live": True}),
        ("https://api-m.paypal.com", {"is_live": True, "roots": []}),
        ("https://api-m.paypal.com", {}),
        ("http://api-m.sandbox.paypal.com", {}),
        ("https://api-m.sandbox.paypal.com", {"webhook_id": ""}),
        ("https://api-m.sandbox.paypal.com", {"client_secret": ""}),
    ):
        with pytest.raises(ValueError, match="PayPal"):
            paypal_settings(base_url, **how)


async def test_without_roots_of_its_own_it_trusts_the_web_which_does_not_vouch_for_ours(bench: PayPalBench) -> None:
    true = (await notices(bench))[0]
    settings = paypal_settings(bench.simulator.origin)
    gateway = PayPalPaymentGateway(bench.client, settings, bench.clock)
    with pytest.raises(SignatureInvalid):
        await gateway.verify(true.body, true.headers, now=bench.clock.now())
