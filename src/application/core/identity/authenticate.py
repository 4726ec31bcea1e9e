"""Tell who sends a request.

- The token is valid now and none of the account's revocations came after it (`identity.access_follows_account`).
- Nothing is read from the database here: revocations are followed in the background, at most 5 s behind.
"""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from application.core.identity.security import AccessClaims, AccessTokens
from application.core.kernel.ports import Clock
from domain.core.kernel.errors import Forbidden, NotSignedIn
from domain.core.kernel.ids import AccountId

ADMIN = "admin"


class RoleRequired(Forbidden):
    """This needs a role that the account does not have."""

    code = "identity.role_required"


class Revocations(Protocol):
    """What was revoked lately. Promises: at most 5 s behind the database; when it cannot follow, `covers` raises
    Unavailable instead of letting a revoked token pass.
    """

    def covers(self, claims: AccessClaims) -> bool:
        """Tell whether the token's family or its epoch was ended. Raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is signed in, as the access token says."""

    account_id: AccountId
    family_id: UUID
    roles: frozenset[str]

    @property
    def is_admin(self) -> bool:
        """Whether the caller administers the market."""
        return ADMIN in self.roles

    def require(self, *roles: str) -> None:
        """Let pass who has at least one of the roles. Raises RoleRequired."""
        if self.roles.isdisjoint(roles):
            raise RoleRequired(f"This needs an account with the role {' or '.join(roles)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticate:
    tokens: AccessTokens
    revocations: Revocations
    clock: Clock

    def __call__(self, token: str) -> Caller:
        """Return the caller. Raises NotSignedIn, Unavailable."""
        claims = self.tokens.read(token, now=self.clock.now())
        if self.revocations.covers(claims):
            raise NotSignedIn
        return Caller(claims.account_id, claims.family_id, claims.roles)
