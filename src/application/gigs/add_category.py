"""Add a category of services: administrators do, and no name is there twice, in whatever case."""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.kernel.ports import AuditEntry, Clock, IdSource
from application.gigs.ports import CatalogueUnitOfWork
from domain.gigs.offering import CategoryId, OfferingCategory


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCategoryCommand:
    name: str
    description: str = ""
    icon: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCategory:
    unit_of_work: Callable[[], CatalogueUnitOfWork]
    clock: Clock
    ids: IdSource

    async def __call__(self, command: AddCategoryCommand) -> OfferingCategory:
        """Return the category. Raises CategoryExists, Invalid."""
        category = OfferingCategory(
            id=CategoryId(self.ids.new()),
            name=command.name,
            description=command.description,
            icon=command.icon,
            created_at=self.clock.now(),
        )
        async with self.unit_of_work() as uow:
            uow.categories.add(category)
            uow.audit(
                AuditEntry(action="category_added", target=f"category:{category.id}", after={"name": category.name})
            )
            await uow.commit()
        return category
