"""Withdrawals as the server sees them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from application.core.kernel.ports import Clock, IdSource, Policies
from application.core.payments.decide_withdrawal import CancelWithdrawal, DecideWithdrawal
from application.core.payments.ports import Gateways, PayerPhones
from application.core.payments.request_withdrawal import RequestWithdrawal
from application.core.payments.run_payouts import RunPayouts
from application.core.payments.withdrawal_ports import WithdrawalQueries, WithdrawalsUnitOfWork
from interface.bootstrap.area import Area, Job
from interface.http.core.withdrawals import WithdrawalAdminController, WithdrawalController


class WithdrawalAdapters(Protocol):
    """What withdrawals need from outside."""

    @property
    def clock(self) -> Clock: ...

    @property
    def gateways(self) -> Gateways: ...

    @property
    def ids(self) -> IdSource: ...

    @property
    def payer_phones(self) -> PayerPhones: ...

    @property
    def policies(self) -> Policies: ...

    @property
    def withdrawal_queries(self) -> WithdrawalQueries: ...

    @property
    def withdrawals_units(self) -> Callable[[], WithdrawalsUnitOfWork]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalUseCases:
    cancel_withdrawal: CancelWithdrawal
    decide_withdrawal: DecideWithdrawal
    request_withdrawal: RequestWithdrawal
    withdrawal_queries: WithdrawalQueries


def withdrawals_area(adapters: WithdrawalAdapters) -> Area:
    """Wire withdrawals."""
    units, clock, ids = adapters.withdrawals_units, adapters.clock, adapters.ids
    run_payouts = RunPayouts(unit_of_work=units, gateways=adapters.gateways, clock=clock, ids=ids)
    return Area(
        name="withdrawals",
        use_cases=WithdrawalUseCases(
            cancel_withdrawal=CancelWithdrawal(unit_of_work=units, clock=clock, ids=ids),
            decide_withdrawal=DecideWithdrawal(unit_of_work=units, clock=clock, ids=ids, policies=adapters.policies),
            request_withdrawal=RequestWithdrawal(
                unit_of_work=units, phones=adapters.payer_phones, clock=clock, ids=ids, policies=adapters.policies
            ),
            withdrawal_queries=adapters.withdrawal_queries,
        ),
        controllers=(WithdrawalController, WithdrawalAdminController),
        jobs=(Job(name="payments.run_payouts", run=run_payouts, every=timedelta(minutes=1)),),
    )
