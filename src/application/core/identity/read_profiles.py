"""Read who somebody is, with what the other modules add to it.

- Contacts are shown to oneself and to administrators only (`identity.public_profile_hides_contacts`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from application.core.identity.authenticate import Caller
from application.core.identity.ports import ProfileKind, ProfilePart
from application.core.identity.queries import IdentityQueries, PublicProfile, UserView
from domain.core.identity.roles import GrantStatus, Role
from domain.core.kernel.errors import FieldError, Invalid
from domain.core.kernel.ids import AccountId

More = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadProfiles:
    queries: IdentityQueries
    parts: Sequence[ProfilePart] = ()

    async def own(self, account_id: AccountId, kind: ProfileKind) -> tuple[UserView, More]:
        """Return oneself, and what other modules add. Raises UserNotFound."""
        user = await self.queries.user(account_id)
        roles = frozenset(grant.role for grant in user.grants if grant.status is GrantStatus.ACTIVE)
        return user, (await self._more(kind, {account_id: roles}))[account_id]

    async def of(self, account_id: AccountId, caller: Caller) -> UserView | tuple[PublicProfile, More]:
        """Return everything about a person to himself and administrators, and what others see to others.

        Raises UserNotFound.
        """
        if caller.account_id == account_id or caller.is_admin:
            return await self.queries.user(account_id)
        profile = await self.queries.public_profile(account_id)
        return profile, (await self._more(ProfileKind.PUBLIC, _shown([profile])))[account_id]

    async def named(self, search: str | None, caller: Caller) -> Sequence[tuple[PublicProfile, More]]:
        """Return the people whose name holds the words. Raises Invalid without any."""
        words = (search or "").strip()
        if not words:
            raise Invalid(errors=(FieldError("search", "is needed"),))
        profiles = await self.queries.named(words, viewer=caller.account_id)
        more = await self._more(ProfileKind.PUBLIC, _shown(profiles))
        return [(one, more[one.id]) for one in profiles]

    async def _more(self, kind: ProfileKind, people: Mapping[AccountId, frozenset[Role]]) -> Mapping[AccountId, More]:
        found: dict[AccountId, dict[str, object]] = {account_id: {} for account_id in people}
        for part in self.parts:
            for account_id, fields in (await part(kind, people)).items():
                found[account_id].update(fields)
        return found


def _shown(profiles: Sequence[PublicProfile]) -> Mapping[AccountId, frozenset[Role]]:
    return {one.id: frozenset({one.role}) for one in profiles}
