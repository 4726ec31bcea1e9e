"""Show writers their points and badge beside who they are: GET /api/auth/me only."""

from collections.abc import Mapping
from dataclasses import dataclass

from application.core.identity.ports import ProfileKind
from application.core.reputation.ports import RatingQueries
from domain.core.identity.roles import Role
from domain.core.kernel.ids import AccountId
from domain.core.reputation.points import Rating


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingInProfile:
    queries: RatingQueries

    async def __call__(
        self, kind: ProfileKind, people: Mapping[AccountId, frozenset[Role]]
    ) -> Mapping[AccountId, Mapping[str, object]]:
        """Return the rating of those who are writers."""
        if kind is not ProfileKind.ME:
            return {}
        ratings = [
            Rating(account_id, await self.queries.points_of(account_id))
            for account_id, roles in people.items()  # ME asks for one
            if Role.WRITER in roles
        ]
        return {one.account_id: {"rating": {"points": one.points, "badge": one.badge}} for one in ratings}
