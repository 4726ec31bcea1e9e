"""Journey C2: a wallet is topped up over HTTP, once, whatever the provider sends."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from application.core.payments.simulation import SimulatedOutcome
from application.core.payments.top_up import TopUpCommand
from domain.core.kernel.money import Money
from infrastructure.lipana.callback import signature
from tests.e2e.core.payments_bench import (
    ADMIN,
    LIPANA_SECRET,
    OTHER,
    PAYER,
    SOKO_SECRET,
    PaymentsBench,
    payments_bench,
)


@pytest.fixture
async def bench(database_url: str) -> AsyncIterator[PaymentsBench]:
    async with payments_bench(database_url) as one:
        yield one


async def test_a_top_up_is_credited_once_by_its_signed_callback(bench: PaymentsBench) -> None:
    reply = await bench.top_up(2000)
    assert reply.status_code == 201
    started = reply.json()
    assert (started["status"], started["amount"], started["currency"]) == ("PENDING", "2000.00", "KES")
    assert (started["purpose"], started["next_action"], started["stage"]) == ("WALLET", "wait_for_phone", "pending")
    assert bench.gateway.borrowed == [0]  # no connection is held while the provider is asked

    fields = {"reference": started["reference"], "status": "SUCCESS", "amount": 2000}
    first = await bench.callback(fields)
    assert (first.status_code, first.json()) == (200, {"detail": "processed"})
    again = await bench.callback(fields)
    assert (again.status_code, again.json()) == (200, {"detail": "already processed"})
    other_bytes = await bench.callback(fields | {"message": "the same success in other bytes"})
    assert other_bytes.json() == {"detail": "already processed"}

    assert await bench.wallet() == 2000_00
    assert await bench.balance("clearing:lipana") == -2000_00
    status = await bench.status(started["reference"])
    assert (status["status"], status["stage"], status["processed"]) == ("SUCCESS", "succeeded", True)
    assert f"wallet:user:{PAYER}" in {row["destination"] for row in await bench.rows("SELECT * FROM ledger_postings")}


async def resolve(bench: PaymentsBench, kind: str, resolution: str, **more: str) -> Any:
    cases = await bench.client.get(
        f"/api/admin/payments/cases?kind={kind}", headers=bench.headers(ADMIN, is_admin=True)
    )
    (case,) = cases.json()["results"]
    return await bench.client.post(
        f"/api/admin/payments/cases/{case['id']}/resolve",
        json={"resolution": resolution, "note": "seen", **more},
        headers=bench.headers(ADMIN, is_admin=True),
    )


def nested(transaction_id: str, amount: float | str | None, status: str = "success", **more: Any) -> dict[str, Any]:
    data = {"transactionId": transaction_id, "currency": "KES", "status": status, "phone": "+254712345678", **more}
    if amount is not None:
        data["amount"] = amount
    return {"event": f"payment.{'failed' if status == 'cancelled' else status}", "data": data}


async def test_journey_c2_ends_with_the_books_balanced(bench: PaymentsBench) -> None:
    first = await bench.started(2000)
    body = f'{{"reference":"{first}","status":"SUCCESS","amount":2000}}'.encode()
    assert (await bench.callback(body)).json() == {"detail": "processed"}
    assert (await bench.callback(body)).json() == {"detail": "already processed"}
    forged = await bench.callback(body[:-1] + b" }", signed_as=signature(body, LIPANA_SECRET))
    assert (forged.status_code, forged.json()["code"]) == (401, "payments.signature_invalid")
    assert await bench.wallet() == 2000_00

    second = await bench.started("500")
    short = await bench.callback(nested("TXN000002", 499))
    assert (short.status_code, short.json()) == (200, {"detail": "accepted"})
    assert (await bench.wallet(), await bench.balance("suspense:lipana")) == (2000_00, 499_00)
    status = await bench.status(second)
    assert (status["status"], status["stage"], status["processed"]) == ("PENDING", "review", False)
    resolved = await resolve(bench, "amount_differs", "credit_wallet")
    assert (resolved.status_code, resolved.json()["status"]) == (200, "closed")
    assert (await bench.wallet(), await bench.balance("suspense:lipana")) == (2499_00, 0)
    again = await resolve(bench, "amount_differs", "return")
    assert (again.status_code, again.json()["code"]) == (409, "payments.case_closed")
    audit = await bench.rows("SELECT action, reason FROM audit_entries")
    assert audit == [{"action": "RESOLVE_CASE", "reason": "seen"}]

    bench.gateway.script("+254712345678", SimulatedOutcome.LATE_SUCCESS)
    third = await bench.started(300)
    bench.clock.advance(timedelta(minutes=15, seconds=1))
    await bench.run("payments.expire_attempts")
    status = await bench.status(third)
    assert (status["status"], status["stage"]) == ("FAILED", "expired")
    bench.clock.advance(timedelta(minutes=5))
    assert (await bench.callback({"reference": third, "status": "success", "amount": 300})).json()[
        "detail"
    ] == "processed"
    assert await bench.wallet() == 2799_00
    assert (await bench.status(third))["stage"] == "succeeded"
    assert await bench.balance("clearing:lipana") == -2799_00


async def test_the_published_vector_is_accepted(bench: PaymentsBench) -> None:
    reply = await bench.callback(
        b'{"reference":"SK7Q2M4T9XB1","status":"SUCCESS","amount":2000}',
        signed_as="b748236bfcbc243e0753670464d15ab81824808404a196665525d71a0355be73",
    )
    assert (reply.status_code, reply.json()) == (200, {"detail": "accepted"})  # signed, and of no payment of ours


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        ("100.50", "payments.whole_units_required"),
        (5, "payments.amount_below_minimum"),
        (150001, "payments.amount_above_maximum"),
        ("1e3", "kernel.invalid_amount"),
        (-5, "kernel.invalid_amount"),
    ],
)
async def test_an_amount_that_cannot_be_collected_leaves_no_row(bench: PaymentsBench, amount: Any, code: str) -> None:
    reply = await bench.top_up(amount)
    assert (reply.status_code, reply.json()["code"]) == (422, code)
    assert await bench.rows("SELECT * FROM payment_intents") == []
    assert bench.gateway.collections == []


async def test_other_refusals_leave_no_row_either(bench: PaymentsBench) -> None:
    headers = bench.headers()
    for body, code in [
        ({"amount": 20}, "payments.phone_required"),
        ({"amount": 20, "phone": "12345"}, "payments.phone_invalid"),
        ({"amount": 20, "phone": "0712345678", "currency": "USD"}, "payments.currency_not_supported"),
        ({"amount": 20, "phone": "0712345678", "currency": "XXX"}, "payments.currency_not_supported"),
        ({"amount": 20, "phone": "0712345678", "method": "paypal"}, "payments.method_unavailable"),
        ({"amount": 20, "phone": "0712345678", "method": "wallet"}, "payments.method_unavailable"),
    ]:
        reply = await bench.client.post("/api/transactions/push-stk", json=body, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (422, code)
    assert (await bench.client.post("/api/wallet/topup", json={"amount": 20})).status_code == 401
    assert await bench.rows("SELECT * FROM payment_intents") == []


async def test_a_second_push_answers_the_open_one_and_another_amount_is_refused(bench: PaymentsBench) -> None:
    reference = await bench.started(100)
    again = await bench.top_up("100.00", phone="+254 712 345 678")
    assert (again.status_code, again.json()["reference"]) == (200, reference)
    other = await bench.top_up(200)
    assert (other.status_code, other.json()["code"]) == (409, "payments.push_in_flight")
    stranger = await bench.top_up(100, account=OTHER)
    assert (stranger.status_code, stranger.json()["code"]) == (409, "payments.push_in_flight")
    assert len(bench.gateway.collections) == 1


async def test_simultaneous_pushes_prompt_the_phone_once(bench: PaymentsBench) -> None:
    replies = await asyncio.gather(*(bench.top_up(100) for _ in range(12)))
    assert sorted(reply.status_code for reply in replies) == [200] * 11 + [201]
    assert len({reply.json()["reference"] for reply in replies}) == 1
    assert len(bench.gateway.collections) == 1


async def test_a_phone_gets_three_pushes_in_ten_minutes(bench: PaymentsBench) -> None:
    for number in range(3):
        reference = await bench.started(100)
        await bench.callback({"reference": reference, "status": "failed", "code": str(number)})
        bench.clock.advance(timedelta(minutes=1))
    refused = await bench.top_up(100)
    assert (refused.status_code, refused.json()["code"]) == (429, "payments.too_many_pushes")
    assert refused.headers["retry-after"] == str(7 * 60)
    assert (await bench.top_up(100, phone="0712345679")).status_code == 201
    bench.clock.advance(timedelta(minutes=7))
    assert (await bench.top_up(100)).status_code == 201


async def test_a_request_that_did_not_leave_fails_at_once_and_costs_no_push(bench: PaymentsBench) -> None:
    bench.gateway.is_reachable = False
    for _ in range(4):
        reply = await bench.top_up(100)
        assert (reply.status_code, reply.json()["code"]) == (503, "payments.gateway_unavailable")
        assert "retry-after" in reply.headers
    rows = await bench.rows("SELECT status, sent_at FROM payment_attempts")
    assert rows == [{"status": "failed", "sent_at": None}] * 4
    bench.gateway.is_reachable = True
    assert (await bench.top_up(100)).status_code == 201


async def test_a_lost_answer_is_unknown_and_found_by_searching(bench: PaymentsBench) -> None:
    bench.gateway.script("+254712345678", SimulatedOutcome.ANSWER_LOST)
    reply = await bench.top_up(100)
    assert (reply.status_code, reply.json()["stage"]) == (201, "unknown")
    assert (await bench.top_up(100)).status_code == 200
    assert len(bench.gateway.collections) == 1  # never sent again
    await bench.pass_time(timedelta(minutes=3))
    assert await bench.wallet() == 100_00
    assert bench.gateway.borrowed == [0]  # it was searched, not queried


async def test_two_lost_answers_that_look_alike_are_a_case(bench: PaymentsBench) -> None:
    bench.gateway.script("+254712345678", SimulatedOutcome.ANSWER_LOST)
    await bench.started(100)
    bench.gateway.collections.append(replace(bench.gateway.collections[0], id="TXN999999"))
    await bench.pass_time(timedelta(hours=24))
    assert await bench.wallet() == 0
    cases = await bench.rows("SELECT kind FROM payment_cases")
    assert cases == [{"kind": "unknown_outcome"}]
    assert (await bench.rows("SELECT status FROM payment_attempts")) == [{"status": "expired"}]


async def test_a_crash_after_the_provider_answered_is_finished_by_the_ladder(bench: PaymentsBench) -> None:
    use_cases = bench.use_cases
    request = TopUpCommand(payer=PAYER, amount=Money(100_00), method="mpesa", phone="0712345678")
    prepared = await use_cases.top_up._prepare(request, "0712345678")
    await bench.gateway.collect(prepared.collection)  # the provider took it, and then we died
    status = await bench.status(prepared.state.reference)
    assert status["stage"] == "created"
    bench.clock.advance(timedelta(seconds=61))
    await bench.run("payments.expire_attempts")
    assert (await bench.status(prepared.state.reference))["stage"] == "unknown"
    bench.clock.advance(timedelta(seconds=15))
    await bench.run("payments.reconcile")
    assert await bench.wallet() == 100_00


async def test_two_callbacks_at_one_instant_credit_once(bench: PaymentsBench) -> None:
    reference = await bench.started(100)
    fields = {"reference": reference, "status": "success", "amount": 100}
    replies = await asyncio.gather(*(bench.callback(fields) for _ in range(8)))
    assert sorted(reply.json()["detail"] for reply in replies) == ["already processed"] * 7 + ["processed"]
    other_bytes = await asyncio.gather(*(bench.callback(fields | {"message": str(n)}) for n in range(8)))
    assert {reply.json()["detail"] for reply in other_bytes} == {"already processed"}
    assert await bench.wallet() == 100_00
    assert len(await bench.rows("SELECT * FROM ledger_transfers")) == 1


async def test_a_success_then_a_failure_stays_a_success_and_opens_a_case(bench: PaymentsBench) -> None:
    reference = await bench.started(100)
    await bench.callback(nested("TXN000001", 100))
    failed = await bench.callback(nested("TXN000001", 100, "failed"))
    assert failed.json() == {"detail": "accepted"}
    assert (await bench.status(reference))["stage"] == "succeeded"
    assert await bench.wallet() == 100_00
    refused = await resolve(bench, "contradiction", "credit_wallet")
    assert (refused.status_code, refused.json()["code"]) == (422, "payments.resolution_not_possible")
    assert (await resolve(bench, "contradiction", "dismiss")).status_code == 200
    assert await bench.wallet() == 100_00


async def test_a_failure_then_a_success_is_credited(bench: PaymentsBench) -> None:
    reference = await bench.started(100)
    assert (await bench.callback(nested("TXN000001", 100, "failed"))).json() == {"detail": "processed"}
    assert (await bench.status(reference))["status"] == "FAILED"
    bench.clock.advance(timedelta(minutes=20))
    assert (await bench.callback(nested("TXN000001", 100))).json() == {"detail": "processed"}
    assert (await bench.status(reference))["status"] == "SUCCESS"
    assert await bench.wallet() == 100_00


async def test_a_callback_before_our_row_knows_the_transaction_is_matched_later(bench: PaymentsBench) -> None:
    early = await bench.callback(nested("TXN000001", 100))
    assert early.json() == {"detail": "accepted"}
    await bench.started(100)
    bench.clock.advance(timedelta(minutes=1))
    await bench.run("payments.apply_events")
    assert await bench.wallet() == 100_00
    bench.clock.advance(timedelta(minutes=2))
    await bench.run("payments.apply_events")
    assert await bench.wallet() == 100_00


async def test_money_of_an_unknown_reference_waits_a_day_and_is_matched_by_staff(bench: PaymentsBench) -> None:
    await bench.callback(nested("TXNSTRANGE", 70))
    bench.gateway.script("+254712345678", SimulatedOutcome.NO_ANSWER)
    await bench.started(70)
    (attempt,) = await bench.rows("SELECT id FROM payment_attempts")
    await bench.pass_time(timedelta(hours=12))
    assert (await bench.balance("suspense:lipana"), await bench.rows("SELECT * FROM payment_cases")) == (0, [])
    bench.clock.advance(timedelta(hours=13))
    await bench.run("payments.apply_events")
    await bench.run("payments.apply_events")
    assert await bench.balance("suspense:lipana") == 70_00
    matched = await resolve(bench, "unknown_reference", "match", attempt=str(attempt["id"]))
    assert matched.status_code == 200, matched.text
    assert (await bench.wallet(), await bench.balance("suspense:lipana")) == (70_00, 0)


async def test_nobody_gives_himself_the_money_of_a_case(bench: PaymentsBench) -> None:
    """Rule payments.own_payment: neither a stranger's money by `match`, nor what came for a payment of his own."""
    await bench.callback(nested("TXNSTRANGE", 70))
    bench.gateway.script("+254712345678", SimulatedOutcome.NO_ANSWER)
    await bench.started(70, account=ADMIN)
    (attempt,) = await bench.rows("SELECT id FROM payment_attempts")
    await bench.pass_time(timedelta(hours=25))
    await bench.run("payments.apply_events")
    own = await bench.started(100, phone="0712345679", account=ADMIN)
    await bench.callback({"reference": own, "status": "SUCCESS", "amount": 99})
    assert await bench.balance("suspense:lipana") == 70_00 + 99_00
    for kind, resolution, more in (
        ("unknown_reference", "match", {"attempt": str(attempt["id"])}),
        ("amount_differs", "credit_wallet", {}),
        ("amount_differs", "accept", {}),
    ):
        refused = await resolve(bench, kind, resolution, **more)
        assert (refused.status_code, refused.json()["code"]) == (403, "payments.own_payment"), refused.text
    assert (await bench.wallet(ADMIN), await bench.balance("suspense:lipana")) == (0, 70_00 + 99_00)
    assert await bench.rows("SELECT id FROM payment_cases WHERE resolved_at IS NOT NULL") == []


async def test_a_missing_amount_is_asked_for_and_a_contradiction_credits_nothing(bench: PaymentsBench) -> None:
    await bench.started(100)
    assert (await bench.callback(nested("TXN000001", None))).json() == {"detail": "accepted"}
    contradictory = nested("TXN000001", 100) | {"event": "payment.failed"}
    assert (await bench.callback(contradictory)).json() == {"detail": "accepted"}
    assert await bench.wallet() == 0
    await bench.run("payments.reconcile")  # due at once
    assert await bench.wallet() == 100_00


async def test_another_currency_and_another_phone_are_cases(bench: PaymentsBench) -> None:
    first = await bench.started(100)
    assert (await bench.callback(nested("TXN000001", 100, currency="USD"))).json() == {"detail": "accepted"}
    assert (await bench.balance("suspense:lipana", "USD"), await bench.wallet()) == (100_00, 0)
    assert (await resolve(bench, "currency_differs", "accept")).status_code == 422
    assert (await resolve(bench, "currency_differs", "return")).status_code == 200
    assert await bench.balance("suspense:lipana", "USD") == 0
    assert (await bench.status(first))["status"] == "FAILED"
    await bench.started(200)
    assert (await bench.callback(nested("TXN000002", 200, phone="+254799999999"))).json() == {"detail": "processed"}
    assert await bench.wallet() == 200_00
    assert (await resolve(bench, "phone_differs", "dismiss")).status_code == 200


async def test_a_receipt_belongs_to_one_payment(bench: PaymentsBench) -> None:
    first = await bench.started(100)
    await bench.callback({"reference": first, "status": "success", "amount": 100, "mpesaReceiptNumber": "QX1"})
    bench.gateway.script("+254712345678", SimulatedOutcome.ANSWER_LOST)
    second = await bench.started(100)
    reused = await bench.callback(
        {"reference": second, "status": "success", "amount": 100, "mpesaReceiptNumber": "QX1"}
    )
    assert reused.json() == {"detail": "accepted"}
    assert (await bench.wallet(), (await bench.status(second))["status"]) == (100_00, "PENDING")
    assert [row["kind"] for row in await bench.rows("SELECT kind FROM payment_cases")] == ["receipt_reused"]


async def test_a_callback_that_is_malformed_or_too_large_or_of_another_kind(bench: PaymentsBench) -> None:
    malformed = await bench.callback(b"[1, 2]")
    assert (malformed.status_code, malformed.json()["code"]) == (400, "kernel.malformed")
    assert len(await bench.rows("SELECT * FROM gateway_events")) == 1  # stored all the same
    assert (await bench.callback(b'{"a":"' + b"x" * 65_536 + b'"}')).status_code == 413
    assert len(await bench.rows("SELECT * FROM gateway_events")) == 1
    reference = await bench.started(100)
    for word in ("received", "initiated", "pending"):
        fields = {"event": f"payment.{word}", "data": {"transactionId": "TXN000001", "amount": 100}}
        assert (await bench.callback(fields)).json() == {"detail": "accepted"}
    assert (await bench.status(reference))["stage"] == "pending"
    bench.clock.advance(timedelta(minutes=1))
    await bench.run("payments.apply_events")
    assert await bench.rows("SELECT * FROM gateway_events WHERE look_at IS NOT NULL") == []


async def test_the_house_dialect_settles_by_reference_and_means_the_amount_asked(bench: PaymentsBench) -> None:
    reference = await bench.started(100)
    body = json.dumps({"transaction_reference": reference, "status": "completed", "payment_provider_reference": "R1"})
    signed = {"x-soko-signature": signature(body.encode(), SOKO_SECRET)}
    reply = await bench.client.post("/api/payments/callback", content=body, headers=signed)
    assert (reply.status_code, reply.json()["detail"]) == (200, "processed")
    wrong = {"x-soko-signature": signature(body.encode(), LIPANA_SECRET)}
    assert (await bench.client.post("/api/payments/callback", content=body, headers=wrong)).status_code == 401
    assert (await bench.client.post("/api/payments/callback", content=body)).status_code == 401
    assert (await bench.wallet(), await bench.balance("clearing:lipana")) == (100_00, -100_00)


async def test_a_status_is_for_the_payer_and_staff_only(bench: PaymentsBench) -> None:
    reference = await bench.started(100)
    for account, is_staff, expected in ((PAYER, False, 200), (OTHER, False, 404), (ADMIN, True, 200)):
        reply = await bench.client.get(
            f"/api/transactions/status/{reference}", headers=bench.headers(account, is_admin=is_staff)
        )
        assert reply.status_code == expected
    cases = await bench.client.get("/api/admin/payments/cases", headers=bench.headers(PAYER))
    assert cases.status_code == 403


async def test_the_daily_report_counts_a_business_day_once(bench: PaymentsBench) -> None:
    paid = await bench.started(100)
    await bench.callback({"reference": paid, "status": "success", "amount": 100})
    failed = await bench.started(50)
    await bench.callback({"reference": failed, "status": "failed"})
    bench.clock.advance(timedelta(days=1))
    for _ in range(2):
        await bench.run("payments.daily_report")
    reply = await bench.client.get(
        "/api/admin/reports/daily?date=2026-03-02", headers=bench.headers(ADMIN, is_admin=True)
    )
    (figures,) = reply.json()["results"]
    assert (figures["purpose"], figures["count"], figures["completed"], figures["failed"]) == ("WALLET", 2, 1, 1)
    assert figures["amount_completed"] == {"amount": "100.00", "currency": "KES"}


async def test_the_books_are_compared_both_ways(bench: PaymentsBench) -> None:
    good = await bench.started(100)
    await bench.callback({"reference": good, "status": "success", "amount": 100})
    lost = await bench.started(200)
    ghost = await bench.started(300, phone="0712000000")
    await bench.callback({"reference": ghost, "status": "success", "amount": 300})
    bench.gateway.collections = [one for one in bench.gateway.collections if one.reference != ghost]
    bench.clock.advance(timedelta(days=1))
    for _ in range(2):
        await bench.run("payments.compare_statements")
    cases = await bench.rows(
        "SELECT facts->>'reference' AS reference FROM payment_cases WHERE kind = 'statement_differs'"
    )
    assert {row["reference"] for row in cases} == {lost, ghost}
    assert len(cases) == 2
    await bench.run("payments.reconcile")
    assert await bench.wallet() == 600_00  # the lost one was asked about; no success was taken back


async def test_a_soft_failure_is_prompted_once_more_by_day(bench: PaymentsBench) -> None:
    bench.policies.values["payments.attempt_expiry"] = 600
    bench.gateway.script("+254712345678", SimulatedOutcome.INSUFFICIENT_FUNDS)
    reference = await bench.started(100)
    bench.clock.advance(timedelta(seconds=80))
    await bench.run("payments.reconcile")
    assert (await bench.status(reference))["code"] == "INSUFFICIENT_FUNDS"
    bench.gateway.script("+254712345678", SimulatedOutcome.SUCCESS)
    bench.clock.advance(timedelta(minutes=30))
    assert [await bench.run("payments.retry_failed") for _ in range(2)] == [1, 0]
    assert len(bench.gateway.collections) == 2
    assert set(bench.gateway.borrowed) == {0}
    bench.clock.advance(timedelta(seconds=80))
    await bench.run("payments.reconcile")
    assert await bench.wallet() == 100_00
