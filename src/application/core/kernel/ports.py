"""What every use case may need from outside: time, ids, chance, a transaction, and the records beside each change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar
from uuid import UUID

from domain.core.kernel.events import Event
from domain.core.kernel.policies import Policy

PolicyValue = TypeVar("PolicyValue", int, str)


class Clock(Protocol):
    """The only source of now. Promises: UTC, timezone-aware, never read inside the domain."""

    def now(self) -> datetime: ...


class IdSource(Protocol):
    """Makes ids. Promises: UUIDv7, so that ids sort by the time they were made."""

    def new(self) -> UUID: ...


class Randomness(Protocol):
    """Makes secrets and codes. Promises: unpredictable in production, repeatable in tests."""

    def digits(self, count: int) -> str:
        """Return a string of decimal digits."""
        ...

    def letters(self, count: int, alphabet: str) -> str:
        """Return a string over `alphabet`, each place drawn evenly."""
        ...


class PhoneNumbers(Protocol):
    """Reads phone numbers. Promises: one number is always the same text, in E.164; without a country it is Kenyan."""

    def parse(self, text: str) -> str:
        """Return the number, such as `+254712345678`. Raises Invalid for what is no number."""
        ...


class Policies(Protocol):
    """The business settings in force. Promises: a change is seen by every process within 5 s; reading never waits."""

    def value(self, policy: Policy[PolicyValue]) -> PolicyValue:
        """Return the value in force now, the default where no row sets it."""
        ...

    def default_of(self, policy: Policy[PolicyValue]) -> PolicyValue:
        """Return the value where no row sets it: the server's setting, or else the policy's own default."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One decision for the audit trail; who, when and from where come from the request context.

    `before` and `after` hold plain JSON values and never a secret.
    """

    action: str
    target: str
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one subscriber; marking it done commits with the subscriber's effect."""

    id: UUID
    event_id: UUID
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadMessage:
    """An event that its subscriber never took: what was to be told to whom, and what went wrong last."""

    id: UUID
    event_name: str
    subscriber: str
    dead_at: datetime
    last_error: str | None


class UnitOfWork(Protocol):
    """One transaction. Promises (the contracts of the repositories, and tests/faults/test_outbox.py):

    - leaving the block without `commit` undoes everything, and so does an exception;
    - events, audit entries and deliveries commit with the change they describe, or not at all;
    - an entity loaded through a repository of the unit is saved by `commit`, and by nothing else;
    - topics are woken after the commit, and never for what was undone.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def record(self, *events: Event) -> None:
        """Put events in the outbox of this transaction."""
        ...

    def audit(self, entry: AuditEntry) -> None:
        """Put an entry in the audit trail of this transaction."""
        ...

    def done(self, delivery: Delivery) -> None:
        """Mark a delivery as done in this transaction, so that its effect happens once."""
        ...

    def wake(self, *topics: str) -> None:
        """Wake whoever follows these topics (see `Realtime`), once this transaction is committed."""
        ...

    async def flush(self) -> None:
        """Write what is pending without committing, where a later read or write of the unit depends on it."""
        ...

    async def commit(self) -> None:
        """Write what is pending and commit. Raises what the named constraints stand for."""
        ...


class EventHandler(Protocol):
    """Reacts to one kind of event. Promises: its effect and `uow.done(delivery)` are one transaction."""

    async def __call__(self, event: Event, delivery: Delivery) -> None: ...


@dataclass(frozen=True, slots=True)
class Page:
    """Which slice of a list is wanted: at most `limit` rows after the opaque `cursor` of an earlier page."""

    limit: int = 20
    cursor: str | None = None


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item]):
    """A page of read models and the opaque cursors of its neighbours; None where there is none."""

    results: Sequence[Item]
    next: str | None = None
    previous: str | None = None
