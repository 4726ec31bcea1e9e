"""Ask to be paid out.

- The amount leaves the wallet at once, so parallel requests can never exceed it (withdrawals.reserve_first).
- Who owes something is paid out nothing.
- Without a destination it is the phone of the profile. A new one is accepted, and paid later
  (withdrawals.changed_destination_waits).
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.kernel.ports import Clock, IdSource, Policies
from application.core.payments.ports import MethodUnavailable, PayerPhones
from application.core.payments.start_payment import AmountBelowMinimum, WholeUnitsRequired
from application.core.payments.withdrawal_ports import WithdrawalsUnitOfWork
from domain.core.kernel.errors import FieldError
from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import Money, UnknownCurrency
from domain.core.ledger.accounts import AccountRef
from domain.core.payments.phone import PhoneInvalid, prompted_phone
from domain.core.payments.policies import WITHDRAWAL_MINIMUM
from domain.core.payments.withdrawal import (
    PAYOUT_METHODS,
    BalanceOwed,
    DestinationInvalid,
    Withdrawal,
    WithdrawalId,
)
from domain.core.payments.withdrawal_events import WithdrawalRequested


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestWithdrawalCommand:
    owner: AccountId
    amount: Money
    method: str
    phone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestWithdrawal:
    unit_of_work: Callable[[], WithdrawalsUnitOfWork]
    phones: PayerPhones
    clock: Clock
    ids: IdSource
    policies: Policies

    async def __call__(self, command: RequestWithdrawalCommand) -> Withdrawal:
        """Return the withdrawal.

        Raises InsufficientFunds, BalanceOwed, AmountBelowMinimum, WholeUnitsRequired, DestinationInvalid,
        MethodUnavailable, UnknownCurrency.
        """
        self._check(command)
        withdrawal = Withdrawal(
            id=WithdrawalId(self.ids.new()),
            owner=command.owner,
            amount=command.amount,
            method=command.method,
            destination=await self._destination(command),
            requested_at=self.clock.now(),
        )
        reserve = withdrawal.reserve(id=TransferId(self.ids.new()), now=withdrawal.requested_at)
        owed = AccountRef.owed(command.owner)
        accounts = (owed, *reserve.changes())
        async with self.unit_of_work() as uow:
            balances = await uow.ledger.balances(accounts, command.amount.currency, references=[reserve.reference])
            if balances[owed].minor < 0:
                raise BalanceOwed(owed=(-balances[owed]).text, currency=command.amount.currency)
            await uow.ledger.post(reserve)
            history = await uow.withdrawals.history(command.owner, withdrawal.destination)
            uow.withdrawals.add(withdrawal)
            uow.record(
                WithdrawalRequested(
                    withdrawal_id=withdrawal.id,
                    owner=withdrawal.owner,
                    amount_minor=withdrawal.amount.minor,
                    currency=withdrawal.amount.currency,
                    is_new_destination=history.first_used_at is None,
                )
            )
            await uow.commit()
        return withdrawal

    def _check(self, command: RequestWithdrawalCommand) -> None:
        method = PAYOUT_METHODS.get(command.method)
        if method is None:
            raise MethodUnavailable(errors=(FieldError("method", "is not available"),))
        if command.amount.currency != method.currency:
            raise UnknownCurrency(
                "This currency is not paid out this way.", errors=(FieldError("currency", "is not paid out this way"),)
            )
        if command.amount.minor % method.unit_minor:
            raise WholeUnitsRequired(errors=(FieldError("amount", "must be whole units"),))
        minimum = Money(self.policies.value(WITHDRAWAL_MINIMUM), method.currency)
        if command.amount < minimum:
            raise AmountBelowMinimum(errors=(FieldError("amount", f"must be {minimum.text} or more"),))

    async def _destination(self, command: RequestWithdrawalCommand) -> str:
        phone = command.phone or await self.phones.phone_of(command.owner)
        if not phone:
            raise DestinationInvalid(errors=(FieldError("destination.phone", "is needed: the profile has none"),))
        try:
            return prompted_phone(phone)
        except PhoneInvalid as error:
            refused = FieldError("destination.phone", "is not a Kenyan mobile number")
            raise DestinationInvalid(errors=(refused,)) from error
