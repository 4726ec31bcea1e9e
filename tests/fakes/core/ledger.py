"""The books in memory."""

from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from domain.core.kernel.errors import NotFound
from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import AccountRef, Floor
from domain.core.ledger.earnings import EarningsHeldBefore, EarningsHold
from domain.core.ledger.transfer import (
    AlreadyReversed,
    InsufficientFunds,
    ReferenceConflict,
    Transfer,
    held_floor,
    same_legs,
)


class Tables(Protocol):
    """What an in-memory repository needs of its unit of work."""

    def table(self, name: str) -> MutableMapping[Any, Any]: ...

    def at_commit(self, check: Callable[[], None]) -> None: ...


class InMemoryLedger:
    """Transfers by id; balances are always the sum of what was posted."""

    def __init__(self, unit_of_work: Tables) -> None:
        self._transfers = unit_of_work.table("ledger_transfers")
        self._balances = unit_of_work.table("ledger_balances")
        self._ids_by_reference = unit_of_work.table("ledger_references")
        self._ids_by_reversed = unit_of_work.table("ledger_reversals")
        self._reversed_twice = False
        unit_of_work.at_commit(self._refuse_second_reversals)

    async def post(self, *transfers: Transfer) -> Sequence[Transfer]:
        return [await self._post_one(transfer) for transfer in transfers]

    async def balances(
        self, accounts: Sequence[AccountRef], currency: str, *, references: Sequence[str] = ()
    ) -> Mapping[AccountRef, Money]:
        assert all(account.floor is not Floor.NONE for account in accounts), "only accounts with a floor keep a balance"
        return {account: Money(self._balances.get((account, currency), 0), currency) for account in accounts}

    async def find(self, reference: str) -> Transfer | None:
        known = self._ids_by_reference.get(reference)
        return None if known is None else await self.get(known)

    async def get(self, transfer_id: TransferId) -> Transfer:
        if transfer_id not in self._transfers:
            raise NotFound
        found: Transfer = self._transfers[transfer_id]
        return found

    async def _post_one(self, transfer: Transfer) -> Transfer:
        earlier = await self.find(transfer.reference)
        if earlier is not None:
            if not same_legs(earlier, transfer):
                raise ReferenceConflict
            return earlier
        after = {
            account: self._balances.get((account, transfer.currency), 0) + change
            for account, change in transfer.changes().items()
        }
        if not all(held_floor(account, balance) for account, balance in after.items()):
            raise InsufficientFunds
        for account, balance in after.items():
            self._balances[account, transfer.currency] = balance
        self._transfers[transfer.id] = transfer
        self._ids_by_reference[transfer.reference] = transfer.id
        if transfer.reverses is not None:
            self._reversed_twice |= transfer.reverses in self._ids_by_reversed
            self._ids_by_reversed[transfer.reverses] = transfer.id
        return transfer

    def _refuse_second_reversals(self) -> None:
        if self._reversed_twice:
            raise AlreadyReversed


class InMemoryEarningsHolds:
    """Holds by subject and payee."""

    def __init__(self, unit_of_work: Tables) -> None:
        self._holds = unit_of_work.table("earnings_holds")

    def add(self, hold: EarningsHold) -> None:
        if (hold.subject, hold.payee) in self._holds:
            raise EarningsHeldBefore
        self._holds[hold.subject, hold.payee] = hold

    async def find(self, subject: str, payee: AccountId) -> EarningsHold | None:
        return self._holds.get((subject, payee))

    async def find_due(self, *, now: datetime, passing_over: Collection[UUID] = ()) -> EarningsHold | None:
        due = [hold for hold in self._holds.values() if hold.is_due(now) and hold.id not in passing_over]
        return min(due, key=lambda hold: hold.available_at, default=None)
