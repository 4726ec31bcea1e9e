"""Payments as the server sees them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Protocol

from application.core.kernel.ports import Clock, IdSource, Policies, Randomness
from application.core.payments.apply_event import ApplyEvent
from application.core.payments.apply_events import ApplyEvents
from application.core.payments.compare_statements import CompareStatements
from application.core.payments.daily_report import DailyReport
from application.core.payments.expire_attempts import ExpireAttempts
from application.core.payments.payment_status import PaymentStatus
from application.core.payments.ports import (
    CallbackInbox,
    CallbackReader,
    Gateways,
    PayerPhones,
)
from application.core.payments.queries import DailyFiguresWriter, PaymentQueries
from application.core.payments.receive_callback import ReceiveCallback, ReceiveCallbacks
from application.core.payments.reconcile import Reconcile
from application.core.payments.reconcile_refunds import ReconcileRefunds
from application.core.payments.refund_payment import RefundPayment
from application.core.payments.refund_ports import RefundPurposes
from application.core.payments.resolve_case import ResolveCase
from application.core.payments.retry_failed import RetryFailed
from application.core.payments.see_payment import SeePayment
from application.core.payments.settle_refund import SettleRefund
from application.core.payments.simulation import PaymentSimulator
from application.core.payments.start_payment import StartPayment
from application.core.payments.top_up import TopUp
from application.core.payments.watch_unserved import WatchUnserved
from application.core.payments.withdrawal_ports import PayoutEventsUnitOfWork
from interface.bootstrap.area import Area, Job
from interface.http.core.payments import CallbackController, TransactionController
from interface.http.core.payments_admin import CaseController, ReportController, SimulatorController
from interface.http.core.payments_list import PaymentController, RefundController


class PaymentAdapters(Protocol):
    """What payments need from outside."""

    @property
    def callback_inbox(self) -> CallbackInbox: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def daily_figures(self) -> DailyFiguresWriter: ...

    @property
    def gateways(self) -> Gateways: ...

    @property
    def ids(self) -> IdSource: ...

    @property
    def payer_phones(self) -> PayerPhones: ...

    @property
    def payment_queries(self) -> PaymentQueries: ...

    @property
    def payment_simulator(self) -> PaymentSimulator | None: ...

    @property
    def payments_units(self) -> Callable[[], PayoutEventsUnitOfWork]: ...

    @property
    def policies(self) -> Policies: ...

    @property
    def randomness(self) -> Randomness: ...

    @property
    def refund_purposes(self) -> RefundPurposes: ...

    @property
    def soko_callbacks(self) -> CallbackReader: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentUseCases:
    payment_queries: PaymentQueries
    payment_simulator: PaymentSimulator | None
    payment_status: PaymentStatus
    see_payment: SeePayment
    receive_callbacks: ReceiveCallbacks
    reconcile: Reconcile
    refund_payment: RefundPayment
    resolve_case: ResolveCase
    start_payment: StartPayment
    top_up: TopUp


def start_payment_of(adapters: PaymentAdapters) -> StartPayment:
    """Return the use case with which verticals start payments."""
    return StartPayment(
        unit_of_work=adapters.payments_units,
        gateways=adapters.gateways,
        clock=adapters.clock,
        ids=adapters.ids,
        randomness=adapters.randomness,
        policies=adapters.policies,
    )


def senders_of(adapters: PaymentAdapters) -> tuple[CallbackReader, ...]:
    """Return everybody whose callbacks are heard."""
    return (*adapters.gateways.bound, adapters.soko_callbacks)


def payments_area(adapters: PaymentAdapters) -> Area:
    """Wire payments."""
    settle_refund = SettleRefund(purposes=adapters.refund_purposes, clock=adapters.clock, ids=adapters.ids)
    apply_event = ApplyEvent(
        unit_of_work=adapters.payments_units,
        clock=adapters.clock,
        ids=adapters.ids,
        policies=adapters.policies,
        payment_queries=adapters.payment_queries,
        settle_refund=settle_refund,
    )
    start_payment = start_payment_of(adapters)
    reconcile = _reconcile(adapters, settle_refund)

    def receiver(sender: CallbackReader) -> ReceiveCallback:
        return ReceiveCallback(
            sender=sender,
            inbox=adapters.callback_inbox,
            apply_event=apply_event,
            clock=adapters.clock,
            ids=adapters.ids,
        )

    return Area(
        name="payments",
        use_cases=PaymentUseCases(
            payment_queries=adapters.payment_queries,
            payment_simulator=adapters.payment_simulator,
            payment_status=PaymentStatus(payment_queries=adapters.payment_queries),
            receive_callbacks=ReceiveCallbacks({one.name: receiver(one) for one in senders_of(adapters)}),
            reconcile=reconcile,
            refund_payment=RefundPayment(
                payment_queries=adapters.payment_queries,
                purposes=adapters.refund_purposes,
                gateways=adapters.gateways,
                settle=settle_refund,
                clock=adapters.clock,
                ids=adapters.ids,
            ),
            see_payment=SeePayment(payment_queries=adapters.payment_queries),
            resolve_case=ResolveCase(
                unit_of_work=adapters.payments_units,
                payment_queries=adapters.payment_queries,
                clock=adapters.clock,
                ids=adapters.ids,
            ),
            start_payment=start_payment,
            top_up=TopUp(
                unit_of_work=adapters.payments_units,
                start_payment=start_payment,
                gateways=adapters.gateways,
                phones=adapters.payer_phones,
                policies=adapters.policies,
                ids=adapters.ids,
            ),
        ),
        controllers=(
            PaymentController,
            RefundController,
            TransactionController,
            CallbackController,
            CaseController,
            ReportController,
            *(() if adapters.payment_simulator is None else (SimulatorController,)),
        ),
        jobs=_jobs(adapters, apply_event, reconcile),
    )


def _reconcile(adapters: PaymentAdapters, settle_refund: SettleRefund) -> Reconcile:
    queries, gateways, clock = adapters.payment_queries, adapters.gateways, adapters.clock
    return Reconcile(
        unit_of_work=adapters.payments_units,
        payment_queries=queries,
        gateways=gateways,
        clock=clock,
        ids=adapters.ids,
        refunds=ReconcileRefunds(payment_queries=queries, gateways=gateways, settle=settle_refund, clock=clock),
    )


def _jobs(adapters: PaymentAdapters, apply_event: ApplyEvent, reconcile: Reconcile) -> tuple[Job, ...]:
    units, queries, clock = adapters.payments_units, adapters.payment_queries, adapters.clock
    gateways, ids, policies = adapters.gateways, adapters.ids, adapters.policies
    senders = {one.name: one for one in senders_of(adapters)}
    return (
        Job(
            name="payments.reconcile",
            every=timedelta(seconds=30),
            run=reconcile,
        ),
        Job(
            name="payments.expire_attempts",
            every=timedelta(minutes=1),
            run=ExpireAttempts(unit_of_work=units, payment_queries=queries, clock=clock, policies=policies),
        ),
        Job(
            name="payments.apply_events",
            every=timedelta(minutes=1),
            run=ApplyEvents(
                unit_of_work=units, payment_queries=queries, senders=senders, apply_event=apply_event, clock=clock
            ),
        ),
        Job(
            name="payments.retry_failed",
            every=timedelta(minutes=30),
            run=RetryFailed(
                unit_of_work=units,
                payment_queries=queries,
                gateways=gateways,
                clock=clock,
                ids=ids,
                policies=policies,
            ),
        ),
        Job(
            name="payments.watch_unserved",
            every=timedelta(minutes=10),
            run=WatchUnserved(payment_queries=queries, clock=clock),
        ),
        Job(
            name="payments.compare_statements",
            daily_at=time(4),
            run=CompareStatements(
                unit_of_work=units, payment_queries=queries, gateways=gateways.bound, clock=clock, ids=ids
            ),
        ),
        Job(
            name="payments.daily_report",
            daily_at=time(0, 15),
            run=DailyReport(daily_figures=adapters.daily_figures, clock=clock),
        ),
    )
