"""Bring money of the owner into the market: `funding:external → operating:platform`.

- The reference is the administrator's own and is used once: the same amount again answers the first funding, another
  amount is refused (ledger.reference_once).
- Audited as FUND_ACCOUNT in the same transaction; a repeat is not.
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.kernel.ports import AuditEntry, Clock, IdSource
from application.core.ledger.ports import LedgerUnitOfWork
from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import FUNDING, OPERATING
from domain.core.ledger.transfer import Posting, ReferenceConflict, Transfer, TransferKind


@dataclass(frozen=True, slots=True, kw_only=True)
class FundAccountCommand:
    administrator: AccountId
    amount: Money
    reference: str
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Funding:
    """Money that was brought in; `balance` is what the operating account has now."""

    id: TransferId
    amount: Money
    balance: Money
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FundAccount:
    unit_of_work: Callable[[], LedgerUnitOfWork]
    clock: Clock
    ids: IdSource

    async def __call__(self, command: FundAccountCommand) -> Funding:
        """Return the funding. Raises ReferenceConflict."""
        try:
            return await self._fund(command)
        except ReferenceConflict:
            # perhaps another request with the same reference committed meanwhile: it is found now, and compared
            return await self._fund(command)

    async def _fund(self, command: FundAccountCommand) -> Funding:
        transfer = Transfer(
            id=TransferId(self.ids.new()),
            reference=f"funding:{command.reference}",
            kind=TransferKind.ADJUSTMENT,
            area="ledger",
            subject=f"funding:{command.reference}",
            legs=(Posting(FUNDING, OPERATING, command.amount),),
            posted_at=self.clock.now(),
            actor=command.administrator,
        )
        async with self.unit_of_work() as uow:
            (posted,) = await uow.ledger.post(transfer)
            is_new = posted.id == transfer.id
            if is_new:
                after = {
                    "amount": command.amount.text,
                    "currency": command.amount.currency,
                    "reference": command.reference,
                }
                uow.audit(
                    AuditEntry(
                        action="FUND_ACCOUNT", target=f"transfer:{transfer.id}", after=after, reason=command.note
                    )
                )
            balances = await uow.ledger.balances([OPERATING], command.amount.currency)
            await uow.commit()
        return Funding(id=posted.id, amount=command.amount, balance=balances[OPERATING], is_new=is_new)
