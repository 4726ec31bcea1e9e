"""What identity tells the rest of the house. No event carries a code, a token or an address."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from domain.core.identity.contacts import ContactKind
from domain.core.identity.roles import GrantStatus, Role
from domain.core.kernel.events import Event
from domain.core.kernel.ids import AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityEvent(Event):
    """An event about one account."""

    area: ClassVar[str] = "identity"
    account_id: AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRegistered(IdentityEvent):
    """A person has an account now. `dialect` is the way of registering that was used."""

    roles: tuple[Role, ...]
    dialect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactCodeAsked(IdentityEvent):
    """A contact has to be proved with the code of this row."""

    code_id: UUID
    kind: ContactKind


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordResetAsked(Event):
    """Somebody asked for a new password. The row may belong to nobody: then nothing is sent."""

    area: ClassVar[str] = "identity"
    code_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactVerified(IdentityEvent):
    """The account has proved a contact."""

    kind: ContactKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactClaimDropped(IdentityEvent):
    """Another account proved a contact that this one had only claimed."""

    kind: ContactKind


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailChangeAsked(IdentityEvent):
    """The account has named a new e-mail address; the verified one stays in force until the new one is proved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordChanged(IdentityEvent):
    """The password was changed or reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSuspended(IdentityEvent):
    """An administrator or moderator has shut the account."""

    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReinstated(IdentityEvent):
    """The account is open again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleGranted(IdentityEvent):
    """The account has a role, or waits for its approval."""

    role: Role
    status: GrantStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleRevoked(IdentityEvent):
    """The account has a role no more."""

    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInReused(IdentityEvent):
    """A used refresh token came back after the grace; its sign-in was ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountBlocked(IdentityEvent):
    """The account has blocked another."""

    blocked_id: AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactorTurnedOn(IdentityEvent):
    """Signing in needs a code of an authenticator from now on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactorTurnedOff(IdentityEvent):
    """Signing in needs the password only, from now on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactorGuessed(IdentityEvent):
    """Somebody who knows the password sent a wrong code; told once a day."""
