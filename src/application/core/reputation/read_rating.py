"""Show a writer his points and badge; others have none."""

from dataclasses import dataclass

from application.core.identity.authenticate import Caller
from application.core.reputation.ports import RatingQueries
from domain.core.reputation.points import NoRating, Rating

RATED_ROLE = "writer"
"""Whose deals earn points today."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRating:
    queries: RatingQueries

    async def __call__(self, caller: Caller) -> Rating:
        """Return the rating. Raises NoRating."""
        if RATED_ROLE not in caller.roles:
            raise NoRating
        return Rating(caller.account_id, await self.queries.points_of(caller.account_id))
