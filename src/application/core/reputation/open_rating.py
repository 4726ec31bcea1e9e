"""Open a rating for a writer who registers, in the same transaction (a registration step).

Whoever becomes a writer later gets it with his first points.
"""

from dataclasses import dataclass
from typing import Protocol

from application.core.reputation.ports import ReputationUnitOfWork
from application.core.reputation.read_rating import RATED_ROLE
from domain.core.kernel.ids import AccountId


class HasRoles(Protocol):
    """A person, as far as a rating is concerned."""

    @property
    def id(self) -> AccountId: ...

    @property
    def active_roles(self) -> frozenset[str]: ...


@dataclass(frozen=True, slots=True)
class OpenRating:
    async def __call__(self, uow: ReputationUnitOfWork, account: HasRoles) -> None:
        """Make the rating's row."""
        if RATED_ROLE in account.active_roles:
            await uow.ratings.get(account.id)
