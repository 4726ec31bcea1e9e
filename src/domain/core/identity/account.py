"""One account of one person, with every role and every way to reach him."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from domain.core.identity.contacts import Contact, ContactKind
from domain.core.identity.events import (
    AccountReinstated,
    AccountSuspended,
    ContactVerified,
    IdentityEvent,
    PasswordChanged,
    RoleGranted,
    RoleRevoked,
)
from domain.core.identity.roles import GrantStatus, Role, RoleGrant
from domain.core.kernel.errors import Conflict, Forbidden, NotFound
from domain.core.kernel.ids import AccountId


class UserNotFound(NotFound):
    """There is no such person here."""

    code = "identity.user_not_found"


class AccountIsSuspended(Forbidden):
    """This account is suspended."""

    code = "identity.account_suspended"


class LastAdmin(Conflict):
    """The last administrator stays."""

    code = "identity.last_admin"


class GrantMissing(Conflict):
    """The account neither has nor has asked for this role."""

    code = "identity.grant_missing"


@dataclass(frozen=True, slots=True)
class Location:
    """Where a person is, as far as he says."""

    city: str = ""
    county: str = ""
    country: str = ""


NOWHERE = Location()


@dataclass(slots=True, kw_only=True)
class Account:
    """A person's account. `epoch` counts what ended its access tokens (identity.access_follows_account)."""

    id: AccountId
    username: str
    password_hash: str
    joined_at: datetime
    first_name: str = ""
    last_name: str = ""
    bio: str = ""
    avatar: str = ""
    location: Location = NOWHERE
    is_active: bool = True
    epoch: int = 0
    grants: list[RoleGrant] = field(default_factory=list)
    """In the order in which they were chosen; the first is the primary one."""
    contacts: list[Contact] = field(default_factory=list)
    """At most one verified and one claimed of each kind."""

    @property
    def name(self) -> str:
        """What others read: the person's name, else the user name."""
        return f"{self.first_name} {self.last_name}".strip() or self.username

    @property
    def role(self) -> Role:
        """The primary role."""
        return self.grants[0].role if self.grants else Role.MEMBER

    @property
    def active_roles(self) -> frozenset[str]:
        """The roles that open doors, as an access token names them."""
        return frozenset(grant.role.value for grant in self.grants if grant.status is GrantStatus.ACTIVE)

    @property
    def is_admin(self) -> bool:
        """Whether this is an administrator who can act."""
        return self.is_active and Role.ADMIN in self.active_roles

    def contact(self, kind: ContactKind) -> Contact | None:
        """Return the contact in force: the verified one, else the claim."""
        return self.verified(kind) or self.claim(kind)

    def verified(self, kind: ContactKind) -> Contact | None:
        """Return the verified contact of a kind."""
        return next((one for one in self.contacts if one.kind is kind and one.is_verified), None)

    def claim(self, kind: ContactKind) -> Contact | None:
        """Return the contact of a kind that waits to be verified."""
        return next((one for one in self.contacts if one.kind is kind and not one.is_verified), None)

    def claim_contact(self, kind: ContactKind, address: str, *, now: datetime) -> bool:
        """Claim an address; a verified one stays in force meanwhile (identity.changed_address_waits).

        Return whether there is a new claim to prove; claiming what one holds drops an open claim.
        """
        held, open_claim = self.verified(kind), self.claim(kind)
        if open_claim is not None and open_claim.address == address:
            return False
        self.contacts = [one for one in self.contacts if one is not open_claim]
        if held is not None and held.address == address:
            return False
        self.contacts.append(Contact(kind, address, is_verified=False, claimed_at=now))
        return True

    def drop_claim(self, kind: ContactKind, address: str | None = None) -> None:
        """Forget what is claimed and not verified; of one address only when it is given."""
        self.contacts = [
            one
            for one in self.contacts
            if one.is_verified or one.kind is not kind or address not in {None, one.address}
        ]

    def verify_contact(self, kind: ContactKind, address: str, *, now: datetime) -> Sequence[IdentityEvent]:
        """Hold an address from now on, in place of an older one. Repeating changes nothing."""
        held = self.verified(kind)
        if held is not None and held.address == address:
            return ()
        self.contacts = [
            one for one in self.contacts if one.kind is not kind or (not one.is_verified and one.address != address)
        ]
        self.contacts.append(Contact(kind, address, is_verified=True, claimed_at=now))
        return (ContactVerified(account_id=self.id, kind=kind),)

    def unverify_contact(self, kind: ContactKind, *, now: datetime) -> None:
        """Take an address to be claimed only."""
        held = self.verified(kind)
        if held is not None:
            self.contacts = [one for one in self.contacts if one.kind is not kind]
            self.contacts.append(Contact(kind, held.address, is_verified=False, claimed_at=now))

    def forget_contact(self, kind: ContactKind) -> None:
        """Neither hold nor claim a contact of a kind any more."""
        self.contacts = [one for one in self.contacts if one.kind is not kind]

    def edit(
        self,
        *,
        first_name: str | None = None,
        last_name: str | None = None,
        avatar: str | None = None,
        bio: str | None = None,
        location: Location | None = None,
    ) -> None:
        """Change what the person says about himself; None leaves a field as it is."""
        self.first_name = self.first_name if first_name is None else first_name.strip()
        self.last_name = self.last_name if last_name is None else last_name.strip()
        self.avatar = self.avatar if avatar is None else avatar
        self.bio = self.bio if bio is None else bio
        self.location = location or self.location

    def has(self, role: Role) -> bool:
        """Tell whether the role is held or waits for its approval."""
        return role is Role.MEMBER or any(grant.role is role for grant in self.grants)

    def choose_role(self, role: Role) -> Sequence[IdentityEvent]:
        """Add a role behind the others. Repeating changes nothing."""
        if self.has(role):
            return ()
        grant = RoleGrant.chosen(role)
        self.grants.append(grant)
        self.epoch += 1
        return (RoleGranted(account_id=self.id, role=role, status=grant.status),)

    def set_grant_status(self, role: Role, status: GrantStatus) -> Sequence[IdentityEvent]:
        """Approve, reject, suspend or reinstate a grant. Raises GrantMissing."""
        index = next((index for index, grant in enumerate(self.grants) if grant.role is role), None)
        if index is None:
            raise GrantMissing
        if self.grants[index].status is status:
            return ()
        self.grants[index] = RoleGrant(role, status)
        self.epoch += 1
        return (RoleGranted(account_id=self.id, role=role, status=status),)

    def replace_primary_role(self, role: Role, *, administrators: Iterable[AccountId]) -> Sequence[IdentityEvent]:
        """Put another role in the place of the primary one (identity.role_patch_is_primary); the others stay.

        Whoever leaves `admin` is an administrator no more. Raises LastAdmin.
        """
        if role is self.role:
            return ()
        leaves = {grant.role for grant in self.grants[:1]} | ({Role.ADMIN} if role is not Role.ADMIN else set())
        gone = [grant.role for grant in self.grants if grant.role in leaves]
        if Role.ADMIN in gone:
            self._stays_if_last(administrators)
        kept = [grant for grant in self.grants if grant.role not in leaves and grant.role is not role]
        # an administrator decides here, so nothing waits for an approval
        self.grants = kept if role is Role.MEMBER else [RoleGrant(role, GrantStatus.ACTIVE), *kept]
        self.epoch += 1
        granted = (
            () if role is Role.MEMBER else (RoleGranted(account_id=self.id, role=role, status=GrantStatus.ACTIVE),)
        )
        return (*(RoleRevoked(account_id=self.id, role=one) for one in gone), *granted)

    def suspend(self, *, administrators: Iterable[AccountId], reason: str | None = None) -> Sequence[IdentityEvent]:
        """Shut the account and end its access. Repeating changes nothing. Raises LastAdmin."""
        if not self.is_active:
            return ()
        if self.is_admin:
            self._stays_if_last(administrators)
        self.is_active = False
        self.epoch += 1
        return (AccountSuspended(account_id=self.id, reason=reason),)

    def reinstate(self) -> Sequence[IdentityEvent]:
        """Open the account again. Repeating changes nothing."""
        if self.is_active:
            return ()
        self.is_active = True
        return (AccountReinstated(account_id=self.id),)

    def set_password(self, password_hash: str) -> Sequence[IdentityEvent]:
        """Take a new password and end what the old one had opened."""
        self.password_hash = password_hash
        self.epoch += 1
        return (PasswordChanged(account_id=self.id),)

    def end_access(self) -> None:
        """End every access token that is out."""
        self.epoch += 1

    def _stays_if_last(self, administrators: Iterable[AccountId]) -> None:
        """Raise LastAdmin when no other administrator could act (identity.last_admin_stays)."""
        if not set(administrators) - {self.id}:
            raise LastAdmin
