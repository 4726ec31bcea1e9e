"""List a service.

- Only workers list (`gigs.only_workers_list`), which the door sees to.
- Who lists a service is specialised in it (`gigs.lister_is_specialised`): both are one transaction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from application.core.kernel.ports import Clock, IdSource
from application.gigs.ports import CatalogueUnitOfWork
from application.gigs.queries import GigsQueries, OfferingView
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money
from domain.gigs.offering import CategoryId, Offering, OfferingId


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOfferingCommand:
    owner_id: AccountId
    category_id: CategoryId
    name: str
    description: str
    base_price: Money
    duration: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOffering:
    unit_of_work: Callable[[], CatalogueUnitOfWork]
    queries: GigsQueries
    clock: Clock
    ids: IdSource

    async def __call__(self, command: ListOfferingCommand) -> OfferingView:
        """Return the service. Raises UnknownCategory, Invalid."""
        now = self.clock.now()
        offering = Offering(
            id=OfferingId(self.ids.new()),
            owner_id=command.owner_id,
            category_id=command.category_id,
            name=command.name,
            description=command.description,
            base_price=command.base_price,
            duration=command.duration,
            created_at=now,
            updated_at=now,
        )
        async with self.unit_of_work() as uow:
            uow.offerings.add(offering)
            uow.workers.open(command.owner_id)
            uow.workers.add_specialization(command.owner_id, offering.id)
            await uow.commit()
        return await self.queries.offering(offering.id)
