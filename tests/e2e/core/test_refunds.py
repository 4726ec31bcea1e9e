"""Refunds over HTTP and a real PostgreSQL: a small market whose deals are what a test says, and a provider in memory.

`SOKO_DRILL=1` plays the races at the sizes of the goals.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from application.core.payments.refund_ports import RefundPurpose
from application.core.payments.start_payment import PaymentRequest
from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.earnings import EarningsHold, pay_earnings
from domain.core.ledger.refunds import HeldInEscrow, PaidOut
from domain.core.ledger.transfer import Transfer, TransferKind
from infrastructure.postgres.core.unit_of_work import PostgresCoreUnitOfWork
from tests.e2e.core.payments_bench import ADMIN, OTHER, PAYER, PaymentsBench, payments_bench
from tests.e2e.market import Market
from tests.fakes.core.payment_gateway import RefundEnding
from tests.fakes.core.refunds import FixedDeals

WORKER = AccountId(UUID("01900000-0000-7000-8000-000000000003"))
RATE = 1_500
IS_DRILL = bool(os.environ.get("SOKO_DRILL"))
WHOLE, PARTIAL = (500, 200) if IS_DRILL else (25, 10)


class Deals:
    """The bench, and a vertical of its own."""

    def __init__(self, bench: PaymentsBench) -> None:
        self.bench, self.deals = bench, FixedDeals()
        units: Any = bench.adapters.payments_units
        self.units = units
        bench.adapters.refund_purposes.fill([RefundPurpose(name="order", subject=self.deals, units=units)])
        bench.gateway.can_refund = True

    async def paid(self, number: int = 1, minor: int = 100_00, *, completed: bool = False) -> UUID:
        """Have an order paid by phone, and perhaps completed; return the payment's id."""
        bench, deal = self.bench, UUID(int=number)
        escrow = AccountRef.escrow("order", deal)
        start = bench.use_cases.start_payment
        async with self.units() as uow:
            prepared = await start.prepare(
                uow,
                PaymentRequest(
                    payer=PAYER,
                    purpose="order",
                    subject=deal,
                    amount=Money(minor),
                    destination=escrow,
                    method="mpesa",
                    phone=f"07{30_000_000 + number}",
                    life=timedelta(hours=1),
                    kind=TransferKind.ORDER_PAYMENT,
                    attempts_max=5,
                ),
            )
            await uow.commit()
        state = await start.send(prepared)
        reply = await bench.callback({"reference": state.reference, "status": "SUCCESS", "amount": minor // 100})
        assert reply.json() == {"detail": "processed"}
        self.deals.terms_of[deal] = HeldInEscrow(escrow=escrow)
        if completed:
            await self.complete(deal, Money(minor))
        found: UUID = prepared.intent_id
        return found

    async def complete(self, deal: UUID, amount: Money) -> None:
        """Pay the worker, who has to wait three days."""
        uow: PostgresCoreUnitOfWork
        now, about = self.bench.clock.now(), f"order:{deal}"
        async with self.units() as uow:
            legs = pay_earnings(
                source=AccountRef.escrow("order", deal),
                payee=WORKER,
                amount=amount,
                fee_basis_points=RATE,
                owed=Money(0),
                hold=True,
            )
            await uow.ledger.post(
                Transfer(
                    id=TransferId(self.bench.adapters.ids.new()),
                    reference=f"{about}:complete",
                    kind=TransferKind.EARNING,
                    area="gigs",
                    subject=about,
                    legs=legs,
                    posted_at=now,
                )
            )
            uow.earnings_holds.add(
                EarningsHold(
                    id=self.bench.adapters.ids.new(),
                    payee=WORKER,
                    amount=amount.split_fee(RATE)[1],
                    area="gigs",
                    subject=about,
                    available_at=now + timedelta(days=3),
                    created_at=now,
                )
            )
            await uow.commit()
        self.deals.terms_of[deal] = PaidOut(payee=WORKER, fee_basis_points=RATE, subject=about)

    async def refund(self, payment: UUID, amount: str | None = None, *, by: AccountId = ADMIN) -> Any:
        body = {"reason": "as agreed"} | ({} if amount is None else {"amount": amount})
        return await self.bench.client.post(
            f"/api/payments/{payment}/refund",
            json=body,
            headers=self.bench.headers(by, is_admin=by != PAYER),
        )

    async def seen(self, path: str, account: AccountId = PAYER) -> Any:
        reply = await self.bench.client.get(
            f"/api/payments{path}", headers=self.bench.headers(account, is_admin=account == ADMIN)
        )
        return reply.json() if reply.status_code == 200 else reply.status_code

    async def worker(self) -> dict[str, int]:
        words = ("pending", "wallet", "owed")
        found = {word: await self.bench.balance(f"{word}:user:{WORKER}") for word in words}
        return {word: minor for word, minor in found.items() if minor}


@pytest.fixture
async def deals(database_url: str) -> AsyncIterator[Deals]:
    async with payments_bench(database_url, pool_size=8) as bench:
        yield Deals(bench)


async def test_a_payment_is_shown_to_its_payer_and_to_administrators(deals: Deals) -> None:
    payment = await deals.paid()
    shown = await deals.seen(f"/{payment}")
    (attempt,) = shown.pop("attempts")
    assert (attempt["method"], attempt["status"], attempt["code"]) == ("mpesa", "completed", None)
    moment = "2026-03-02T12:00:00Z"
    assert shown == {
        "id": str(payment),
        "order": str(UUID(int=1)),
        "user": str(PAYER),
        "amount": "100.00",
        "currency": "KES",
        "method": "mpesa",
        "payment_method": "mpesa",
        "status": "completed",
        "stage": "succeeded",
        "transaction_id": "TXN000001",
        "refunded_amount": "0.00",
        "attempts_left": 4,
        "created_at": moment,
        "completed_at": moment,
    }
    assert (await deals.seen(f"/{payment}", ADMIN))["id"] == str(payment)
    assert await deals.seen(f"/{payment}", OTHER) == 404
    assert await deals.seen("/lipana", ADMIN) == 404
    assert await deals.seen("/simulator", ADMIN) == 404


async def test_the_list_shows_ones_own_and_to_administrators_all_by_purpose_status_and_order(deals: Deals) -> None:
    first, second = await deals.paid(1), await deals.paid(2)
    await deals.bench.started(50)
    assert (await deals.refund(first)).status_code == 200

    async def ids(query: str, account: AccountId = PAYER) -> list[str]:
        return [one["id"] for one in (await deals.seen(query, account))["results"]]

    assert len(await ids("")) == 3
    assert await ids("?purpose=order") == [str(second), str(first)]
    assert await ids("?purpose=order", ADMIN) == [str(second), str(first)]
    assert await ids("?purpose=order", OTHER) == []
    assert await ids("?status=refunded") == [str(first)]
    assert await ids("?status=completed") == [str(second)]
    assert await ids(f"?order={UUID(int=2)}") == [str(second)]
    page = await deals.seen("?purpose=order&limit=1")
    assert (page["results"][0]["id"], page["previous"]) == (str(second), None)
    assert await ids(page["next"].removeprefix("/api/payments")) == [str(first)]
    assert await deals.seen("?status=paid") == 422


async def test_only_an_administrator_refunds_and_never_a_payment_of_his_own(deals: Deals) -> None:
    payment = await deals.paid()
    asked = await deals.refund(payment, by=PAYER)
    assert (asked.status_code, asked.json()["code"]) == (403, "identity.role_required")
    own = await deals.bench.client.post(
        f"/api/payments/{payment}/refund", json={}, headers=deals.bench.headers(PAYER, is_admin=True)
    )
    assert (own.status_code, own.json()["code"]) == (403, "payments.own_refund")
    assert await deals.bench.balance(f"escrow:order:{UUID(int=1)}") == 100_00
    assert await deals.bench.rows("SELECT id FROM payment_refunds") == []


async def test_a_top_up_is_not_refundable(deals: Deals) -> None:
    reference = await deals.bench.started(50)
    await deals.bench.callback({"reference": reference, "status": "success", "amount": 50})
    (row,) = await deals.bench.rows("SELECT id FROM payment_intents")
    refused = await deals.refund(row["id"])
    assert (refused.status_code, refused.json()["code"]) == (409, "payments.not_refundable")
    assert await deals.bench.wallet() == 50_00


async def test_a_whole_refund_reaches_the_gateway_and_the_payment_shows_it(deals: Deals) -> None:
    payment = await deals.paid()
    reply = await deals.refund(payment)
    assert reply.status_code == 200
    assert (reply.json()["status"], reply.json()["refunded_amount"]) == ("refunded", "100.00")
    assert await deals.seen(f"/{payment}", ADMIN) == reply.json()
    for account in ("clearing:lipana", f"escrow:order:{UUID(int=1)}", "revenue:fees"):
        assert await deals.bench.balance(account) == 0
    assert deals.deals.heard == [(Money(100_00), True)]
    (entry,) = await deals.bench.rows("SELECT action, target, reason FROM audit_entries WHERE action = 'REFUND'")
    assert entry == {"action": "REFUND", "target": f"payment:{payment}", "reason": "as agreed"}


async def test_a_refund_after_completion_takes_the_fees_share_and_the_rest_of_what_waits(deals: Deals) -> None:
    """Step 11 of the journey of gigs, while the worker waits for his money, and then when he has it."""
    payment = await deals.paid(1, 5000_00, completed=True)
    reply = await deals.refund(payment, "1000.00")
    assert (reply.json()["status"], reply.json()["refunded_amount"]) == ("partially_refunded", "1000.00")
    assert (await deals.worker(), await deals.bench.balance("revenue:fees")) == ({"pending": 3400_00}, 600_00)
    too_much = await deals.refund(payment, "4500.00")
    assert (too_much.status_code, too_much.json()["code"]) == (409, "payments.refund_exceeds_payment")
    assert too_much.json()["left"] == "4000.00"
    (hold,) = await deals.bench.rows("SELECT amount, taken_back, released_at FROM earnings_holds")
    assert hold == {"amount": 4250_00, "taken_back": 850_00, "released_at": None}


async def test_what_a_gateway_refuses_at_once_is_as_it_was(deals: Deals) -> None:
    payment = await deals.paid(1, completed=True)
    deals.bench.gateway.refund_ending = RefundEnding.REFUSED
    refused = await deals.refund(payment)
    assert (refused.status_code, refused.json()["code"]) == (422, "payments.refund_refused")
    assert refused.json()["gateway_code"] == "REFUND_REFUSED"
    assert (await deals.worker(), await deals.bench.balance("revenue:fees")) == ({"pending": 85_00}, 15_00)
    assert (await deals.seen(f"/{payment}"))["status"] == "completed"
    assert deals.deals.heard == []
    (hold,) = await deals.bench.rows("SELECT taken_back, released_at FROM earnings_holds")
    assert hold == {"taken_back": 0, "released_at": None}


async def test_a_pending_refund_is_asked_about_and_a_later_failure_pays_the_wallet(deals: Deals) -> None:
    payment = await deals.paid()
    deals.bench.gateway.refund_ending = RefundEnding.PENDING
    assert (await deals.refund(payment)).json()["status"] == "refunded"
    (booked,) = deals.bench.gateway.refunds.values()
    assert await deals.bench.balance(f"escrow:refund:{booked.refund_id}") == 100_00
    booked.ending = RefundEnding.FAILED
    deals.bench.clock.advance(timedelta(minutes=2))
    await deals.bench.run("payments.reconcile")
    assert await deals.bench.wallet() == 100_00
    assert await deals.bench.balance(f"escrow:refund:{booked.refund_id}") == 0
    assert await deals.bench.balance("clearing:lipana") == -100_00
    await deals.bench.run("payments.reconcile")
    assert await deals.bench.wallet() == 100_00


async def test_a_worker_who_withdrew_everything_owes_and_his_next_earnings_fill_it(market: Market) -> None:
    """The whole server: paid from a wallet, returned to it, whatever the worker has left (ledger.owed_is_netted)."""
    client, worker = await market.register("clara"), await market.register("wanjiru")
    staff = await market.register("adhiambo", "admin")
    await market.top_up(client, 2000)
    deals = FixedDeals()
    units: Any = market.adapters.payments_units
    market.adapters.refund_purposes.fill([RefundPurpose(name="deal", subject=deals, units=units)])
    start = next(found for name, found in market.server.named_use_cases() if name == "start_payment")

    async def earn(number: int, owed: int = 0) -> Any:
        """Pay an order of 1000.00 from the client's wallet and complete it at once; return the payment's id."""
        deal = UUID(int=number)
        escrow = AccountRef.escrow("deal", deal)
        async with units() as uow:
            request = PaymentRequest(
                payer=client.id,
                purpose="deal",
                subject=deal,
                amount=Money(1000_00),
                destination=escrow,
                method="wallet",
                phone=None,
                life=timedelta(hours=1),
            )
            prepared = await start.prepare(uow, request)
            legs = pay_earnings(
                source=escrow,
                payee=worker.id,
                amount=Money(1000_00),
                fee_basis_points=RATE,
                owed=Money(owed),
                hold=False,
            )
            completed = Transfer(
                id=TransferId(market.adapters.ids.new()),
                reference=f"deal:{deal}:complete",
                kind=TransferKind.EARNING,
                area="gigs",
                subject=f"deal:{deal}",
                legs=legs,
                posted_at=market.clock.now(),
            )
            await uow.ledger.post(completed)
            await uow.commit()
        deals.terms_of[deal] = PaidOut(payee=worker.id, fee_basis_points=RATE, subject=f"deal:{deal}")
        return prepared.intent_id

    async def withdraw(amount: int) -> Any:
        body = {"amount": amount, "destination": {"phone": "0712345678"}}
        return await market.post(worker, "/api/withdrawals/request", body)

    payment = await earn(1)
    assert (await withdraw(850)).status_code == 201
    first = await market.post(staff, f"/api/payments/{payment}/refund", {"amount": "1000.00"}, key="refund-1")
    again = await market.post(staff, f"/api/payments/{payment}/refund", {"amount": "1000.00"}, key="refund-1")
    assert (first.status_code, first.json()["refunded_amount"], first.json()["method"]) == (200, "1000.00", "wallet")
    assert (again.status_code, again.json()) == (200, first.json())
    assert (await market.wallet(client), await market.balance("revenue:fees")) == (2000_00, 0)
    assert await market.balance(f"owed:user:{worker.id}") == -850_00
    assert deals.heard == [(Money(1000_00), True)]

    await earn(2, owed=-850_00)
    assert (await market.balance(f"owed:user:{worker.id}"), await market.wallet(worker)) == (0, 0)
    second = await earn(3)
    await market.post(staff, f"/api/payments/{second}/refund", {"amount": "1000.00"})
    assert (await market.balance(f"owed:user:{worker.id}"), await market.wallet(worker)) == (0, 0)
    third = await earn(4)
    assert (await withdraw(850)).status_code == 201
    await market.post(staff, f"/api/payments/{third}/refund", {"amount": "400.00"})
    await market.top_up(worker, 500)
    refused = await withdraw(100)
    assert (refused.status_code, refused.json()["code"]) == (409, "payments.balance_owed")
    assert refused.json()["owed"] == "340.00"
    assert await market.wallet(worker) == 500_00


async def test_the_day_of_the_refund_counts_it_and_the_day_of_the_payment_does_not(deals: Deals) -> None:
    """Step 14 of the journey of gigs: a payment that was tried twice, and refunded three days later."""
    declined = await deals.paid(1, 5000_00, completed=True)
    await deals.bench.rows(
        "INSERT INTO payment_attempts SELECT (jsonb_populate_record(a, jsonb_build_object('id', $2::text,"
        " 'status', 'failed', 'transaction_id', NULL, 'checkout_id', NULL, 'receipt', NULL, 'received', NULL,"
        " 'phone', NULL))).* FROM payment_attempts AS a WHERE intent_id = $1",
        declined,
        "01900000-0000-7000-8000-0000000000a1",
    )
    deals.bench.clock.advance(timedelta(days=1))
    await deals.bench.run("payments.daily_report")
    deals.bench.clock.advance(timedelta(days=2))
    await deals.refund(declined, "1000.00")
    deals.bench.clock.advance(timedelta(days=1))
    await deals.bench.run("payments.daily_report")
    staff = deals.bench.headers(ADMIN, is_admin=True)

    async def figures(day: str) -> dict[str, Any]:
        reply = await deals.bench.client.get(f"/api/admin/reports/daily?date={day}", headers=staff)
        (one,) = reply.json()["results"]
        return {name: one[name] for name in ("count", "completed", "failed", "pending", "refunded", "sum")}

    paid = {"count": 2, "completed": 1, "failed": 1, "pending": 0, "refunded": 0, "sum": "5000.00"}
    assert await figures("2026-03-02") == paid
    back = {"count": 0, "completed": 0, "failed": 0, "pending": 0, "refunded": 1, "sum": "0.00"}
    assert await figures("2026-03-05") == back


async def test_each_payment_is_refunded_once_however_often_it_is_asked_at_once(deals: Deals) -> None:
    """Goal M4: four at the same time, one is done and three are refused."""
    payments = [await deals.paid(number, completed=number % 2 == 0) for number in range(1, WHOLE + 1)]
    for payment in payments:
        replies = await asyncio.gather(*(deals.refund(payment) for _ in range(4)))
        assert sorted(reply.status_code for reply in replies) == [200, 409, 409, 409]
        codes = {reply.json()["code"] for reply in replies if reply.status_code == 409}
        assert codes == {"payments.refund_exceeds_payment"}
    assert len(deals.bench.gateway.refunds) == WHOLE
    assert await deals.bench.balance("clearing:lipana") == 0
    assert await deals.bench.balance("revenue:fees") == 0
    assert await deals.worker() == {}
    assert await deals.bench.rows("SELECT account FROM ledger_balances WHERE balance <> 0") == []


async def test_parts_at_once_never_return_more_than_was_paid(deals: Deals) -> None:
    """Goal M4: ten random parts at the same time."""
    chance = random.Random(4)
    for number in range(1, PARTIAL + 1):
        payment = await deals.paid(number, completed=True)
        parts = [chance.randint(1, 40) for _ in range(10)]
        replies = await asyncio.gather(*(deals.refund(payment, f"{part}.00") for part in parts))
        done = sum(part for part, reply in zip(parts, replies, strict=True) if reply.status_code == 200)
        left = 100 - done
        assert (
            0
            <= left
            < min((part for part, reply in zip(parts, replies, strict=True) if reply.status_code != 200), default=101)
        )
        (row,) = await deals.bench.rows(
            "SELECT refunded, (SELECT sum(amount)::bigint FROM payment_refunds WHERE intent_id = i.id) AS returned"
            " FROM payment_intents AS i WHERE id = $1",
            payment,
        )
        assert row == {"refunded": done * 100, "returned": done * 100}
        assert await deals.bench.balance("clearing:lipana") == -left * 100
        assert await deals.bench.balance("revenue:fees") == left * 100 * RATE // 10_000
        assert await deals.refund(payment) is not None
        assert await deals.bench.balance("clearing:lipana") == 0
