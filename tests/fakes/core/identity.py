"""Accounts, sign-ins, codes and blocks in memory, and the counters and boards beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from application.core.identity.ports import Login, Ticket, TooManyAttempts
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
from application.core.identity.security import AccessClaims
from application.core.kernel.ports import Listing, Page
from domain.core.identity.account import Account, UserNotFound
from domain.core.identity.blocks import Block, NotBlocked
from domain.core.identity.codes import CodePurpose, OneTimeCode
from domain.core.identity.contacts import AddressVerifiedElsewhere, ContactKind
from domain.core.identity.second_factor import SecondFactor
from domain.core.identity.sign_ins import EndReason, SignIn
from domain.core.identity.usernames import UsernameTaken
from domain.core.kernel.ids import AccountId
from tests.fakes.core.ledger import Tables

if TYPE_CHECKING:
    from tests.fakes.core.store import InMemoryStore


@dataclass(frozen=True, slots=True)
class Revoked:
    """A row of access_revocations: a family, or an account and the first epoch that is still good."""

    family_id: UUID | None = None
    account_id: AccountId | None = None
    before_epoch: int | None = None


def _by_address(accounts: Sequence[Account], kind: ContactKind, address: str) -> Account | None:
    for account in accounts:
        held = account.verified(kind)
        if held is not None and held.address == address:
            return account
    claims = [
        (claim.claimed_at, account.id, account)
        for account in accounts
        if (claim := account.claim(kind)) is not None and claim.address == address
    ]
    return min(claims, key=lambda one: one[:2])[2] if claims else None


def _by_login(accounts: Sequence[Account], login: Login) -> Account | None:
    if login.kind == "username":
        return next((one for one in accounts if one.username == login.value), None)
    return _by_address(accounts, ContactKind(login.kind), login.value)


class InMemoryAccounts:
    """Accounts by id. A unit of work of the store runs alone, so all its locks are held anyway."""

    def __init__(self, unit_of_work: Tables) -> None:
        self._accounts = unit_of_work.table("accounts")
        self._revocations = unit_of_work.table("access_revocations")
        self._epochs: dict[AccountId, int] = {}
        unit_of_work.at_commit(self._check)

    async def get(self, account_id: AccountId, *, lock: bool = True) -> Account:
        if account_id not in self._accounts:
            raise UserNotFound
        account: Account = self._accounts[account_id]
        self._epochs.setdefault(account_id, account.epoch)
        return account

    async def find_by_login(self, login: Login) -> Account | None:
        return _by_login(list(self._accounts.values()), login)

    async def administrators(self) -> Sequence[AccountId]:
        return sorted(account.id for account in self._accounts.values() if account.is_admin)

    async def hold_address(self, kind: ContactKind, address: str) -> None:
        """Nobody else runs."""

    async def is_verified_elsewhere(self, kind: ContactKind, address: str, account_id: AccountId) -> bool:
        return any(
            account.id != account_id and (held := account.verified(kind)) is not None and held.address == address
            for account in self._accounts.values()
        )

    async def drop_other_claims(self, kind: ContactKind, address: str, keeper: AccountId) -> Sequence[AccountId]:
        losers = [
            account
            for account in self._accounts.values()
            if account.id != keeper and (claim := account.claim(kind)) is not None and claim.address == address
        ]
        for account in losers:
            account.drop_claim(kind)
        return [account.id for account in losers]

    def add(self, account: Account) -> None:
        self._accounts[account.id] = account

    def _check(self) -> None:
        accounts: list[Account] = list(self._accounts.values())
        if len({account.username for account in accounts}) != len(accounts):
            raise UsernameTaken
        for kind in ContactKind:
            held = [one.address for account in accounts if (one := account.verified(kind)) is not None]
            if len(set(held)) != len(held):
                raise AddressVerifiedElsewhere
        for account_id, epoch in self._epochs.items():
            now = self._accounts[account_id].epoch
            if now != epoch:
                self._revocations[account_id] = Revoked(account_id=account_id, before_epoch=now)


class InMemorySignIns:
    """Sign-ins by id."""

    def __init__(self, unit_of_work: Tables) -> None:
        self._sign_ins = unit_of_work.table("sign_ins")
        self._revocations = unit_of_work.table("access_revocations")
        self._open: set[UUID] = set()
        unit_of_work.at_commit(self._revoke)

    async def get(self, sign_in_id: UUID, *, lock: bool = True) -> SignIn | None:
        sign_in: SignIn | None = self._sign_ins.get(sign_in_id)
        if sign_in is not None and sign_in.ended_at is None:
            self._open.add(sign_in_id)
        return sign_in

    def add(self, sign_in: SignIn) -> None:
        self._sign_ins[sign_in.id] = sign_in

    def end_all(self, account_id: AccountId, reason: EndReason, *, now: datetime, keep: UUID | None = None) -> None:
        for sign_in in self._sign_ins.values():
            if sign_in.account_id == account_id and sign_in.id != keep:
                self._open.discard(sign_in.id)
                sign_in.end(reason, now=now)

    async def end_others(
        self, account_id: AccountId, reason: EndReason, *, now: datetime, keep: UUID
    ) -> Sequence[UUID]:
        others: list[SignIn] = [
            one
            for one in self._sign_ins.values()
            if one.account_id == account_id and one.id != keep and one.ended_at is None
        ]
        for one in others:
            self._open.add(one.id)
            one.end(reason, now=now)
        return [one.id for one in others]

    def _revoke(self) -> None:
        for sign_in_id in self._open:
            if self._sign_ins[sign_in_id].ended_at is not None:
                self._revocations[sign_in_id] = Revoked(family_id=sign_in_id)


class InMemorySecondFactors:
    """Second factors by account."""

    def __init__(self, unit_of_work: Tables) -> None:
        self._factors = unit_of_work.table("second_factors")

    async def get(self, account_id: AccountId, *, lock: bool = True) -> SecondFactor | None:
        return self._factors.get(account_id)

    async def sealed_otherwise(self, mark: bytes, rows_max: int) -> Sequence[SecondFactor]:
        found: list[SecondFactor] = [one for one in self._factors.values() if not one.sealed_secret.startswith(mark)]
        return sorted(found, key=lambda one: one.account_id)[:rows_max]

    def add(self, factor: SecondFactor) -> None:
        self._factors[factor.account_id] = factor

    def remove(self, factor: SecondFactor) -> None:
        del self._factors[factor.account_id]


class InMemoryCodes:
    """Codes by id."""

    def __init__(self, unit_of_work: Tables) -> None:
        self._codes = unit_of_work.table("one_time_codes")

    async def get(self, code_id: UUID, *, lock: bool = True) -> OneTimeCode | None:
        found: OneTimeCode | None = self._codes.get(code_id)
        return found

    async def newest(
        self, account_id: AccountId | None, purpose: CodePurpose, address: str, *, lock: bool = True
    ) -> OneTimeCode | None:
        return max(self._of(account_id, purpose, address), key=lambda code: code.id, default=None)

    def add(self, code: OneTimeCode) -> None:
        if code.account_id is not None:
            for former in self._of(code.account_id, code.purpose, code.address):
                if former.used_at is None:
                    former.expires_at = min(former.expires_at, code.created_at)
        self._codes[code.id] = code

    def _of(self, account_id: AccountId | None, purpose: CodePurpose, address: str) -> list[OneTimeCode]:
        wanted = account_id, purpose, address
        return [code for code in self._codes.values() if (code.account_id, code.purpose, code.address) == wanted]


class InMemoryBlocks:
    """Blocks by pair."""

    def __init__(self, unit_of_work: Tables) -> None:
        self._blocks = unit_of_work.table("blocks")

    async def is_blocked_between(self, one: AccountId, other: AccountId) -> bool:
        return (one, other) in self._blocks or (other, one) in self._blocks

    async def find(self, blocker: AccountId, blocked: AccountId) -> Block | None:
        found: Block | None = self._blocks.get((blocker, blocked))
        return found

    async def add(self, block: Block) -> Block:
        earlier = await self.find(block.blocker_id, block.blocked_id)
        if earlier is None:
            self._blocks[block.blocker_id, block.blocked_id] = block
        return earlier or block

    def remove(self, block: Block) -> None:
        del self._blocks[block.blocker_id, block.blocked_id]


@dataclass(slots=True)
class InMemoryAttemptCounter:
    """Counts in a dictionary: key -> (attempts, end of the window)."""

    counts: dict[bytes, tuple[int, datetime]] = field(default_factory=dict)

    async def take(self, key: bytes, *, limit: int, window: timedelta, now: datetime) -> None:
        await self.check(key, limit=limit, now=now)
        await self.count(key, window=window, now=now)

    async def check(self, key: bytes, *, limit: int, now: datetime) -> None:
        attempts, ends_at = self._of(key, now)
        if attempts >= limit:
            raise TooManyAttempts(retry_after_s=max(1, int((ends_at - now).total_seconds())))

    async def count(self, key: bytes, *, window: timedelta, now: datetime) -> None:
        attempts, ends_at = self._of(key, now)
        self.counts[key] = (attempts + 1, ends_at if attempts else now + window)

    async def give_back(self, key: bytes, *, now: datetime) -> None:
        attempts, ends_at = self._of(key, now)
        if attempts:
            self.counts[key] = (attempts - 1, ends_at)

    def _of(self, key: bytes, now: datetime) -> tuple[int, datetime]:
        attempts, ends_at = self.counts.get(key, (0, now))
        return (attempts, ends_at) if ends_at > now else (0, now)


@dataclass(slots=True)
class InMemoryTickets:
    """Tickets by digest."""

    tickets: dict[bytes, Ticket] = field(default_factory=dict)

    async def put(self, ticket: Ticket) -> None:
        self.tickets[ticket.digest] = ticket

    async def take(self, digest: bytes, *, now: datetime) -> Ticket | None:
        ticket = self.tickets.pop(digest, None)
        return ticket if ticket is not None and ticket.expires_at > now else None


@dataclass(slots=True)
class InMemoryRevocations:
    """What was revoked, from the moment on at which it is told."""

    families: set[UUID] = field(default_factory=set)
    epochs: dict[AccountId, int] = field(default_factory=dict)

    def covers(self, claims: AccessClaims) -> bool:
        return claims.family_id in self.families or claims.epoch < self.epochs.get(claims.account_id, 0)

    def family_ended(self, family_id: UUID) -> None:
        self.families.add(family_id)

    def epochs_ended(self, account_id: AccountId, *, before: int) -> None:
        self.epochs[account_id] = max(before, self.epochs.get(account_id, 0))


def user_view(account: Account) -> UserView:
    """Return everything about an account."""
    email, phone = account.contact(ContactKind.EMAIL), account.contact(ContactKind.PHONE)
    return UserView(
        id=account.id,
        username=account.username,
        first_name=account.first_name,
        last_name=account.last_name,
        email=email.address if email else None,
        phone=phone.address if phone else None,
        is_email_verified=email is not None and email.is_verified,
        is_phone_verified=phone is not None and phone.is_verified,
        avatar=account.avatar,
        bio=account.bio,
        location=account.location,
        grants=tuple(account.grants),
        is_active=account.is_active,
        joined_at=account.joined_at,
    )


def public_profile(account: Account) -> PublicProfile:
    """Return what others see of an account."""
    return PublicProfile(
        id=account.id,
        username=account.username,
        name=account.name,
        avatar=account.avatar,
        bio=account.bio,
        city=account.location.city,
        role=account.role,
        joined_at=account.joined_at,
    )


class InMemoryIdentityQueries:
    """Reads of what the store has committed. Lists are one page: no test in memory turns pages."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    async def user(self, account_id: AccountId) -> UserView:
        factor: SecondFactor | None = self._store.tables["second_factors"].get(account_id)
        view = None
        if factor is not None and factor.confirmed_at is not None:
            view = SecondFactorView(since=factor.confirmed_at, recovery_codes_left=len(factor.recovery_digests))
        return replace(user_view(self._account(account_id)), second_factor=view)

    async def users(self, wanted: UserFilter, page: Page) -> Listing[UserView]:
        found = [
            account
            for account in self._accounts()
            if (wanted.search or "").casefold() in f"{account.username} {account.name}".casefold()
            and (wanted.role is None or any(grant.role is wanted.role for grant in account.grants))
            and wanted.is_active in {None, account.is_active}
        ]
        return Listing([user_view(account) for account in sorted(found, key=_id, reverse=True)][: page.limit])

    async def public_profile(self, account_id: AccountId) -> PublicProfile:
        account = self._account(account_id)
        if not account.is_active:
            raise UserNotFound
        return public_profile(account)

    async def named(self, search: str, *, viewer: AccountId) -> Sequence[PublicProfile]:
        found = [
            public_profile(account)
            for account in sorted(self._accounts(), key=_id)
            if account.is_active
            and account.id != viewer
            and not account.is_admin
            and search.casefold() in f"{account.username} {account.name}".casefold()
            and not self._is_blocked_between(account.id, viewer)
        ]
        return found[:NAMES_MAX]

    async def candidate(self, login: Login) -> Candidate | None:
        account = _by_login(self._accounts(), login)
        if account is None:
            return None
        return Candidate(
            account_id=account.id,
            password_hash=account.password_hash,
            epoch=account.epoch,
            is_active=account.is_active,
            is_admin="admin" in account.active_roles,
        )

    async def administrators(self) -> Sequence[AccountId]:
        return sorted(account.id for account in self._accounts() if account.is_admin)

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
        now = self._store.clock.now()
        found: list[SignIn] = [
            one
            for one in self._store.rows("sign_ins").values()
            if one.account_id == account_id and one.ended_at is None and one.expires_at > now
        ]
        views = [
            DeviceView(
                id=one.id,
                user_agent=one.user_agent,
                ip=one.ip,
                created_at=one.created_at,
                last_used_at=one.last_used_at,
            )
            for one in sorted(found, key=_id, reverse=True)
        ]
        return Listing(views[: page.limit])

    async def blocked(self, account_id: AccountId, page: Page) -> Listing[BlockView]:
        found = [one for one in self._blocks().values() if one.blocker_id == account_id]
        return Listing([self._block(one) for one in sorted(found, key=_id, reverse=True)][: page.limit])

    async def block(self, blocker: AccountId, blocked: AccountId) -> BlockView:
        found = self._blocks().get((blocker, blocked))
        if found is None:
            raise NotBlocked
        return self._block(found)

    def _is_blocked_between(self, one: AccountId, other: AccountId) -> bool:
        blocks = self._blocks()
        return (one, other) in blocks or (other, one) in blocks

    def _accounts(self) -> list[Account]:
        return list(self._store.rows("accounts").values())

    def _account(self, account_id: AccountId) -> Account:
        found: Account | None = self._store.rows("accounts").get(account_id)
        if found is None:
            raise UserNotFound
        return found

    def _blocks(self) -> Mapping[Any, Block]:
        return self._store.rows("blocks")

    def _block(self, block: Block) -> BlockView:
        user = public_profile(self._account(block.blocked_id))
        return BlockView(id=block.id, user=user, reason=block.reason, created_at=block.created_at)


def _id(row: Any) -> Any:
    return row.id
