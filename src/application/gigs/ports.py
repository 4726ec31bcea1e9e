"""What the use cases of this vertical need from outside to list services and present workers."""

from collections.abc import Sequence
from typing import Protocol

from application.core.files.ports import FilesUnitOfWork
from application.core.ledger.ports import EarningsUnitOfWork
from application.core.notifications.ports import NoticesUnitOfWork
from application.core.payments.ports import PaymentsUnitOfWork
from application.core.reputation.ports import ReputationUnitOfWork
from domain.core.kernel.ids import AccountId
from domain.gigs.offering import Offering, OfferingCategory, OfferingId
from domain.gigs.worker import WorkerProfile


class CategoryRepository(Protocol):
    """Categories. Promises (tests/contract/gigs/catalogue.py): a name, in any case, is there once (CategoryExists at
    commit).
    """

    def add(self, category: OfferingCategory) -> None: ...


class OfferingRepository(Protocol):
    """Services. Promises (tests/contract/gigs/catalogue.py):

    - `get` locks the service until the unit of work ends, and raises OfferingNotFound;
    - a service of a category that does not exist raises UnknownCategory at commit.
    """

    def add(self, offering: Offering) -> None: ...

    async def get(self, offering_id: OfferingId) -> Offering: ...


class WorkerRepository(Protocol):
    """Worker profiles, and which services a worker does. Promises (tests/contract/gigs/catalogue.py):

    - `get` locks the profile until the unit of work ends, and makes it where there is none;
    - who lists a service is specialised in it, whatever he chooses (gigs.lister_is_specialised);
    - a service that does not exist raises UnknownService at commit.
    """

    def open(self, account_id: AccountId) -> None:
        """Make a profile, and its rating, at commit where there is none."""
        ...

    async def get(self, account_id: AccountId) -> WorkerProfile: ...

    def add_specialization(self, account_id: AccountId, offering_id: OfferingId) -> None:
        """Note at commit that a worker does a service."""
        ...

    def replace_specializations(self, account_id: AccountId, offering_ids: Sequence[OfferingId]) -> None:
        """Have a worker do, from commit on, the services he chose and those he lists, and no other."""
        ...

    async def is_specialised(self, account_id: AccountId, offering_id: OfferingId) -> bool:
        """Tell whether a worker does a service."""
        ...


class CatalogueUnitOfWork(ReputationUnitOfWork, Protocol):
    """A transaction over services and workers."""

    @property
    def categories(self) -> CategoryRepository: ...

    @property
    def offerings(self) -> OfferingRepository: ...

    @property
    def workers(self) -> WorkerRepository: ...


class GigsUnitOfWork(
    CatalogueUnitOfWork, PaymentsUnitOfWork, EarningsUnitOfWork, FilesUnitOfWork, NoticesUnitOfWork, Protocol
):
    """One transaction over the vertical and the core it moves with."""
