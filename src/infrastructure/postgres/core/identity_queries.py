"""Read models of people."""

from collections.abc import Sequence
from dataclasses import replace

import asyncpg
from sqlalchemy import bindparam, func, literal, or_, select

from application.core.identity.ports import Login
from application.core.identity.queries import (
    NAMES_MAX,
    BlockView,
    Candidate,
    ContactView,
    DeviceView,
    PublicProfile,
    SecondFactorView,
    UserFilter,
    UserView,
)
from application.core.kernel.ports import Clock, Listing, Page
from domain.core.identity.account import Location, UserNotFound
from domain.core.identity.blocks import NotBlocked
from domain.core.identity.roles import GrantStatus, Role, RoleGrant
from domain.core.kernel.ids import AccountId
from infrastructure.postgres.core.identity import ADMINISTRATORS, by_login, grants_of
from infrastructure.postgres.core.identity_tables import accounts, blocks, second_factors, sign_ins
from infrastructure.postgres.database import Database
from infrastructure.postgres.keyset import KeysetList
from infrastructure.postgres.statements import Statement
from infrastructure.postgres.tables import TEXT

_A, _S, _B, _F = accounts.c, sign_ins.c, blocks.c, second_factors.c

_USER = Statement(
    select(accounts, _F.confirmed_at, func.cardinality(_F.recovery_digests).label("recovery_codes_left"))
    .outerjoin(second_factors, _F.account_id == _A.id)
    .where(_A.id == bindparam("wanted"))
)
_SHOWN = (_A.id, _A.username, _A.first_name, _A.last_name, _A.avatar, _A.bio, _A.city, _A.roles, _A.joined_at)
_PUBLIC = Statement(select(*_SHOWN).where(_A.id == bindparam("wanted"), _A.is_active))
_FULL_NAME = _A.first_name + " " + _A.last_name
_LIKE = bindparam("pattern", type_=TEXT)
_MATCHES = or_(_A.username.ilike(_LIKE), _FULL_NAME.ilike(_LIKE))
_NAMED = Statement(
    select(*_SHOWN)
    .where(
        _A.is_active,
        _A.id != bindparam("viewer"),
        func.array_position(_A.roles, "admin").is_(None),
        _MATCHES,
        ~select(literal(1))
        .where(
            or_(
                (_B.blocker_id == bindparam("viewer")) & (_B.blocked_id == _A.id),
                (_B.blocked_id == bindparam("viewer")) & (_B.blocker_id == _A.id),
            )
        )
        .exists(),
    )
    .order_by(_A.id)
    .limit(NAMES_MAX)
)
_ROLE_WANTED = bindparam("role", type_=TEXT)
_ACTIVE_WANTED = bindparam("active", type_=_A.is_active.type)
_USERS = KeysetList(
    select(accounts).where(
        or_(_LIKE.is_(None), _MATCHES, _A.verified_email.ilike(_LIKE), _A.claimed_email.ilike(_LIKE)),
        or_(_ROLE_WANTED.is_(None), func.array_position(_A.roles, _ROLE_WANTED).is_not(None)),
        or_(_ACTIVE_WANTED.is_(None), _A.is_active == _ACTIVE_WANTED),
    ),
    _A.id,
    is_planned_anew=True,
)
_DEVICES = KeysetList(
    select(_S.id, _S.user_agent, _S.ip, _S.created_at, _S.last_used_at).where(
        _S.account_id == bindparam("of_account"), _S.ended_at.is_(None), _S.expires_at > bindparam("now")
    ),
    _S.id,
)
_BLOCKS = (
    select(
        _B.id,
        _B.reason,
        _B.created_at,
        _A.id.label("user_id"),
        *(column for column in _SHOWN if column.name != "id"),
    )
    .join(accounts, _A.id == _B.blocked_id)
    .where(_B.blocker_id == bindparam("of_account"))
)
_BLOCKED = KeysetList(_BLOCKS, _B.id)
_BLOCK = Statement(_BLOCKS.where(_B.blocked_id == bindparam("of_blocked")))


class PostgresIdentityQueries:
    """Reads on a connection without a transaction: one round trip each."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def user(self, account_id: AccountId) -> UserView:
        row = await self._row(account_id)
        return replace(_user(row), second_factor=_second_factor(row))

    async def users(self, wanted: UserFilter, page: Page) -> Listing[UserView]:
        async with self._database.connection() as connection:
            return await _USERS.fetch(
                connection,
                page,
                _user,
                pattern=None if wanted.search is None else _pattern(wanted.search),
                role=None if wanted.role is None else wanted.role.value,
                active=wanted.is_active,
            )

    async def public_profile(self, account_id: AccountId) -> PublicProfile:
        async with self._database.connection() as connection:
            row = await _PUBLIC.fetch_row(connection, wanted=account_id)
        if row is None:
            raise UserNotFound
        return _profile(row)

    async def named(self, search: str, *, viewer: AccountId) -> Sequence[PublicProfile]:
        async with self._database.connection() as connection:
            return [_profile(row) for row in await _NAMED.fetch(connection, pattern=_pattern(search), viewer=viewer)]

    async def candidate(self, login: Login) -> Candidate | None:
        async with self._database.connection() as connection:
            row = await by_login(login).fetch_row(connection, wanted=login.value)
        if row is None:
            return None
        return Candidate(
            account_id=AccountId(row["id"]),
            password_hash=row["password_hash"],
            epoch=row["epoch"],
            is_active=row["is_active"],
            is_admin=RoleGrant(Role.ADMIN, GrantStatus.ACTIVE) in grants_of(row),
        )

    async def administrators(self) -> Sequence[AccountId]:
        async with self._database.connection() as connection:
            return [AccountId(row["id"]) for row in await ADMINISTRATORS.fetch(connection)]

    async def contact(self, account_id: AccountId) -> ContactView:
        user = await self.user(account_id)
        return ContactView(
            account_id=user.id,
            name=user.name,
            username=user.username,
            email=user.email,
            is_email_verified=user.is_email_verified,
            phone=user.phone,
            is_phone_verified=user.is_phone_verified,
            is_active=user.is_active,
        )

    async def devices(self, account_id: AccountId, page: Page) -> Listing[DeviceView]:
        async with self._database.connection() as connection:
            return await _DEVICES.fetch(connection, page, _device, of_account=account_id, now=self._clock.now())

    async def blocked(self, account_id: AccountId, page: Page) -> Listing[BlockView]:
        async with self._database.connection() as connection:
            return await _BLOCKED.fetch(connection, page, _block, of_account=account_id)

    async def block(self, blocker: AccountId, blocked: AccountId) -> BlockView:
        async with self._database.connection() as connection:
            row = await _BLOCK.fetch_row(connection, of_account=blocker, of_blocked=blocked)
        if row is None:
            raise NotBlocked
        return _block(row)

    async def _row(self, account_id: AccountId) -> asyncpg.Record:
        async with self._database.connection() as connection:
            row = await _USER.fetch_row(connection, wanted=account_id)
        if row is None:
            raise UserNotFound
        return row


def _user(row: asyncpg.Record) -> UserView:
    return UserView(
        id=AccountId(row["id"]),
        username=row["username"],
        first_name=row["first_name"],
        last_name=row["last_name"],
        email=row["verified_email"] or row["claimed_email"],
        phone=row["verified_phone"] or row["claimed_phone"],
        is_email_verified=row["verified_email"] is not None,
        is_phone_verified=row["verified_phone"] is not None,
        avatar=row["avatar"],
        bio=row["bio"],
        location=Location(row["city"], row["county"], row["country"]),
        grants=tuple(grants_of(row)),
        is_active=row["is_active"],
        joined_at=row["joined_at"],
    )


def _second_factor(row: asyncpg.Record) -> SecondFactorView | None:
    if row["confirmed_at"] is None:
        return None
    return SecondFactorView(since=row["confirmed_at"], recovery_codes_left=row["recovery_codes_left"])


def _profile(row: asyncpg.Record, *, key: str = "id") -> PublicProfile:
    return PublicProfile(
        id=AccountId(row[key]),
        username=row["username"],
        name=f"{row['first_name']} {row['last_name']}".strip() or row["username"],
        avatar=row["avatar"],
        bio=row["bio"],
        city=row["city"],
        role=Role(row["roles"][0]) if row["roles"] else Role.MEMBER,
        joined_at=row["joined_at"],
    )


def _device(row: asyncpg.Record) -> DeviceView:
    return DeviceView(**row)


def _block(row: asyncpg.Record) -> BlockView:
    user = _profile(row, key="user_id")
    return BlockView(id=row["id"], user=user, reason=row["reason"], created_at=row["created_at"])


def _pattern(search: str) -> str:
    """Return the LIKE pattern of a text that may occur anywhere; its own % and _ mean themselves."""
    escaped = search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
