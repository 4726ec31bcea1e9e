"""Decide about a withdrawal: its owner may cancel it, an administrator approves, rejects, completes or fails it.

- Never one's own (payments.own_withdrawal); repeating a decision answers the same and does nothing.
- Every decision is audited as WITHDRAWAL_ACTION in the same transaction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from application.core.kernel.ports import AuditEntry, Clock, IdSource, Policies
from application.core.payments.withdrawal_ports import WithdrawalsUnitOfWork
from domain.core.kernel.errors import FieldError, Invalid
from domain.core.kernel.ids import AccountId, TransferId
from domain.core.ledger.transfer import Transfer
from domain.core.payments.policies import CHANGED_DESTINATION_WAIT
from domain.core.payments.withdrawal import PayoutsFrozen, Withdrawal, WithdrawalId, WithdrawalNotFound
from domain.core.payments.withdrawal_events import WithdrawalEvent


class WithdrawalAction(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"
    COMPLETE = "complete"
    FAIL = "fail"


LETS_GO = frozenset({WithdrawalAction.APPROVE, WithdrawalAction.COMPLETE})
"""After these the money is gone, or soon will be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecideWithdrawalCommand:
    withdrawal_id: WithdrawalId
    administrator: AccountId
    action: WithdrawalAction
    note: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecideWithdrawal:
    unit_of_work: Callable[[], WithdrawalsUnitOfWork]
    clock: Clock
    ids: IdSource
    policies: Policies

    async def __call__(self, command: DecideWithdrawalCommand) -> Withdrawal:
        """Return the withdrawal.

        Raises WithdrawalNotFound, OwnWithdrawal, PayoutsFrozen, WithdrawalWrongState, Invalid.
        """
        async with self.unit_of_work() as uow:
            withdrawal = await uow.withdrawals.get(command.withdrawal_id)
            before = withdrawal.stage
            transfer, event = await self._decide(uow, withdrawal, command)
            if event is None:
                return withdrawal
            if command.action in LETS_GO and await uow.withdrawals.is_frozen(withdrawal.owner):
                raise PayoutsFrozen
            if transfer is not None:
                await uow.ledger.post(transfer)
            uow.record(event)
            after = {"stage": withdrawal.stage.value, "action": command.action.value}
            uow.audit(
                AuditEntry(
                    action="WITHDRAWAL_ACTION",
                    target=f"withdrawal:{withdrawal.id}",
                    before={"stage": before.value},
                    after={**after, "reference": command.reference} if command.reference else after,
                    reason=command.note,
                )
            )
            await uow.commit()
        return withdrawal

    async def _decide(
        self, uow: WithdrawalsUnitOfWork, withdrawal: Withdrawal, command: DecideWithdrawalCommand
    ) -> tuple[Transfer | None, WithdrawalEvent | None]:
        now, by, transfer_id = self.clock.now(), command.administrator, TransferId(self.ids.new())
        match command.action:
            case WithdrawalAction.APPROVE:
                history = await uow.withdrawals.history(withdrawal.owner, withdrawal.destination)
                wait = timedelta(hours=self.policies.value(CHANGED_DESTINATION_WAIT))
                return None, withdrawal.approve(by, payable_at=history.payable_at(now, wait))
            case WithdrawalAction.REJECT:
                return withdrawal.reject(by, command.note, id=transfer_id, now=now) or (None, None)
            case WithdrawalAction.COMPLETE:
                if command.reference is None:
                    raise Invalid(errors=(FieldError("reference", "is needed: what proves the payment"),))
                return withdrawal.complete(command.reference, by=by, id=transfer_id, now=now) or (None, None)
            case WithdrawalAction.FAIL:
                return withdrawal.fail(command.note, by=by, id=transfer_id, now=now) or (None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelWithdrawal:
    unit_of_work: Callable[[], WithdrawalsUnitOfWork]
    clock: Clock
    ids: IdSource

    async def __call__(self, withdrawal_id: WithdrawalId, owner: AccountId) -> Withdrawal:
        """Return the withdrawal. Raises WithdrawalNotFound, also for somebody else's, and WithdrawalNotPending."""
        async with self.unit_of_work() as uow:
            withdrawal = await uow.withdrawals.get(withdrawal_id)
            if withdrawal.owner != owner:
                raise WithdrawalNotFound
            transfer = withdrawal.cancel(id=TransferId(self.ids.new()), now=self.clock.now())
            if transfer is not None:
                await uow.ledger.post(transfer)
                await uow.commit()
        return withdrawal
