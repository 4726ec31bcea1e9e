"""What withdrawals need from outside."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from application.core.kernel.ports import Listing, Page
from application.core.ledger.ports import LedgerUnitOfWork
from application.core.payments.refund_ports import RefundsUnitOfWork
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money
from domain.core.payments.withdrawal import DestinationHistory, Withdrawal, WithdrawalId


class Withdrawals(Protocol):
    """Withdrawals. Promises (tests/contract/core/withdrawals.py):

    - `get` and `find_due` lock; what was loaded or added is saved by commit, and by nothing else;
    - of several workers that call `find_due` at once no two get the same withdrawal.
    """

    def add(self, withdrawal: Withdrawal) -> None: ...

    async def get(self, withdrawal_id: WithdrawalId) -> Withdrawal:
        """Return a withdrawal. Raises WithdrawalNotFound."""
        ...

    async def history(self, owner: AccountId, destination: str) -> DestinationHistory:
        """Return what the owner's withdrawals up to now say about a destination."""
        ...

    async def is_frozen(self, owner: AccountId) -> bool:
        """Tell whether an alarm about this person's books is open."""
        ...

    async def find_due(self, *, now: datetime, passing_over: Collection[WithdrawalId] = ()) -> Withdrawal | None:
        """Return the withdrawal whose next step has been due longest and that nobody else has locked, if any.

        One that is still to be sent, to somebody with an open alarm, is passed over.
        """
        ...


class WithdrawalsUnitOfWork(LedgerUnitOfWork, Protocol):
    """A unit of work that can pay people out."""

    @property
    def withdrawals(self) -> Withdrawals: ...


class PayoutEventsUnitOfWork(WithdrawalsUnitOfWork, RefundsUnitOfWork, Protocol):
    """A unit of work that can apply whatever a provider tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewView:
    """A withdrawal as an administrator sees it (withdrawals.reviewer_sees_risk)."""

    withdrawal: Withdrawal
    username: str
    is_email_verified: bool
    is_phone_verified: bool
    is_destination_verified: bool
    """Whether the destination is the owner's verified phone."""
    destination_first_used_at: datetime
    destinations_used: int
    """To how many places this person has ever asked to be paid."""
    owed: Money
    """Zero or less."""


class WithdrawalQueries(Protocol):
    """Read models of withdrawals, the newest first."""

    async def own(self, owner: AccountId, page: Page) -> Listing[Withdrawal]:
        """Return a person's withdrawals."""
        ...

    async def for_review(self, status: str | None, page: Page) -> Listing[ReviewView]:
        """Return everybody's withdrawals, of one documented status word or all."""
        ...
