"""What refunds need from outside, and of the vertical whose deal was paid."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from application.core.ledger.ports import EarningsUnitOfWork
from application.core.payments.ports import PaymentsUnitOfWork
from domain.core.ledger.refunds import RefundTerms
from domain.core.payments.refund import Refund


class Refunds(Protocol):
    """Refunds. Promises (tests/contract/core/refunds.py):

    - what was loaded or added is saved by commit, and by nothing else;
    - a provider's name for a refund belongs to one refund: the second commit raises ProviderReferenceReused.

    Nothing here is locked: whoever gets a refund has locked its payment before.
    """

    def add(self, refund: Refund) -> None: ...

    async def get(self, refund_id: UUID) -> Refund:
        """Return a refund. Raises RefundNotFound."""
        ...


class RefundsUnitOfWork(PaymentsUnitOfWork, EarningsUnitOfWork, Protocol):
    """A unit of work that can give money back."""

    @property
    def refunds(self) -> Refunds: ...


Unit_contra = TypeVar("Unit_contra", bound=RefundsUnitOfWork, contravariant=True)
Unit = TypeVar("Unit", bound=RefundsUnitOfWork)


class RefundSubject(Protocol[Unit_contra]):
    """What was paid for, as its vertical knows it: an order, a booking. All of it runs in the refund's transaction.

    `lock` comes first in every transaction about a refund, so a vertical locks its own entity before the payment
    everywhere, and no two units wait for each other.
    """

    async def lock(self, uow: Unit_contra, subject: UUID) -> None:
        """Lock the entity. Raises NotRefundable where it is gone."""
        ...

    async def terms(self, uow: Unit_contra, subject: UUID) -> RefundTerms:
        """Say where the money is now. Raises NotRefundable where its state does not allow a refund."""
        ...

    async def refunded(self, uow: Unit_contra, subject: UUID, refund: Refund, *, is_whole: bool) -> None:
        """Change the entity, because this refund stands; `is_whole` where nothing of the payment is left.

        It is called once a refund, when the money is on its way or in the wallet: not for one that was refused.
        Between the request and this call the entity may have moved on, but not its money.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundPurpose(Generic[Unit]):
    """What payments of one purpose paid for, and the units of work in which that is changed."""

    name: str
    subject: RefundSubject[Unit]
    units: Callable[[], Unit]


class RefundPurposes:
    """The purposes of all areas whose payments can be refunded; filled once, when all of them are built."""

    def __init__(self, *purposes: RefundPurpose[Any]) -> None:
        self._by_name: Mapping[str, RefundPurpose[Any]] = {}
        self.fill(purposes)

    def fill(self, purposes: Sequence[RefundPurpose[Any]]) -> None:
        """Take the purposes of all areas."""
        self._by_name = {purpose.name: purpose for purpose in purposes}
        assert len(self._by_name) == len(purposes), "two purposes of refunds have one name"

    def named(self, name: str) -> RefundPurpose[Any] | None:
        """Return the purpose of that name, if its payments can be refunded."""
        return self._by_name.get(name)
