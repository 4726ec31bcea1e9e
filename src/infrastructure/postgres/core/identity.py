"""Accounts, sign-ins, codes and blocks inside one unit of work; counters and tickets, which commit by themselves."""

from collections.abc import Mapping, Sequence
from copy import copy
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import ARRAY, BigInteger, ColumnElement, bindparam, delete, func, insert, null, select, text, update

from application.core.identity.ports import Login, Ticket, TooManyAttempts
from domain.core.identity.account import Account, Location, UserNotFound
from domain.core.identity.blocks import Block
from domain.core.identity.codes import CodePurpose, OneTimeCode
from domain.core.identity.contacts import AddressVerifiedElsewhere, Contact, ContactKind
from domain.core.identity.roles import GrantStatus, Role, RoleGrant
from domain.core.identity.sign_ins import EndReason, SignIn
from domain.core.identity.usernames import UsernameTaken
from domain.core.kernel.errors import DomainError
from domain.core.kernel.ids import AccountId
from infrastructure.postgres.core.identity_tables import (
    access_revocations,
    accounts,
    attempt_counters,
    blocks,
    one_time_codes,
    sign_ins,
    socket_tickets,
)
from infrastructure.postgres.database import Database
from infrastructure.postgres.statements import Statement, WriteBatch
from infrastructure.postgres.tables import INSTANT, TEXT
from infrastructure.postgres.tables import UUID as UUID_TYPE
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork

IDENTITY_REFUSALS: Mapping[str, type[DomainError]] = {
    "uq_accounts_username": UsernameTaken,
    "uq_accounts_verified_email": AddressVerifiedElsewhere,
    "uq_accounts_verified_phone": AddressVerifiedElsewhere,
}

_ADMINISTRATORS_LOCK = 7306
"""Advisory lock of whoever changes who is an administrator; any number that nothing else uses."""

_A = accounts.c
_ACCOUNT_COLUMNS = tuple(column.name for column in accounts.columns)
_CHANGING_COLUMNS = tuple(name for name in _ACCOUNT_COLUMNS if name not in {"id", "joined_at"})
_ACCOUNT = select(accounts)
_BY_ID = Statement(_ACCOUNT.where(_A.id == bindparam("wanted")))
_BY_ID_LOCKED = Statement(_ACCOUNT.where(_A.id == bindparam("wanted")).with_for_update())
_BY_USERNAME = Statement(_ACCOUNT.where(_A.username == bindparam("wanted")))
_BY_ADDRESS = {
    kind: Statement(
        _ACCOUNT.where((verified == bindparam("wanted")) | (claimed == bindparam("wanted")))
        .order_by((func.coalesce(verified, "") == bindparam("wanted")).desc(), claimed_at, _A.id)
        .limit(1)
    )
    for kind, verified, claimed, claimed_at in (
        ("email", _A.verified_email, _A.claimed_email, _A.claimed_email_at),
        ("phone", _A.verified_phone, _A.claimed_phone, _A.claimed_phone_at),
    )
}
_LOCK_ADMINISTRATORS = Statement(select(func.pg_advisory_xact_lock(_ADMINISTRATORS_LOCK)))
ADMINISTRATORS = Statement(
    text(
        "SELECT id FROM accounts WHERE roles @> ARRAY['admin'] AND is_active"
        " AND role_states[array_position(roles, 'admin')] = 'active' ORDER BY id LIMIT 100"
    )
)
_LOCK_ADDRESS = Statement(
    text("SELECT pg_advisory_xact_lock(hashtextextended(:address, 7307))").bindparams(bindparam("address", type_=TEXT))
)
_VERIFIED_ELSEWHERE = {
    kind: Statement(
        select(_A.id).where(column == bindparam("address"), _A.id != bindparam("keeper", type_=UUID_TYPE)).limit(1)
    )
    for kind, column in (("email", _A.verified_email), ("phone", _A.verified_phone))
}
_DROP_CLAIMS = {
    kind: Statement(
        update(accounts)
        .where(accounts.c[f"claimed_{kind}"] == bindparam("address"), _A.id != bindparam("keeper", type_=UUID_TYPE))
        .values({f"claimed_{kind}": null(), f"claimed_{kind}_at": null()})
        .returning(_A.id)
    )
    for kind in ("email", "phone")
}
_ADD_ACCOUNT = Statement(insert(accounts).values({name: bindparam(name) for name in _ACCOUNT_COLUMNS}))
_SAVE_ACCOUNT = Statement(
    update(accounts).where(_A.id == bindparam("wanted")).values({name: bindparam(name) for name in _CHANGING_COLUMNS})
)
_REVOKE = Statement(
    insert(access_revocations).values({column.name: bindparam(column.name) for column in access_revocations.columns})
)

_S = sign_ins.c
_SIGN_IN_COLUMNS = tuple(column.name for column in sign_ins.columns)
_SIGN_IN_CHANGING = ("generation", "rotations", "last_used_at", "expires_at", "ended_at", "end_reason", "proved_at")
_SIGN_IN = Statement(select(sign_ins).where(_S.id == bindparam("wanted")))
_SIGN_IN_LOCKED = Statement(select(sign_ins).where(_S.id == bindparam("wanted")).with_for_update())
_ADD_SIGN_IN = Statement(insert(sign_ins).values({name: bindparam(name) for name in _SIGN_IN_COLUMNS}))
_SAVE_SIGN_IN = Statement(
    update(sign_ins).where(_S.id == bindparam("wanted")).values({name: bindparam(name) for name in _SIGN_IN_CHANGING})
)
_END_SIGN_INS = Statement(
    update(sign_ins)
    .where(
        _S.account_id == bindparam("of_account"),
        _S.ended_at.is_(None),
        _S.id != func.all(bindparam("kept", type_=ARRAY(UUID_TYPE))),
    )
    .values(ended_at=bindparam("now"), end_reason=bindparam("reason"))
)
_END_OTHERS = Statement(
    text(
        "WITH ended AS (UPDATE sign_ins SET ended_at = :now, end_reason = :reason"
        " WHERE account_id = :of_account AND ended_at IS NULL AND id <> :kept RETURNING id)"
        " INSERT INTO access_revocations (id, family_id, created_at)"
        " SELECT gen_random_uuid(), id, :now FROM ended RETURNING family_id"
    ).bindparams(
        bindparam("now", type_=INSTANT),
        bindparam("reason", type_=TEXT),
        bindparam("of_account", type_=UUID_TYPE),
        bindparam("kept", type_=UUID_TYPE),
    )
)

_C = one_time_codes.c
_CODE_COLUMNS = tuple(column.name for column in one_time_codes.columns)
_CODE = Statement(select(one_time_codes).where(_C.id == bindparam("wanted")))
_CODE_LOCKED = Statement(select(one_time_codes).where(_C.id == bindparam("wanted")).with_for_update())


def _newest_code(whose: ColumnElement[bool]) -> Mapping[bool, Statement]:
    """Return what reads it without a lock and with one."""
    newest = (
        select(one_time_codes)
        .where(whose, _C.purpose == bindparam("for_purpose"), _C.address == bindparam("of_address"))
        .order_by(_C.id.desc())
        .limit(1)
    )
    return {False: Statement(newest), True: Statement(newest.with_for_update())}


_NEWEST_CODE = _newest_code(_C.account_id == bindparam("of_account"))
_NEWEST_CODE_OF_NOBODY = _newest_code(_C.account_id.is_(None))
_ADD_CODE = Statement(insert(one_time_codes).values({name: bindparam(name) for name in _CODE_COLUMNS}))
_SAVE_CODE = Statement(
    update(one_time_codes)
    .where(_C.id == bindparam("wanted"))
    .values(tries=bindparam("tries"), used_at=bindparam("used_at"))
)
_VOID_CODES = Statement(
    update(one_time_codes)
    .where(
        _C.account_id == bindparam("of_account"),
        _C.purpose == bindparam("for_purpose"),
        _C.address == bindparam("of_address"),
        _C.used_at.is_(None),
        _C.expires_at > bindparam("now"),
    )
    .values(expires_at=bindparam("now"))
)

_B = blocks.c
_BLOCK_COLUMNS = tuple(column.name for column in blocks.columns)
_BLOCKED_BETWEEN = Statement(
    select(_B.id)
    .where(
        ((_B.blocker_id == bindparam("one")) & (_B.blocked_id == bindparam("other")))
        | ((_B.blocker_id == bindparam("other")) & (_B.blocked_id == bindparam("one")))
    )
    .limit(1)
)
_BLOCK = Statement(select(blocks).where(_B.blocker_id == bindparam("blocker"), _B.blocked_id == bindparam("blocked")))
_ADD_BLOCK = Statement(
    text(
        "INSERT INTO blocks (id, blocker_id, blocked_id, reason, created_at)"
        " VALUES (:id, :blocker_id, :blocked_id, :reason, :created_at)"
        " ON CONFLICT ON CONSTRAINT uq_blocks_pair DO NOTHING RETURNING id"
    ).bindparams(
        bindparam("id", type_=UUID_TYPE),
        bindparam("blocker_id", type_=UUID_TYPE),
        bindparam("blocked_id", type_=UUID_TYPE),
        bindparam("reason", type_=TEXT),
        bindparam("created_at", type_=INSTANT),
    )
)
_REMOVE_BLOCK = Statement(delete(blocks).where(_B.id == bindparam("wanted")))

_N = attempt_counters.c
# `attempts` stops one above the limit, so a flood of attempts writes nothing once the limit is reached
_TAKE = Statement(
    text(
        "INSERT INTO attempt_counters AS c (key, attempts, ends_at) VALUES (:key, 1, :ends_at)"
        " ON CONFLICT (key) DO UPDATE SET"
        " attempts = CASE WHEN c.ends_at <= :now THEN 1 ELSE c.attempts + 1 END,"
        " ends_at = CASE WHEN c.ends_at <= :now THEN :ends_at ELSE c.ends_at END"
        " WHERE c.ends_at <= :now OR c.attempts < :limit"
        " RETURNING attempts"
    ).bindparams(
        bindparam("key", type_=attempt_counters.c.key.type),
        bindparam("ends_at", type_=INSTANT),
        bindparam("now", type_=INSTANT),
        bindparam("limit", type_=BigInteger),
    )
)
_WINDOW_END = Statement(
    select(_N.ends_at).where(
        _N.key == bindparam("wanted"), _N.ends_at > bindparam("now"), _N.attempts >= bindparam("limit")
    )
)
_GIVE_BACK = Statement(
    update(attempt_counters)
    .where(_N.key == bindparam("wanted"), _N.ends_at > bindparam("now"), _N.attempts > 0)
    .values(attempts=_N.attempts - 1)
)

_T = socket_tickets.c
_PUT_TICKET = Statement(
    insert(socket_tickets).values({column.name: bindparam(column.name) for column in socket_tickets.columns})
)
_TAKE_TICKET = Statement(delete(socket_tickets).where(_T.digest == bindparam("wanted")).returning(socket_tickets))


class PostgresAccounts:
    """Accounts: loaded whole, written whole when they have changed."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._accounts: dict[AccountId, Account] = {}
        self._stored: dict[AccountId, Mapping[str, object]] = {}
        self._added: list[Account] = []
        unit_of_work.attach(self)

    async def get(self, account_id: AccountId, *, lock: bool = True) -> Account:
        if account_id in self._accounts:
            return self._accounts[account_id]
        statement = _BY_ID_LOCKED if lock else _BY_ID
        row = await statement.fetch_row(self._unit.connection, wanted=account_id)
        if row is None:
            raise UserNotFound
        account = account_of(row)
        if lock:  # what was not locked may have changed meanwhile and is never written
            self._accounts[account_id] = account
            self._stored[account_id] = _row_of(account)
        return account

    async def find_by_login(self, login: Login) -> Account | None:
        row = await by_login(login).fetch_row(self._unit.connection, wanted=login.value)
        return None if row is None else account_of(row)

    async def administrators(self) -> Sequence[AccountId]:
        await _LOCK_ADMINISTRATORS.execute(self._unit.connection)
        return [AccountId(row["id"]) for row in await ADMINISTRATORS.fetch(self._unit.connection)]

    async def hold_address(self, kind: ContactKind, address: str) -> None:
        await _LOCK_ADDRESS.execute(self._unit.connection, address=f"{kind}:{address}")

    async def is_verified_elsewhere(self, kind: ContactKind, address: str, account_id: AccountId) -> bool:
        statement = _VERIFIED_ELSEWHERE[kind]
        found = await statement.fetch_value(self._unit.connection, address=address, keeper=account_id)
        return found is not None

    async def drop_other_claims(self, kind: ContactKind, address: str, keeper: AccountId) -> Sequence[AccountId]:
        rows = await _DROP_CLAIMS[kind].fetch(self._unit.connection, address=address, keeper=keeper)
        return [AccountId(row["id"]) for row in rows]

    def add(self, account: Account) -> None:
        self._added.append(account)

    def stage(self, batch: WriteBatch) -> None:
        """Put new and changed accounts into the batch, and the end of older access tokens."""
        added, self._added = self._added, []
        for account in added:
            row = _row_of(account)
            batch.stage(_ADD_ACCOUNT, **row)
            self._accounts[account.id], self._stored[account.id] = account, row
        for account_id, account in self._accounts.items():
            row, stored = _row_of(account), self._stored[account_id]
            if row == stored:
                continue
            batch.stage(_SAVE_ACCOUNT, wanted=account_id, **{name: row[name] for name in _CHANGING_COLUMNS})
            if row["epoch"] != stored["epoch"]:
                batch.stage(
                    _REVOKE,
                    id=self._unit.ids.new(),
                    family_id=None,
                    account_id=account_id,
                    before_epoch=account.epoch,
                    created_at=self._unit.clock.now(),
                )
            self._stored[account_id] = row


class PostgresSignIns:
    """Sign-ins."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._sign_ins: dict[UUID, SignIn] = {}
        self._stored: dict[UUID, SignIn] = {}
        self._added: list[SignIn] = []
        self._ended: list[dict[str, object]] = []
        unit_of_work.attach(self)

    async def get(self, sign_in_id: UUID, *, lock: bool = True) -> SignIn | None:
        if sign_in_id in self._sign_ins:
            return self._sign_ins[sign_in_id]
        row = await (_SIGN_IN_LOCKED if lock else _SIGN_IN).fetch_row(self._unit.connection, wanted=sign_in_id)
        if row is None:
            return None
        sign_in = _sign_in_of(row)
        if lock:
            self._sign_ins[sign_in_id], self._stored[sign_in_id] = sign_in, copy(sign_in)
        return sign_in

    def add(self, sign_in: SignIn) -> None:
        self._added.append(sign_in)

    def end_all(self, account_id: AccountId, reason: EndReason, *, now: datetime, keep: UUID | None = None) -> None:
        self._ended.append({"of_account": account_id, "now": now, "reason": reason.value, "keep": keep})

    async def end_others(
        self, account_id: AccountId, reason: EndReason, *, now: datetime, keep: UUID
    ) -> Sequence[UUID]:
        rows = await _END_OTHERS.fetch(
            self._unit.connection, of_account=account_id, reason=reason.value, now=now, kept=keep
        )
        return [row["family_id"] for row in rows]

    def stage(self, batch: WriteBatch) -> None:
        """Put new, changed and ended sign-ins into the batch."""
        added, self._added = self._added, []
        for sign_in in added:
            batch.stage(_ADD_SIGN_IN, **{name: _plain(getattr(sign_in, name)) for name in _SIGN_IN_COLUMNS})
        written: list[UUID] = []
        for sign_in_id, sign_in in self._sign_ins.items():
            stored = self._stored[sign_in_id]
            if sign_in == stored:
                continue
            written.append(sign_in_id)
            batch.stage(
                _SAVE_SIGN_IN,
                wanted=sign_in_id,
                **{name: _plain(getattr(sign_in, name)) for name in _SIGN_IN_CHANGING},
            )
            if sign_in.has_ended and not stored.has_ended:
                batch.stage(
                    _REVOKE,
                    id=self._unit.ids.new(),
                    family_id=sign_in_id,
                    account_id=None,
                    before_epoch=None,
                    created_at=sign_in.ended_at,
                )
            self._stored[sign_in_id] = copy(sign_in)
        ended, self._ended = self._ended, []
        for one in ended:
            keep = one.pop("keep")
            kept = [*written, *([keep] if keep is not None else [])]
            batch.stage(_END_SIGN_INS, kept=kept, **one)


class PostgresCodes:
    """One-time codes."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._codes: dict[UUID, OneTimeCode] = {}
        self._stored: dict[UUID, OneTimeCode] = {}
        self._added: list[OneTimeCode] = []
        unit_of_work.attach(self)

    async def get(self, code_id: UUID, *, lock: bool = True) -> OneTimeCode | None:
        if code_id in self._codes:
            return self._codes[code_id]
        row = await (_CODE_LOCKED if lock else _CODE).fetch_row(self._unit.connection, wanted=code_id)
        return self._take(row, lock=lock)

    async def newest(
        self, account_id: AccountId | None, purpose: CodePurpose, address: str, *, lock: bool = True
    ) -> OneTimeCode | None:
        wanted = {"for_purpose": purpose.value, "of_address": address}
        if account_id is None:
            row = await _NEWEST_CODE_OF_NOBODY[lock].fetch_row(self._unit.connection, **wanted)
        else:
            row = await _NEWEST_CODE[lock].fetch_row(self._unit.connection, of_account=account_id, **wanted)
        return self._take(row, lock=lock)

    def add(self, code: OneTimeCode) -> None:
        self._added.append(code)

    def _take(self, row: asyncpg.Record | None, *, lock: bool) -> OneTimeCode | None:
        if row is None:
            return None
        code = OneTimeCode(**{**row, "purpose": CodePurpose(row["purpose"])})
        if lock:
            code = self._codes.setdefault(code.id, code)
            self._stored.setdefault(code.id, copy(code))
        return code

    def stage(self, batch: WriteBatch) -> None:
        """Put new and tried codes into the batch; a new code ends what was open before it."""
        added, self._added = self._added, []
        for code in added:
            assert not self._codes, "a code is not used and replaced in one unit of work"
            batch.stage(
                _VOID_CODES,
                of_account=code.account_id,
                for_purpose=code.purpose.value,
                of_address=code.address,
                now=code.created_at,
            )
            batch.stage(_ADD_CODE, **{name: _plain(getattr(code, name)) for name in _CODE_COLUMNS})
        for code_id, code in self._codes.items():
            if code != self._stored[code_id]:
                batch.stage(_SAVE_CODE, wanted=code_id, tries=code.tries, used_at=code.used_at)
                self._stored[code_id] = copy(code)


class PostgresBlocks:
    """Blocks."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._removed: list[UUID] = []
        unit_of_work.attach(self)

    async def is_blocked_between(self, one: AccountId, other: AccountId) -> bool:
        return await _BLOCKED_BETWEEN.fetch_value(self._unit.connection, one=one, other=other) is not None

    async def find(self, blocker: AccountId, blocked: AccountId) -> Block | None:
        row = await _BLOCK.fetch_row(self._unit.connection, blocker=blocker, blocked=blocked)
        return None if row is None else Block(**row)

    async def add(self, block: Block) -> Block:
        values = {name: getattr(block, name) for name in _BLOCK_COLUMNS}
        if await _ADD_BLOCK.fetch_value(self._unit.connection, **values) is not None:
            return block
        earlier = await self.find(block.blocker_id, block.blocked_id)
        return earlier or block  # none: taken away again between the two statements

    def remove(self, block: Block) -> None:
        self._removed.append(block.id)

    def stage(self, batch: WriteBatch) -> None:
        """Put what was taken away into the batch."""
        removed, self._removed = self._removed, []
        for block_id in removed:
            batch.stage(_REMOVE_BLOCK, wanted=block_id)


class PostgresAttemptCounter:
    """Counts in one table, which all processes share; each call is one statement that commits by itself."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, key: bytes, *, limit: int, window: timedelta, now: datetime) -> None:
        async with self._database.connection() as connection:
            taken = await _TAKE.fetch_value(connection, key=key, ends_at=now + window, now=now, limit=limit)
            if taken is None:  # refused whatever is given back from here on: this attempt was not counted
                await self._refuse(connection, key, limit, now)
                raise TooManyAttempts(retry_after_s=1)

    async def check(self, key: bytes, *, limit: int, now: datetime) -> None:
        async with self._database.connection() as connection:
            await self._refuse(connection, key, limit, now)

    async def count(self, key: bytes, *, window: timedelta, now: datetime) -> None:
        async with self._database.connection() as connection:
            await _TAKE.execute(connection, key=key, ends_at=now + window, now=now, limit=2**62)

    async def give_back(self, key: bytes, *, now: datetime) -> None:
        async with self._database.connection() as connection:
            await _GIVE_BACK.execute(connection, wanted=key, now=now)

    async def _refuse(self, connection: Any, key: bytes, limit: int, now: datetime) -> None:
        ends_at = await _WINDOW_END.fetch_value(connection, wanted=key, now=now, limit=limit)
        if ends_at is not None:
            raise TooManyAttempts(retry_after_s=max(1, int((ends_at - now).total_seconds())))


class PostgresTickets:
    """Tickets for sockets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, ticket: Ticket) -> None:
        async with self._database.connection() as connection:
            await _PUT_TICKET.execute(
                connection,
                digest=ticket.digest,
                account_id=ticket.account_id,
                family_id=ticket.family_id,
                expires_at=ticket.expires_at,
            )

    async def take(self, digest: bytes, *, now: datetime) -> Ticket | None:
        async with self._database.connection() as connection:
            row = await _TAKE_TICKET.fetch_row(connection, wanted=digest)
        if row is None or row["expires_at"] <= now:
            return None
        return Ticket(**row)


def by_login(login: Login) -> Statement:
    """Return the statement that finds whom a login means, by the parameter `wanted`."""
    return _BY_USERNAME if login.kind == "username" else _BY_ADDRESS[login.kind]


def grants_of(row: asyncpg.Record) -> list[RoleGrant]:
    """Return the grants of a row of `accounts`."""
    pairs = zip(row["roles"], row["role_states"], strict=True)
    return [RoleGrant(Role(role), GrantStatus(state)) for role, state in pairs]


def account_of(row: asyncpg.Record) -> Account:
    """Return the account of a row."""
    return Account(
        id=AccountId(row["id"]),
        username=row["username"],
        password_hash=row["password_hash"],
        joined_at=row["joined_at"],
        first_name=row["first_name"],
        last_name=row["last_name"],
        bio=row["bio"],
        avatar=row["avatar"],
        location=Location(row["city"], row["county"], row["country"]),
        is_active=row["is_active"],
        epoch=row["epoch"],
        grants=grants_of(row),
        contacts=[
            Contact(kind, row[f"{state}_{kind}"], state == "verified", row[f"{state}_{kind}_at"])
            for kind in ContactKind
            for state in ("verified", "claimed")
            if row[f"{state}_{kind}"] is not None
        ],
    )


def _row_of(account: Account) -> dict[str, object]:
    row: dict[str, object] = {
        "id": account.id,
        "username": account.username,
        "password_hash": account.password_hash,
        "joined_at": account.joined_at,
        "first_name": account.first_name,
        "last_name": account.last_name,
        "bio": account.bio,
        "avatar": account.avatar,
        "city": account.location.city,
        "county": account.location.county,
        "country": account.location.country,
        "is_active": account.is_active,
        "epoch": account.epoch,
        "roles": [grant.role.value for grant in account.grants],
        "role_states": [grant.status.value for grant in account.grants],
    }
    for kind in ContactKind:
        for state, contact in (("verified", account.verified(kind)), ("claimed", account.claim(kind))):
            row[f"{state}_{kind}"] = None if contact is None else contact.address
            row[f"{state}_{kind}_at"] = None if contact is None else contact.claimed_at
    return row


def _sign_in_of(row: asyncpg.Record) -> SignIn:
    reason = row["end_reason"]
    return SignIn(
        **{
            **row,
            "rotations": tuple(row["rotations"]),
            "end_reason": None if reason is None else EndReason(reason),
        }
    )


def _plain(value: object) -> object:
    """Return an enum's word instead of the enum, and a list instead of a tuple."""
    if isinstance(value, EndReason | CodePurpose):
        return value.value
    return list(value) if isinstance(value, tuple) else value
