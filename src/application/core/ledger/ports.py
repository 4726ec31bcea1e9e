"""What use cases need of the ledger, inside their own unit of work."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from application.core.kernel.ports import UnitOfWork
from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.earnings import EarningsHold
from domain.core.ledger.transfer import Transfer


class Ledger(Protocol):
    """The books. Promises (tests/contract/core/ledger.py):

    - `post` locks the balances it changes, in sorted order, until the unit of work ends;
    - a transfer below a floor raises InsufficientFunds and stores nothing of it;
    - the same reference with the same legs returns the first transfer and moves nothing; with other legs it raises
      ReferenceConflict;
    - several transfers of one unit of work see each other's effect on balances;
    - nothing is visible to others before `commit`.

    Two units that post the same new reference at the same instant may both get past `post`; the second `commit` raises
    ReferenceConflict then, and the unit run again finds the first transfer. Where the row of a deal is locked first,
    that cannot happen.

    Lock once: a unit that has to look at balances before it knows its legs asks `balances` for every account that it
    may post to, and names the references. `post` then locks nothing more, so no two units can wait for each other.
    """

    async def post(self, *transfers: Transfer) -> Sequence[Transfer]:
        """Post transfers in order. Raises InsufficientFunds, ReferenceConflict; `commit` raises AlreadyReversed."""
        ...

    async def balances(
        self, accounts: Sequence[AccountRef], currency: str, *, references: Sequence[str] = ()
    ) -> Mapping[AccountRef, Money]:
        """Return the balances of accounts with a floor, locked as `post` locks them.

        `references` of the transfers to come are looked up on the way, which saves `post` its own round trip.
        """
        ...

    async def find(self, reference: str) -> Transfer | None:
        """Return the transfer that has this reference, if any."""
        ...

    async def get(self, transfer_id: TransferId) -> Transfer:
        """Return a transfer. Raises NotFound."""
        ...


class LedgerUnitOfWork(UnitOfWork, Protocol):
    """A unit of work that can move money."""

    @property
    def ledger(self) -> Ledger: ...


class EarningsHolds(Protocol):
    """Earnings in their waiting time. Promises (tests/contract/core/earnings_holds.py):

    - `find` and `find_due` lock; what was loaded or added is saved by commit, and by nothing else;
    - one hold per subject and payee.
    """

    def add(self, hold: EarningsHold) -> None:
        """Begin a waiting time; the same unit posts the amount to `pending`."""
        ...

    async def find(self, subject: str, payee: AccountId) -> EarningsHold | None:
        """Return the hold of one deal's earnings, if there is one."""
        ...

    async def find_due(self, *, now: datetime, passing_over: Collection[UUID] = ()) -> EarningsHold | None:
        """Return the hold that has been due longest and that nobody else has locked, if any."""
        ...


class EarningsUnitOfWork(LedgerUnitOfWork, Protocol):
    """A unit of work that can move money and make earnings wait."""

    @property
    def earnings_holds(self) -> EarningsHolds: ...
