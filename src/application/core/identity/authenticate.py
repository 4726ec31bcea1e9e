"""Tell who sends a request, and whether he has proved his second factor lately.

- The token is valid now and none of the account's revocations came after it (`identity.access_follows_account`).
- Nothing is read from the database here: revocations are followed in the background, at most 5 s behind.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from application.core.identity.security import AccessClaims, AccessTokens
from application.core.kernel.ports import Clock, Policies
from domain.core.identity.policies import STEP_UP_MIN
from domain.core.identity.second_factor import SecondFactorRequired, check_step_up, roles_in_force
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
    """The roles that open doors."""
    waiting_roles: frozenset[str] = frozenset()
    """Those that open them once the second factor is proved."""
    proved_at: datetime | None = None
    """When this session last proved the second factor; None without one."""

    @classmethod
    def of(cls, claims: AccessClaims, *, administrators_prove: bool) -> "Caller":
        """Return who the claims speak of."""
        roles = roles_in_force(claims.roles, proved_at=claims.proved_at, administrators_prove=administrators_prove)
        return cls(claims.account_id, claims.family_id, roles, claims.roles - roles, claims.proved_at)

    @property
    def is_admin(self) -> bool:
        """Whether the caller administers the market."""
        return ADMIN in self.roles

    def require(self, *roles: str) -> None:
        """Let pass who has at least one of the roles. Raises RoleRequired, SecondFactorRequired."""
        if self.roles.isdisjoint(roles):
            if not self.waiting_roles.isdisjoint(roles):
                raise SecondFactorRequired
            raise RoleRequired(f"This needs an account with the role {' or '.join(roles)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticate:
    tokens: AccessTokens
    revocations: Revocations
    policies: Policies
    clock: Clock
    administrators_prove: bool = False
    """Whether administrators act as such only with a second factor."""

    def __call__(self, token: str) -> Caller:
        """Return the caller. Raises NotSignedIn, Unavailable."""
        claims = self.tokens.read(token, now=self.clock.now())
        if self.revocations.covers(claims):
            raise NotSignedIn
        return Caller.of(claims, administrators_prove=self.administrators_prove)

    def require_step_up(self, caller: Caller) -> None:
        """Let pass who may move money out or change roles. Raises SecondFactorRequired, StepUpRequired."""
        check_step_up(
            caller.roles | caller.waiting_roles,
            proved_at=caller.proved_at,
            administrators_prove=self.administrators_prove,
            now=self.clock.now(),
            life=timedelta(minutes=self.policies.value(STEP_UP_MIN)),
        )
