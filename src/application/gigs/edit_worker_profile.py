"""Change what a worker says about himself, and which services he does.

Services that he lists himself stay among those he does, whatever he chooses (`gigs.lister_is_specialised`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from application.gigs.ports import CatalogueUnitOfWork
from application.gigs.queries import GigsQueries, WorkerView
from domain.core.kernel.ids import AccountId
from domain.gigs.offering import OfferingId
from domain.gigs.prices import read_price


@dataclass(frozen=True, slots=True, kw_only=True)
class EditWorkerProfileCommand:
    """None leaves a field as it is; the rate is read in the profile's currency where none is named."""

    account_id: AccountId
    specializations: Sequence[OfferingId] | None = None
    experience_years: int | None = None
    hourly_rate: str | int | float | None = None
    currency: str | None = None
    is_available: bool | None = None
    bio: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditWorkerProfile:
    unit_of_work: Callable[[], CatalogueUnitOfWork]
    queries: GigsQueries

    async def __call__(self, command: EditWorkerProfileCommand) -> WorkerView:
        """Return the worker as he is now. Raises UnknownService, InvalidAmount, UnknownCurrency, Invalid."""
        async with self.unit_of_work() as uow:
            profile = await uow.workers.get(command.account_id)
            profile.edit(
                experience_years=command.experience_years,
                hourly_rate=read_price(
                    command.hourly_rate, command.currency, field="hourly_rate", instead_of=profile.hourly_rate
                ),
                is_available=command.is_available,
                bio=command.bio,
            )
            if command.specializations is not None:
                uow.workers.replace_specializations(command.account_id, command.specializations)
            await uow.commit()
        return (await self.queries.worker(command.account_id)).worker
