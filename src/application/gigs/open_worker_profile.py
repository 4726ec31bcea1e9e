"""Make the profile of a worker in the transaction in which he becomes one (a registration step)."""

from dataclasses import dataclass

from application.core.reputation.open_rating import HasRoles
from application.gigs.ports import CatalogueUnitOfWork

WORKER_ROLE = "worker"


@dataclass(frozen=True, slots=True)
class OpenWorkerProfile:
    async def __call__(self, uow: CatalogueUnitOfWork, account: HasRoles) -> None:
        """Make the profile's row where there is none."""
        if WORKER_ROLE in account.active_roles:
            uow.workers.open(account.id)
