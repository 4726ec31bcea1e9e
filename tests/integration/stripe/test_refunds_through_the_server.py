"""Refunds of payments by Stripe: its answers and its events through the server, into the books."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from application.core.payments.refund_ports import RefundPurpose
from application.core.payments.start_payment import PaymentRequest
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.refunds import HeldInEscrow
from domain.core.ledger.transfer import TransferKind
from infrastructure.simulator.stripe_books import StripeTrick
from tests.e2e.core.payments_bench import ADMIN, PAYER, PaymentsBench, payments_bench
from tests.fakes.core.refunds import FixedDeals
from tests.integration.stripe.bench import StripeBench, stripe_bench

PAID = Money(100_00)


class Orders:
    """The server, a provider, and a vertical whose orders are held in escrow."""

    def __init__(self, stripe: StripeBench, server: PaymentsBench) -> None:
        self.stripe, self.server, self.deals = stripe, server, FixedDeals()
        units: Any = server.adapters.payments_units
        self.units = units
        server.adapters.refund_purposes.fill([RefundPurpose(name="order", subject=self.deals, units=units)])

    async def paid(self) -> tuple[UUID, str]:
        """Have an order paid on its page; return the payment's id and its reference."""
        order = UUID(int=len(self.deals.terms_of) + 1)
        escrow = AccountRef.escrow("order", order)
        start = self.server.use_cases.start_payment
        async with self.units() as uow:
            prepared = await start.prepare(
                uow,
                PaymentRequest(
                    payer=PAYER,
                    purpose="order",
                    subject=order,
                    amount=PAID,
                    destination=escrow,
                    method="mpesa",  # the bench has one gateway, under this word
                    phone=None,
                    life=timedelta(hours=1),
                    kind=TransferKind.ORDER_PAYMENT,
                ),
            )
            await uow.commit()
        state = await start.send(prepared)
        await self.stripe.client.get(state.next_url)
        await self.stripe.simulator.deliver(state.reference)
        self.deals.terms_of[order] = HeldInEscrow(escrow=escrow)
        payment: UUID = prepared.intent_id
        return payment, state.reference

    async def refund(self, payment: UUID) -> Any:
        reply = await self.server.client.post(
            f"/api/payments/{payment}/refund",
            json={"reason": "as agreed"},
            headers=self.server.headers(ADMIN, is_admin=True),
        )
        assert reply.status_code < 300, reply.text
        return reply.json()

    async def status(self, payment: UUID) -> tuple[str, str]:
        reply = await self.server.client.get(f"/api/payments/{payment}", headers=self.server.headers())
        return reply.json()["status"], reply.json()["refunded_amount"]

    async def clearing(self) -> int:
        return await self.server.balance("clearing:stripe")


@pytest.fixture
async def orders(database_url: str) -> AsyncIterator[Orders]:
    async with (
        stripe_bench() as stripe,
        payments_bench(database_url, clock=stripe.clock, provider=stripe.gateway) as server,
    ):
        stripe.catcher.server = server.client
        yield Orders(stripe, server)


async def test_a_refund_that_stripe_makes_at_once_leaves_for_stripe_once(orders: Orders) -> None:
    payment, reference = await orders.paid()
    assert (await orders.status(payment), await orders.clearing()) == (("completed", "0.00"), -100_00)
    await orders.refund(payment)
    assert (await orders.status(payment), await orders.clearing()) == (("refunded", "100.00"), 0)
    assert await orders.stripe.simulator.deliver(reference) == 2  # which says what the answer said
    assert (await orders.status(payment), await orders.clearing()) == (("refunded", "100.00"), 0)
    assert [refund.amount for refund in orders.stripe.simulator.books.refunds] == [100_00]
    assert await orders.server.wallet() == 0


async def test_a_refund_that_waits_is_settled_by_its_event_and_by_asking(orders: Orders) -> None:
    for is_told in (True, False):
        payment, reference = await orders.paid()
        orders.stripe.simulator.script(StripeTrick.REFUND_PENDING)
        before = await orders.clearing()
        await orders.refund(payment)
        await orders.stripe.simulator.deliver(reference)
        assert await orders.clearing() == before  # parked
        orders.stripe.simulator.settle()
        if is_told:
            await orders.stripe.simulator.deliver(reference)
        else:
            orders.server.clock.advance(timedelta(minutes=6))
            await orders.server.run("payments.reconcile")
        assert await orders.clearing() == before + 100_00
        assert await orders.status(payment) == ("refunded", "100.00")


async def test_a_refund_that_fails_while_it_waits_reaches_the_wallet(orders: Orders) -> None:
    payment, reference = await orders.paid()
    orders.stripe.simulator.script(StripeTrick.REFUND_PENDING)
    await orders.refund(payment)
    [refund] = orders.stripe.simulator.books.refunds
    refund.trick = StripeTrick.REFUND_FAILS_LATER
    orders.stripe.simulator.settle()
    await orders.stripe.simulator.deliver(reference)
    assert (await orders.server.wallet(), await orders.clearing()) == (100_00, -100_00)


async def test_a_refund_whose_answer_is_lost_is_made_once(orders: Orders) -> None:
    payment, _ = await orders.paid()
    orders.stripe.simulator.script(StripeTrick.ERROR_AFTERWARDS, on="refunds")
    await orders.refund(payment)
    assert await orders.clearing() == -100_00
    orders.server.clock.advance(timedelta(minutes=6))
    await orders.server.run("payments.reconcile")
    assert (await orders.status(payment), await orders.clearing()) == (("refunded", "100.00"), 0)
    assert len(orders.stripe.simulator.books.refunds) == 1


async def test_a_refund_that_fails_after_it_succeeded_reaches_the_wallet_once(orders: Orders) -> None:
    payment, reference = await orders.paid()
    orders.stripe.simulator.script(StripeTrick.REFUND_FAILS_LATER)
    await orders.refund(payment)
    assert (await orders.server.wallet(), await orders.clearing()) == (0, 0)
    orders.stripe.simulator.settle()
    for delivered in (3, 0):  # two told that it was made, one that it came back
        assert await orders.stripe.simulator.deliver(reference) == delivered
        assert (await orders.server.wallet(), await orders.clearing()) == (100_00, -100_00)
