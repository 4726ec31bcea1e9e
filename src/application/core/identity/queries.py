"""What is read about people, straight from the tables and always bounded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from application.core.identity.ports import Login
from application.core.kernel.ports import Listing, Page
from domain.core.identity.account import Location
from domain.core.identity.roles import Role, RoleGrant
from domain.core.kernel.ids import AccountId

NAMES_MAX = 20
"""People found by a name search; a longer list would serve harvesting only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactorView:
    """A second factor that is on."""

    since: datetime
    recovery_codes_left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UserView:
    """Everything about a person, for himself and for administrators."""

    id: AccountId
    username: str
    first_name: str
    last_name: str
    email: str | None
    phone: str | None
    is_email_verified: bool
    is_phone_verified: bool
    avatar: str
    bio: str
    location: Location
    grants: tuple[RoleGrant, ...]
    is_active: bool
    joined_at: datetime
    second_factor: SecondFactorView | None = None
    """Filled in for one person only, not in lists; None where it is off."""

    @property
    def name(self) -> str:
        """What others read."""
        return f"{self.first_name} {self.last_name}".strip() or self.username

    @property
    def role(self) -> Role:
        """The primary role."""
        return self.grants[0].role if self.grants else Role.MEMBER


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicProfile:
    """What others see of a person (identity.public_profile_hides_contacts)."""

    id: AccountId
    username: str
    name: str
    avatar: str
    bio: str
    city: str
    role: Role
    joined_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactView:
    """How to reach a person: for mail and messages that the house sends."""

    account_id: AccountId
    name: str
    username: str
    email: str | None
    is_email_verified: bool
    phone: str | None
    is_phone_verified: bool
    is_active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Whom a login means, and what his password is checked against."""

    account_id: AccountId
    password_hash: str
    epoch: int
    is_active: bool
    is_admin: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceView:
    """A sign-in that has not ended."""

    id: UUID
    user_agent: str | None
    ip: str | None
    created_at: datetime
    last_used_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockView:
    """A block, and whom it concerns."""

    id: UUID
    user: PublicProfile
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFilter:
    """Which people an administrator lists."""

    search: str | None = None
    role: Role | None = None
    is_active: bool | None = None


class IdentityQueries(Protocol):
    """Read models of people."""

    async def user(self, account_id: AccountId) -> UserView:
        """Return everything about a person. Raises UserNotFound."""
        ...

    async def users(self, wanted: UserFilter, page: Page) -> Listing[UserView]:
        """Return people, the newest first."""
        ...

    async def public_profile(self, account_id: AccountId) -> PublicProfile:
        """Return what others see of a person. Raises UserNotFound, also for who is suspended."""
        ...

    async def named(self, search: str, *, viewer: AccountId) -> Sequence[PublicProfile]:
        """Return at most NAMES_MAX people whose name holds the words; no administrators, nobody across a block."""
        ...

    async def candidate(self, login: Login) -> Candidate | None:
        """Return whom a login means."""
        ...

    async def administrators(self) -> Sequence[AccountId]:
        """Return who can act as an administrator, at most 100."""
        ...

    async def contact(self, account_id: AccountId) -> ContactView:
        """Return how to reach a person. Raises UserNotFound."""
        ...

    async def devices(self, account_id: AccountId, page: Page) -> Listing[DeviceView]:
        """Return the sign-ins of a person that have not ended."""
        ...

    async def blocked(self, account_id: AccountId, page: Page) -> Listing[BlockView]:
        """Return whom a person has blocked."""
        ...

    async def block(self, blocker: AccountId, blocked: AccountId) -> BlockView:
        """Return one person's block of another. Raises NotBlocked."""
        ...
