"""What identity reads and writes on the wire."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from application.core.identity.desk import TokenPair
from application.core.identity.queries import BlockView, DeviceView, PublicProfile, SecondFactorView, UserView
from domain.core.identity.account import Account, Location
from domain.core.identity.contacts import ContactKind
from domain.core.identity.roles import Role, RoleGrant
from interface.http.core.device_names import address_kind_of, device_of

_NO_CONTROL = r"^[^\x00-\x1f\x7f]*$"
_NO_NUL = r"^[^\x00]*$"
_WEB_LINK = r"^(?:https?://[^\x00-\x1f\x7f]*|[^\x00-\x1f\x7f:/?#]*(?:[/?#][^\x00-\x1f\x7f]*)?)$"
"""An address of the web, or one on the same server; never `javascript:`, `data:` or the like, as others open it."""

Line = Annotated[str, Meta(max_length=150, pattern=_NO_CONTROL)]
ShortLine = Annotated[str, Meta(max_length=64, pattern=_NO_CONTROL)]
LongText = Annotated[str, Meta(max_length=2000, pattern=_NO_NUL)]
LinkText = Annotated[str, Meta(max_length=2000, pattern=_WEB_LINK)]
EmailText = Annotated[str, Meta(min_length=1, max_length=254, pattern=_NO_CONTROL)]
PasswordText = Annotated[str, Meta(max_length=1024)]
"""Longer than a password may be, so that the domain says what is wrong; short enough to be read."""
TokenText = Annotated[str, Meta(max_length=4096, pattern=_NO_CONTROL)]


class LocationInput(Struct, frozen=True):
    """Where a person is."""

    city: ShortLine = ""
    county: ShortLine = ""
    country: ShortLine = ""

    def read(self) -> Location:
        """Return the location."""
        return Location(self.city.strip(), self.county.strip(), self.country.strip())


class RegisterBody(Struct, frozen=True):
    """Registration as the assignments and gigs clients send it."""

    username: Line
    email: EmailText
    password: PasswordText
    password_confirm: PasswordText | None = None
    role: ShortLine | None = None
    first_name: Line = ""
    last_name: Line = ""
    phone: ShortLine | None = None
    avatar: LinkText | None = None


class SignupBody(Struct, frozen=True):
    """Registration as the time bank's clients send it."""

    email: EmailText
    name: Line
    password: PasswordText
    password_confirm: PasswordText | None = None
    role: ShortLine | None = None


class RegisterStudentBody(Struct, frozen=True):
    """Registration as the tutoring clients send it."""

    email: EmailText
    password: PasswordText
    first_name: Line
    last_name: Line
    password2: PasswordText | None = None
    role: ShortLine | None = None


class RegisterClassifiedsBody(Struct, frozen=True):
    """Registration as the classifieds clients send it."""

    email: EmailText
    username: Line
    password: PasswordText
    password2: PasswordText | None = None
    first_name: Line = ""
    last_name: Line = ""
    phone_number: ShortLine | None = None
    location: LocationInput = LocationInput()
    role: ShortLine | None = None


class LoginBody(Struct, frozen=True):
    """A name, an address or a phone number, and the password."""

    password: PasswordText
    username: EmailText | None = None
    email: EmailText | None = None
    phone: EmailText | None = None
    phone_number: EmailText | None = None


class RefreshBody(Struct, frozen=True):
    """A refresh token."""

    refresh: TokenText


class LogoutBody(Struct, frozen=True):
    """What to end: the sign-in of a refresh token, or all."""

    refresh: TokenText | None = None
    refresh_token: TokenText | None = None
    all: bool = False


class VerifyBody(Struct, frozen=True):
    """A code of six digits, or the token of a link."""

    code: ShortLine | None = None
    token: TokenText | None = None
    email: EmailText | None = None


class VerifyPhoneBody(Struct, frozen=True):
    """A code of six digits."""

    code: ShortLine


class ResendBody(Struct, frozen=True):
    """Which contact to send a new code to: `email` or `phone`."""

    verification_type: ContactKind = ContactKind.EMAIL


class ResetBody(Struct, frozen=True):
    """The address of the account whose password is forgotten."""

    email: EmailText


class ResetConfirmBody(Struct, frozen=True):
    """A code with its address, or the token of a link, and the new password."""

    new_password: PasswordText
    confirm_password: PasswordText | None = None
    code: ShortLine | None = None
    token: TokenText | None = None
    email: EmailText | None = None


class PasswordChangeBody(Struct, frozen=True):
    """The old password and the new one."""

    old_password: PasswordText
    new_password: PasswordText
    confirm_password: PasswordText | None = None


class ChooseRoleBody(Struct, frozen=True):
    """A role to take on."""

    role: ShortLine


class BlockBody(Struct, frozen=True):
    """Whom to block: by address or by id."""

    blocked_email: EmailText | None = None
    user_id: UUID | None = None
    reason: Annotated[str, Meta(max_length=500, pattern=_NO_NUL)] = ""


class EditUserBody(Struct, frozen=True):
    """What a person may change of himself at /api/users/{id}."""

    username: Line | UnsetType = UNSET
    first_name: Line | UnsetType = UNSET
    last_name: Line | UnsetType = UNSET
    email: EmailText | UnsetType = UNSET
    phone: ShortLine | UnsetType | None = UNSET
    avatar: LinkText | UnsetType | None = UNSET
    bio: LongText | UnsetType = UNSET


class EditMemberBody(Struct, frozen=True):
    """What a person may change of himself at /api/users/me."""

    name: Line | UnsetType = UNSET
    bio: LongText | UnsetType = UNSET
    avatar: LinkText | UnsetType | None = UNSET
    availability: Annotated[str, Meta(max_length=255, pattern=_NO_NUL)] | UnsetType = UNSET
    instant_sessions: bool | UnsetType = UNSET


class EditProfileBody(Struct, frozen=True):
    """What a person may change of himself at /api/users/profile."""

    first_name: Line | UnsetType = UNSET
    last_name: Line | UnsetType = UNSET
    phone_number: ShortLine | UnsetType | None = UNSET
    location: LocationInput | UnsetType = UNSET
    bio: LongText | UnsetType = UNSET
    profile_picture: LinkText | UnsetType | None = UNSET
    show_phone: bool | UnsetType = UNSET


class AdminPatchBody(Struct, frozen=True):
    """What an administrator may change of a person."""

    role: ShortLine | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    is_verified: bool | UnsetType = UNSET
    reason: Annotated[str, Meta(max_length=500, pattern=_NO_NUL)] | None = None


class RoleBody(Struct, frozen=True):
    """A role and how far it has come."""

    role: str
    status: str

    @classmethod
    def of(cls, grant: RoleGrant) -> "RoleBody":
        """Write a grant; the list is always in lower case."""
        return cls(grant.role.value, grant.status.value)


class LocationBody(Struct, frozen=True):
    """Where a person is."""

    city: str
    county: str
    country: str

    @classmethod
    def of(cls, location: Location) -> "LocationBody":
        """Write a location."""
        return cls(location.city, location.county, location.country)


class TokensBody(Struct, frozen=True):
    """A pair of tokens."""

    access: str
    refresh: str

    @classmethod
    def of(cls, pair: TokenPair) -> "TokensBody":
        """Write a pair."""
        return cls(pair.access, pair.refresh)


class UserBody(Struct, frozen=True):
    """Everything about a person, for himself and for administrators."""

    id: UUID
    username: str
    name: str
    first_name: str
    last_name: str
    email: str | None
    phone: str | None
    phone_number: str | None
    avatar: str | None
    profile_picture: str | None
    bio: str
    location: LocationBody
    role: str
    roles: list[RoleBody]
    is_active: bool
    is_verified: bool
    email_verified: bool
    phone_verified: bool
    date_joined: datetime

    @classmethod
    def of(cls, user: UserView, path: str) -> "UserBody":
        """Write a person in the words of the path that answers."""
        return cls(
            id=user.id,
            username=user.username,
            name=user.name,
            first_name=user.first_name,
            last_name=user.last_name,
            email=user.email,
            phone=user.phone,
            phone_number=user.phone,
            avatar=user.avatar or None,
            profile_picture=user.avatar or None,
            bio=user.bio,
            location=LocationBody.of(user.location),
            role=role_word(user.role, path),
            roles=[RoleBody.of(grant) for grant in user.grants],
            is_active=user.is_active,
            is_verified=user.is_email_verified,
            email_verified=user.is_email_verified,
            phone_verified=user.is_phone_verified,
            date_joined=user.joined_at,
        )


class LoginReply(Struct, frozen=True):
    """The union that the clients of all sources read."""

    access: str
    refresh: str
    tokens: TokensBody
    user: UserBody

    @classmethod
    def of(cls, pair: TokenPair, user: UserBody) -> "LoginReply":
        """Write a sign-in."""
        return cls(pair.access, pair.refresh, TokensBody.of(pair), user)


class RegisterReply(UserBody, frozen=True, kw_only=True):
    """The flat user, the same once more, the tokens twice: each client finds what it looks for."""

    user: UserBody
    tokens: TokensBody
    access: str
    refresh: str
    message: str

    @classmethod
    def written(cls, pair: TokenPair, user: UserBody, message: str) -> "RegisterReply":
        """Write a registration."""
        return cls(
            **{name: getattr(user, name) for name in UserBody.__struct_fields__},
            user=user,
            tokens=TokensBody.of(pair),
            access=pair.access,
            refresh=pair.refresh,
            message=message,
        )


class TokensReply(Struct, frozen=True):
    """A pair of tokens, twice."""

    access: str
    refresh: str
    tokens: TokensBody

    @classmethod
    def of(cls, pair: TokenPair) -> "TokensReply":
        """Write a pair."""
        return cls(pair.access, pair.refresh, TokensBody.of(pair))


class PasswordChangedReply(TokensReply, frozen=True, kw_only=True):
    """The new pair after the password was changed."""

    detail: str


class DetailReply(Struct, frozen=True):
    """A sentence for a person."""

    detail: str


class VerifiedReply(Struct, frozen=True):
    """A sentence, and the person as he is now."""

    detail: str
    user: UserBody


class RolesReply(Struct, frozen=True):
    """All roles of a person."""

    roles: list[RoleBody]


class DeviceBody(Struct, frozen=True):
    """A sign-in that has not ended; `device` and `address_kind` are what its program and its address look like."""

    id: UUID
    device: str
    user_agent: str | None
    ip: str | None
    address_kind: str
    created_at: datetime
    last_used_at: datetime
    current: bool

    @classmethod
    def of(cls, device: DeviceView, current: UUID) -> "DeviceBody":
        """Write a sign-in; `current` is the one that asks."""
        return cls(
            id=device.id,
            device=device_of(device.user_agent),
            user_agent=device.user_agent,
            ip=device.ip,
            address_kind=address_kind_of(device.ip),
            created_at=device.created_at,
            last_used_at=device.last_used_at,
            current=device.id == current,
        )


class OwnWalletBody(Struct, frozen=True):
    """What a person has, in a line."""

    balance: str
    currency: str
    updated_at: datetime | None


class OwnRatingBody(Struct, frozen=True):
    """What a writer has earned of points."""

    points: int
    badge: str


class SecondFactorBody(Struct, frozen=True):
    """Whether signing in needs a code of an authenticator, since when, and how many recovery codes are left."""

    is_on: bool
    since: datetime | None
    recovery_codes_left: int

    @classmethod
    def of(cls, view: SecondFactorView | None) -> "SecondFactorBody":
        """Write a second factor; none is one that is off."""
        return cls(False, None, 0) if view is None else cls(True, view.since, view.recovery_codes_left)


class MeReply(Struct, frozen=True):
    """Who is signed in, and what other modules add: the wallet and, for writers, the rating."""

    user: UserBody
    second_factor: SecondFactorBody
    wallet: OwnWalletBody | UnsetType = UNSET
    rating: OwnRatingBody | UnsetType = UNSET


class PlaceBody(Struct, frozen=True):
    """Where a person is, as far as others are told."""

    city: str


class PublicBody(Struct, frozen=True):
    """What others see of a person."""

    id: UUID
    username: str
    name: str
    avatar: str | None
    bio: str
    location: PlaceBody
    role: str
    date_joined: datetime

    @classmethod
    def of(cls, person: PublicProfile, path: str) -> "PublicBody":
        """Write a person; the path decides how roles are spelled."""
        return cls(
            id=person.id,
            username=person.username,
            name=person.name,
            avatar=person.avatar or None,
            bio=person.bio,
            location=PlaceBody(person.city),
            role=role_word(person.role, path),
            date_joined=person.joined_at,
        )


class BlockReply(Struct, frozen=True):
    """A block, and whom it concerns."""

    id: UUID
    user: PublicBody
    reason: str
    created_at: datetime

    @classmethod
    def of(cls, block: BlockView, path: str) -> "BlockReply":
        """Write a block."""
        return cls(block.id, PublicBody.of(block.user, path), block.reason, block.created_at)


class TicketReply(Struct, frozen=True):
    """What opens one socket."""

    ticket: str
    expires_in: int


_UPPER_ON_SHARED = frozenset({Role.STUDENT, Role.WRITER})
_UPPER_ADMIN_PATHS = ("/api/auth/", "/api/admin/")


def role_word(role: Role, path: str) -> str:
    """Return the word by which the clients of a path know a role."""
    if path.startswith("/api/v1/"):
        return role.value
    if role in _UPPER_ON_SHARED or (role is Role.ADMIN and path.startswith(_UPPER_ADMIN_PATHS)):
        return role.value.upper()
    return role.value


def public_body(person: PublicProfile, path: str, more: Mapping[str, object] | None = None) -> dict[str, Any]:
    """Write what others see of a person, and what other modules add to it."""
    return {**msgspec.structs.asdict(PublicBody.of(person, path)), **(more or {})}


def flat_body(user: UserBody, more: Mapping[str, object]) -> dict[str, Any]:
    """Write a person with what other modules add among the fields."""
    return {**msgspec.structs.asdict(user), **more}


def set_fields(body: Struct) -> dict[str, Any]:
    """Return the fields that were sent, also those sent as null."""
    return {name: value for name, value in msgspec.structs.asdict(body).items() if value is not UNSET}


def view_of(account: Account) -> UserView:
    """Return the read model of an account that is at hand."""
    email, phone = account.contact(ContactKind.EMAIL), account.contact(ContactKind.PHONE)
    return UserView(
        id=account.id,
        username=account.username,
        first_name=account.first_name,
        last_name=account.last_name,
        email=email.address if email else None,
        phone=phone.address if phone else None,
        is_email_verified=email.is_verified if email else False,
        is_phone_verified=phone.is_verified if phone else False,
        avatar=account.avatar,
        bio=account.bio,
        location=account.location,
        grants=tuple(account.grants),
        is_active=account.is_active,
        joined_at=account.joined_at,
    )
