"""What operating the market needs from outside: the rows of jobs and of business settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, Self
from uuid import UUID

from application.core.kernel.ports import DeadMessage, UnitOfWork
from domain.core.kernel.ids import AccountId
from domain.core.operations.schedule import JobNotFound, Schedule


class JobRequests(Protocol):
    """Runs that a person asks for."""

    def request(self, run_id: UUID, job: str, *, due_at: datetime, by: AccountId | None) -> None:
        """Write down a run that is due at once; nobody asks for it by name from the command line."""
        ...


class PolicyRows(Protocol):
    """The values of settings; only added to, so that the history of every setting stays."""

    def set(self, name: str, value: str, *, valid_from: datetime, reason: str, set_by: AccountId) -> None:
        """Put a value in force from an instant on."""
        ...


class DeadLetters(Protocol):
    """Events that were given up, inside a transaction that does something about one."""

    async def replay(self, message_id: UUID, *, now: datetime) -> DeadMessage | None:
        """Make one due again and return what it was; None where there is none that is dead."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageView:
    """A message of the outbox: what is to be told to whom, and how far that is."""

    id: UUID
    event_name: str
    subscriber: str
    occurred_at: datetime
    due_at: datetime
    attempts: int
    last_error: str | None
    done_at: datetime | None
    dead_at: datetime | None
    trace_id: str
    payload: Mapping[str, object]


class OperationsUnitOfWork(UnitOfWork, Protocol):
    @property
    def dead_letters(self) -> DeadLetters: ...

    @property
    def job_requests(self) -> JobRequests: ...

    @property
    def policy_rows(self) -> PolicyRows: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """How a job fares. `failures` counts the tries that failed since its last success."""

    last_started_at: datetime | None = None
    last_finished_at: datetime | None = None
    last_handled: int | None = None
    last_error: str | None = None
    failures: int = 0
    waiting_since: datetime | None = None
    """When the oldest run that is not finished was due."""
    last_succeeded_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRow:
    """A value of a setting and since when, or from when on, it counts."""

    name: str
    value: str
    valid_from: datetime
    reason: str
    set_by: AccountId | None


class OperationsQueries(Protocol):
    """Read models. Promises: at most 500 rows each; the newest row of a setting first."""

    async def job_states(self) -> Mapping[str, JobState]:
        """Return the state of every job that ever ran, by name."""
        ...

    async def dead_letters(self) -> Sequence[DeadMessage]:
        """Return the events that were given up, the longest dead first."""
        ...

    async def policy_rows(self) -> list[PolicyRow]:
        """Return the rows in force and those that will be."""
        ...


class Timetable:
    """The jobs there are; filled once when all areas are built."""

    def __init__(self) -> None:
        self._schedules: dict[str, Schedule] = {}

    def fill(self, schedules: Mapping[str, Schedule]) -> Self:
        """Take the schedules of all areas, by the name of the job."""
        self._schedules.update(schedules)
        return self

    def all(self) -> Mapping[str, Schedule]:
        """Return every schedule in the order of the names."""
        return dict(sorted(self._schedules.items()))

    def require(self, name: str) -> None:
        """Let a known name pass. Raises JobNotFound."""
        if name not in self._schedules:
            raise JobNotFound


class Housekeeping(Protocol):
    """Deletes what the kernel's tables keep for a while only. Promises: at most `rows_max` rows a call."""

    async def delete_receipts(self, *, before: datetime, rows_max: int) -> int:
        """Delete idempotency receipts made before an instant, and return how many."""
        ...

    async def delete_messages(self, *, before: datetime, rows_max: int) -> int:
        """Delete outbox messages delivered before an instant, and return how many."""
        ...

    async def delete_runs(self, *, before: datetime, rows_max: int) -> int:
        """Delete job runs that ended before an instant, and return how many."""
        ...
