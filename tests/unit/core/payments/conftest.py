"""Payments over a store, a clock and a provider in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from application.core.payments.apply_event import ApplyEvent
from application.core.payments.apply_events import ApplyEvents
from application.core.payments.expire_attempts import ExpireAttempts
from application.core.payments.receive_callback import CallbackReply, ReceiveCallback
from application.core.payments.reconcile import Reconcile
from application.core.payments.reconcile_refunds import ReconcileRefunds
from application.core.payments.refund_payment import RefundPayment
from application.core.payments.refund_ports import RefundPurpose, RefundPurposes
from application.core.payments.resolve_case import ResolveCase, ResolveCaseCommand
from application.core.payments.retry_failed import RetryFailed
from application.core.payments.settle_refund import SettleRefund
from application.core.payments.start_payment import PaymentRequest, PaymentState, StartPayment
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import AccountRef
from domain.core.payments.case import PaymentCase, Resolution
from domain.core.payments.gateway import Answer, Collection, Repayment
from domain.core.payments.intent import PaymentAttempt, PaymentIntent
from tests.fakes.core.payment_gateway import InMemoryPaymentGateway
from tests.fakes.core.payments import OneGateway, StoredCallback
from tests.fakes.core.payments_queries import InMemoryCallbackInbox, InMemoryPaymentQueries
from tests.fakes.core.policies import DefaultPolicies
from tests.fakes.core.refunds import FixedDeals
from tests.fakes.core.store import InMemoryStore
from tests.fakes.core.system import FixedClock, SeededRandomness, SequentialIds

PAYER = AccountId(UUID(int=0xADA))
ADMIN = AccountId(UUID(int=0xAD))
PHONE = "+254712345678"
ORDER = AccountRef("escrow:order:1")
WALLET = AccountRef.wallet(PAYER)
ASKED = Money(100_00)

AN_ORDER = PaymentRequest(
    payer=PAYER,
    purpose="ORDER",
    subject=UUID(int=1),
    amount=ASKED,
    destination=ORDER,
    method="mpesa",
    phone=PHONE,
    life=timedelta(hours=1),
    attempts_max=3,
)


class WatchedGateway(InMemoryPaymentGateway):
    """The provider in memory; it sees what is committed when it is asked, and may be told what to answer."""

    store: InMemoryStore
    committed: list[Mapping[Any, Any]]
    answer: Answer | None = None
    saw_refund_committed: bool = False
    refunds_short_by: Money = Money(0)
    dies: bool = False
    """True: the process is cut off in the middle of a call."""

    async def collect(self, collection: Collection) -> Answer:
        assert not self.store.lock.locked(), "no provider is asked inside a transaction"
        self.committed.append(self.store.rows("payment_intents"))
        return self.answer or await InMemoryPaymentGateway.collect(self, collection)

    async def refund(self, repayment: Repayment) -> Answer:
        assert not self.store.lock.locked(), "no provider is asked inside a transaction"
        self.saw_refund_committed = repayment.refund_id in self.store.rows("payment_refunds")
        if self.dies:
            raise ConnectionError
        answer = await InMemoryPaymentGateway.refund(self, repayment)
        return answer if answer.amount is None else replace(answer, amount=answer.amount - self.refunds_short_by)


@dataclass(slots=True, kw_only=True)
class Desk:
    """The use cases, and the eyes that look into the store."""

    store: InMemoryStore
    clock: FixedClock
    gateway: WatchedGateway
    inbox: InMemoryCallbackInbox
    start: StartPayment
    receive: ReceiveCallback
    apply_events: ApplyEvents
    reconcile: Reconcile
    deals: FixedDeals
    refund: RefundPayment
    expire: ExpireAttempts
    retry: RetryFailed
    resolve_case: ResolveCase

    async def pay(self, request: PaymentRequest = AN_ORDER, **changed: Any) -> PaymentState:
        async with self.store.unit_of_work() as uow:
            prepared = await self.start.prepare(uow, replace(request, **changed))
            await uow.commit()
        return await self.start.send(prepared)

    async def deliver(self, reference: str) -> list[str]:
        """Deliver what the provider owes now; return the replies."""
        return [await self.receive(body, headers) for body, headers in self.gateway.notices(reference)]

    async def say(self, body: bytes) -> CallbackReply:
        """Deliver a signed body."""
        return await self.receive(*self.gateway.signed(body))

    async def pass_time(self, by: timedelta) -> None:
        """Move the clock and run the jobs that look at it."""
        self.clock.advance(by)
        await self.apply_events(100)
        await self.reconcile(100)
        await self.expire(100)

    async def resolve(self, resolution: Resolution, *, attempt_id: UUID | None = None) -> None:
        command = ResolveCaseCommand(
            case_id=self.case.id, resolution=resolution, note="as agreed", by=ADMIN, attempt_id=attempt_id
        )
        await self.resolve_case(command)

    def balance(self, account: AccountRef | str) -> int:
        name = AccountRef(account) if isinstance(account, str) else account
        return int(self.store.tables["ledger_balances"].get((name, "KES"), 0))

    @property
    def moved(self) -> int:
        """How many transfers were posted."""
        return len(self.store.tables["ledger_transfers"])

    @property
    def intents(self) -> list[PaymentIntent]:
        return list(self.store.rows("payment_intents").values())

    @property
    def intent(self) -> PaymentIntent:
        (intent,) = self.intents
        return intent

    @property
    def attempt(self) -> PaymentAttempt:
        return self.intent.latest

    @property
    def callbacks(self) -> list[StoredCallback]:
        return list(self.store.rows("gateway_events").values())

    @property
    def cases(self) -> list[PaymentCase]:
        return list(self.store.rows("payment_cases").values())

    @property
    def case(self) -> PaymentCase:
        (case,) = self.cases
        return case

    @property
    def facts(self) -> list[str]:
        """The names of the events that were recorded."""
        return [type(event).__name__ for event in self.store.events]


@pytest.fixture
def desk() -> Desk:
    clock, ids = FixedClock(), SequentialIds()
    store = InMemoryStore(clock=clock)
    gateway = WatchedGateway(clock)
    gateway.store, gateway.committed = store, []
    gateways, policies, queries = OneGateway(gateway), DefaultPolicies(), InMemoryPaymentQueries(store)
    inbox, units = InMemoryCallbackInbox(store), store.unit_of_work
    deals = FixedDeals()
    purposes = RefundPurposes(RefundPurpose(name="ORDER", subject=deals, units=units))
    settle_refund = SettleRefund(purposes=purposes, clock=clock, ids=ids)
    reconcile_refunds = ReconcileRefunds(payment_queries=queries, gateways=gateways, settle=settle_refund, clock=clock)
    apply_event = ApplyEvent(
        unit_of_work=units,
        clock=clock,
        ids=ids,
        policies=policies,
        payment_queries=queries,
        settle_refund=settle_refund,
    )
    return Desk(
        store=store,
        clock=clock,
        gateway=gateway,
        inbox=inbox,
        start=StartPayment(
            unit_of_work=units,
            gateways=gateways,
            clock=clock,
            ids=ids,
            randomness=SeededRandomness(),
            policies=policies,
        ),
        receive=ReceiveCallback(sender=gateway, inbox=inbox, apply_event=apply_event, clock=clock, ids=ids),
        apply_events=ApplyEvents(
            unit_of_work=units,
            payment_queries=queries,
            senders={gateway.name: gateway},
            apply_event=apply_event,
            clock=clock,
        ),
        reconcile=Reconcile(
            unit_of_work=units,
            payment_queries=queries,
            gateways=gateways,
            clock=clock,
            ids=ids,
            refunds=reconcile_refunds,
        ),
        deals=deals,
        refund=RefundPayment(
            payment_queries=queries,
            purposes=purposes,
            gateways=gateways,
            settle=settle_refund,
            clock=clock,
            ids=ids,
        ),
        expire=ExpireAttempts(unit_of_work=units, payment_queries=queries, clock=clock, policies=policies),
        retry=RetryFailed(
            unit_of_work=units, payment_queries=queries, gateways=gateways, clock=clock, ids=ids, policies=policies
        ),
        resolve_case=ResolveCase(unit_of_work=units, payment_queries=queries, clock=clock, ids=ids),
    )
