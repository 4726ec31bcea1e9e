"""Change a service, or take it out of the lists.

- The owner does, or an administrator, whose change is audited (`gigs.only_workers_list`).
- Orders keep their price (`gigs.price_is_frozen`) and go on when the service is gone from the lists.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from application.core.identity.authenticate import Caller
from application.core.kernel.ports import AuditEntry, Clock
from application.gigs.ports import CatalogueUnitOfWork
from application.gigs.queries import GigsQueries, OfferingView
from domain.gigs.offering import CategoryId, Offering, OfferingId
from domain.gigs.prices import read_price


@dataclass(frozen=True, slots=True, kw_only=True)
class EditOfferingCommand:
    """None leaves a field as it is; the price is read in the service's currency where none is named."""

    offering_id: OfferingId
    name: str | None = None
    description: str | None = None
    category_id: CategoryId | None = None
    base_price: str | int | float | None = None
    currency: str | None = None
    duration: timedelta | None = None
    is_active: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditOffering:
    unit_of_work: Callable[[], CatalogueUnitOfWork]
    queries: GigsQueries
    clock: Clock

    async def __call__(self, command: EditOfferingCommand, caller: Caller) -> OfferingView:
        """Return the service as it is now.

        Raises OfferingNotFound, NotServiceOwner, UnknownCategory, InvalidAmount, UnknownCurrency, Invalid.
        """
        async with self.unit_of_work() as uow:
            offering = await uow.offerings.get(command.offering_id)
            offering.check_editor(caller.account_id, is_admin=caller.is_admin)
            before = _facts(offering)
            offering.edit(
                now=self.clock.now(),
                name=command.name,
                description=command.description,
                category_id=command.category_id,
                base_price=read_price(
                    command.base_price, command.currency, field="base_price", instead_of=offering.base_price
                ),
                duration=command.duration,
                is_active=command.is_active,
            )
            if caller.account_id != offering.owner_id:
                uow.audit(
                    AuditEntry(
                        action="service_edited",
                        target=f"service:{offering.id}",
                        before=before,
                        after=_facts(offering),
                    )
                )
            await uow.commit()
        return await self.queries.offering(offering.id)


def _facts(offering: Offering) -> dict[str, object]:
    return {
        "name": offering.name,
        "category_id": str(offering.category_id),
        "base_price": str(offering.base_price),
        "is_active": offering.is_active,
    }
