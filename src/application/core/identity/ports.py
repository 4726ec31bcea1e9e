"""What identity needs from outside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal, Protocol, TypeVar
from uuid import UUID

from application.core.identity.authenticate import Revocations
from application.core.kernel.ports import UnitOfWork
from domain.core.identity.account import Account
from domain.core.identity.blocks import Block
from domain.core.identity.codes import CodePurpose, OneTimeCode
from domain.core.identity.contacts import ContactKind
from domain.core.identity.roles import Role
from domain.core.identity.second_factor import SecondFactor
from domain.core.identity.sign_ins import EndReason, SignIn
from domain.core.kernel.errors import TooOften
from domain.core.kernel.ids import AccountId


class TooManyAttempts(TooOften):
    """Too many attempts; wait and try again."""

    code = "identity.too_many_attempts"


@dataclass(frozen=True, slots=True)
class Login:
    """What a person types to say who he is."""

    kind: Literal["username", "email", "phone"]
    value: str


class AccountRepository(Protocol):
    """Accounts. Promises (tests/contract/core/identity_repositories.py):

    - `get` locks the account until the unit of work ends, unless `lock` is False, and raises UserNotFound;
    - an address means its verified holder, else the oldest claim (identity.address_resolves_to_one);
    - a second account with the same user name is refused with UsernameTaken at commit, a second verified holder of an
      address with AddressVerifiedElsewhere;
    - a commit that raises an account's epoch also writes down that its older access tokens are revoked.
    """

    async def get(self, account_id: AccountId, *, lock: bool = True) -> Account:
        """Return an account. Raises UserNotFound."""
        ...

    async def find_by_login(self, login: Login) -> Account | None:
        """Return whom a login means, not locked."""
        ...

    async def administrators(self) -> Sequence[AccountId]:
        """Return who can act as an administrator now; whoever else asks in a unit of work waits for this one to end.

        To be called before any account is locked.
        """
        ...

    async def hold_address(self, kind: ContactKind, address: str) -> None:
        """Have everybody else who would verify this address wait. To be called before any account is locked."""
        ...

    async def is_verified_elsewhere(self, kind: ContactKind, address: str, account_id: AccountId) -> bool:
        """Tell whether another account holds the address."""
        ...

    async def drop_other_claims(self, kind: ContactKind, address: str, keeper: AccountId) -> Sequence[AccountId]:
        """Take the address away from all other accounts that only claim it, and return whose claim was dropped."""
        ...

    def add(self, account: Account) -> None: ...


class SignInRepository(Protocol):
    """Sign-ins. Promises: `get` locks, unless told otherwise; a commit that ends one also writes down that its access
    tokens are revoked.
    """

    async def get(self, sign_in_id: UUID, *, lock: bool = True) -> SignIn | None: ...

    def add(self, sign_in: SignIn) -> None: ...

    def end_all(self, account_id: AccountId, reason: EndReason, *, now: datetime, keep: UUID | None = None) -> None:
        """End every sign-in of an account at commit. Its access tokens end with the account's epoch, not by this."""
        ...

    async def end_others(
        self, account_id: AccountId, reason: EndReason, *, now: datetime, keep: UUID
    ) -> Sequence[UUID]:
        """End every sign-in of an account but one, with its access tokens, and return which."""
        ...


class CodeRepository(Protocol):
    """One-time codes. Promises: `get` and `newest` lock the code; a new code voids the open one of the same account,
    purpose and address (identity.code_is_bound).
    """

    async def get(self, code_id: UUID, *, lock: bool = True) -> OneTimeCode | None: ...

    async def newest(
        self, account_id: AccountId | None, purpose: CodePurpose, address: str, *, lock: bool = True
    ) -> OneTimeCode | None:
        """Return the last code made for this, whatever became of it; None is whoever asked for what nobody has."""
        ...

    def add(self, code: OneTimeCode) -> None: ...


class SecondFactorRepository(Protocol):
    """Second factors. Promises: `get` locks, unless told otherwise, and at most one belongs to an account.

    Where several are locked: the account first, then its second factor, then its sign-ins.
    """

    async def get(self, account_id: AccountId, *, lock: bool = True) -> SecondFactor | None: ...

    async def sealed_otherwise(self, mark: bytes, rows_max: int) -> Sequence[SecondFactor]:
        """Return and lock some whose sealed secret does not begin with the mark; those in use are left out."""
        ...

    def add(self, factor: SecondFactor) -> None: ...

    def remove(self, factor: SecondFactor) -> None: ...


class BlockRepository(Protocol):
    """Who wants no dealings with whom. Promises: at most one block from one person to another."""

    async def is_blocked_between(self, one: AccountId, other: AccountId) -> bool:
        """Tell whether either has blocked the other."""
        ...

    async def find(self, blocker: AccountId, blocked: AccountId) -> Block | None: ...

    async def add(self, block: Block) -> Block:
        """Store a block, or return the one that is there already."""
        ...

    def remove(self, block: Block) -> None: ...


class IdentityUnitOfWork(UnitOfWork, Protocol):
    """A unit of work that knows people."""

    @property
    def accounts(self) -> AccountRepository: ...

    @property
    def sessions(self) -> SignInRepository: ...

    @property
    def codes(self) -> CodeRepository: ...

    @property
    def second_factors(self) -> SecondFactorRepository: ...

    @property
    def blocks(self) -> BlockRepository: ...


Unit = TypeVar("Unit", bound=IdentityUnitOfWork)
Unit_contra = TypeVar("Unit_contra", bound=IdentityUnitOfWork, contravariant=True)


class RegistrationStep(Protocol[Unit_contra]):
    """What another module does when somebody registers, in the same transaction."""

    async def __call__(self, uow: Unit_contra, account: Account) -> None: ...


class ProfileKind(StrEnum):
    """The replies about a person that other modules add to."""

    ME = "me"
    """GET /api/auth/me, beside `user`."""
    MEMBER = "member"
    """/api/users/me, among the fields."""
    PROFILE = "profile"
    """/api/users/profile, among the fields."""
    PUBLIC = "public"
    """What others see."""


class ProfilePart(Protocol):
    """What another module adds to replies about people. Promises: one query for all of them; no contacts in PUBLIC.

    `people` names each with the roles that the reply shows.
    """

    async def __call__(
        self, kind: ProfileKind, people: Mapping[AccountId, frozenset[Role]]
    ) -> Mapping[AccountId, Mapping[str, object]]: ...


class ProfileEdit(Protocol[Unit_contra]):
    """What another module stores when somebody edits his profile, in the same transaction; it picks its own fields."""

    async def __call__(self, uow: Unit_contra, account: Account, changes: Mapping[str, object]) -> None: ...


class AttemptCounter(Protocol):
    """Counts attempts in a window, one count for all processes. Promises: of any number that `take` at the same time,
    no more than the limit pass; a window starts with its first attempt.
    """

    async def take(self, key: bytes, *, limit: int, window: timedelta, now: datetime) -> None:
        """Count an attempt. Raises TooManyAttempts."""
        ...

    async def check(self, key: bytes, *, limit: int, now: datetime) -> None:
        """Count nothing. Raises TooManyAttempts."""
        ...

    async def count(self, key: bytes, *, window: timedelta, now: datetime) -> None:
        """Count what has happened, without a limit."""
        ...

    async def give_back(self, key: bytes, *, now: datetime) -> None:
        """Uncount an attempt that was none."""
        ...


class RevocationBoard(Revocations, Protocol):
    """What was revoked lately, and where this process learns at once what it revoked itself; others follow the tables.

    Promises: what is told here is covered from that moment on.
    """

    def family_ended(self, family_id: UUID) -> None: ...

    def epochs_ended(self, account_id: AccountId, *, before: int) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Who opens a socket, for 30 s and one use."""

    digest: bytes
    account_id: AccountId
    family_id: UUID
    expires_at: datetime


class TicketStore(Protocol):
    """Tickets for sockets. Promises: of any number that `take` one at the same time, one gets it."""

    async def put(self, ticket: Ticket) -> None: ...

    async def take(self, digest: bytes, *, now: datetime) -> Ticket | None: ...
