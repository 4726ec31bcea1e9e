"""Payments as the server sees them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from application.core.kernel.ports import Clock, IdSource, Policies, Randomness
from application.core.payments.apply_event import ApplyEvent
from application.core.payments.payment_status import PaymentStatus
from application.core.payments.ports import (
    CallbackInbox,
    CallbackReader,
    Gateways,
    PayerPhones,
    PaymentsUnitOfWork,
)
from application.core.payments.queries import DailyFiguresWriter, PaymentQueries
from application.core.payments.receive_callback import ReceiveCallback
from application.core.payments.simulation import PaymentSimulator
from application.core.payments.start_payment import StartPayment
from application.core.payments.top_up import TopUp
from interface.bootstrap.area import Area
from interface.http.core.payments import CallbackController, TransactionController


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
    def payments_units(self) -> Callable[[], PaymentsUnitOfWork]: ...

    @property
    def policies(self) -> Policies: ...

    @property
    def randomness(self) -> Randomness: ...

    @property
    def soko_callbacks(self) -> CallbackReader: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentUseCases:
    payment_status: PaymentStatus
    receive_lipana_callback: ReceiveCallback
    receive_soko_callback: ReceiveCallback
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


def payments_area(adapters: PaymentAdapters) -> Area:
    """Wire payments."""
    apply_event = ApplyEvent(
        unit_of_work=adapters.payments_units, clock=adapters.clock, ids=adapters.ids, policies=adapters.policies
    )
    start_payment = start_payment_of(adapters)

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
            payment_status=PaymentStatus(payment_queries=adapters.payment_queries),
            receive_lipana_callback=receiver(adapters.gateways.gateway_for("mpesa")),
            receive_soko_callback=receiver(adapters.soko_callbacks),
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
        controllers=(TransactionController, CallbackController),
    )
