"""The database in memory: what is committed, and units of work over it that behave as the real ones do.

An area adds its repositories as properties of `InMemoryCoreUnitOfWork` (a vertical in a subclass of it); each keeps its
rows in `unit_of_work.table(name)`, which hands out copies and writes them back at `commit`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, MutableMapping
from functools import cached_property
from types import TracebackType
from typing import Any, Self, TypeVar

from application.core.kernel.ports import AuditEntry, Clock, Delivery, IdSource
from domain.core.kernel.events import Event
from infrastructure.postgres.unit_of_work import DeliveredBefore
from tests.fakes.core.copies import copied
from tests.fakes.core.files import InMemoryFiles, InMemoryUploads
from tests.fakes.core.identity import (
    InMemoryAccounts,
    InMemoryBlocks,
    InMemoryCodes,
    InMemorySecondFactors,
    InMemorySignIns,
)
from tests.fakes.core.ledger import InMemoryEarningsHolds, InMemoryLedger
from tests.fakes.core.notifications import InMemoryMails, InMemoryNotices, InMemoryPreferences
from tests.fakes.core.payments import InMemoryCases, InMemoryGatewayEvents, InMemoryIntents, InMemoryRefunds
from tests.fakes.core.ratings import InMemoryRatings
from tests.fakes.core.reminders import InMemorySentReminders
from tests.fakes.core.reviews import InMemoryReviews
from tests.fakes.core.system import FixedClock, SequentialIds
from tests.fakes.core.withdrawals import InMemoryWithdrawals

Unit = TypeVar("Unit", bound="InMemoryCoreUnitOfWork")


class InMemoryStore:
    """What is committed. Tests read `rows(name)`, `events`, `audit_entries`, `deliveries_done` and `woken`."""

    def __init__(self, *, clock: Clock | None = None, ids: IdSource | None = None) -> None:
        self.clock: Clock = clock or FixedClock()
        self.ids: IdSource = ids or SequentialIds(start=1 << 40)  # far from the ids that a test gives out itself
        self.tables: defaultdict[str, dict[Hashable, Any]] = defaultdict(dict)
        self.events: list[Event] = []
        self.audit_entries: list[AuditEntry] = []
        self.deliveries_done: list[Delivery] = []
        self.woken: list[str] = []
        self.commits = 0
        self.lock = asyncio.Lock()
        """Held by the one running unit of work: as strict as if every row were locked."""
        self.held_by: asyncio.Task[Any] | None = None

    def rows(self, name: str) -> dict[Hashable, Any]:
        """Return copies of the committed rows of a table."""
        return copied(self.tables[name])

    def unit_of_work(self) -> "InMemoryCoreUnitOfWork":
        """Begin a unit of work of the core."""
        return InMemoryCoreUnitOfWork(self)

    def units(self, kind: type[Unit]) -> Callable[[], Unit]:
        """Return the factory of another kind of unit of work."""
        return lambda: kind(self)


class InMemoryTable(MutableMapping[Hashable, Any]):
    """The rows of one table as one unit of work sees them: copies, which only `save` writes back."""

    def __init__(self, committed: dict[Hashable, Any]) -> None:
        self._committed = committed
        self._loaded: dict[Hashable, Any] = {}
        self._deleted: set[Hashable] = set()

    def __getitem__(self, key: Hashable) -> Any:
        if key in self._deleted:
            raise KeyError(key)
        if key not in self._loaded:
            self._loaded[key] = copied(self._committed[key])
        return self._loaded[key]

    def __setitem__(self, key: Hashable, row: Any) -> None:
        self._deleted.discard(key)
        self._loaded[key] = row

    def __delitem__(self, key: Hashable) -> None:
        self[key]
        self._loaded.pop(key)
        self._deleted.add(key)

    def __iter__(self) -> Iterator[Hashable]:
        yield from [key for key in {**self._committed, **self._loaded} if key not in self._deleted]

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def save(self) -> None:
        """Write what was loaded, put or deleted."""
        self._committed.update(copied(self._loaded))
        for key in self._deleted:
            self._committed.pop(key, None)


class InMemoryCoreUnitOfWork:
    """One transaction. Units run one after the other; leaving without `commit` forgets everything."""

    def __init__(self, store: InMemoryStore) -> None:
        self.store = store
        self.clock = store.clock
        self._tables: dict[str, InMemoryTable] = {}
        self._at_commit: list[Callable[[], None]] = []
        self._events: list[Event] = []
        self._audit: list[AuditEntry] = []
        self._deliveries: list[Delivery] = []
        self._wakes: list[str] = []
        self._is_open = False

    async def __aenter__(self) -> Self:
        here = asyncio.current_task()
        assert self.store.held_by is not here, "a unit of work inside another one would wait for itself for ever"
        await self.store.lock.acquire()
        self.store.held_by = here
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        self.store.held_by = None
        self.store.lock.release()

    def table(self, name: str) -> InMemoryTable:
        """Return a table as this unit sees it."""
        assert self._is_open, "a unit of work is used inside its block, before its commit"
        if name not in self._tables:
            self._tables[name] = InMemoryTable(self.store.tables[name])
        return self._tables[name]

    def at_commit(self, check: Callable[[], None]) -> None:
        """Have something done just before the commit: refuse what a constraint would, or write what is staged."""
        self._at_commit.append(check)

    def record(self, *events: Event) -> None:
        self._events += events

    def audit(self, entry: AuditEntry) -> None:
        self._audit.append(entry)

    def wake(self, *topics: str) -> None:
        self._wakes += topics

    def done(self, delivery: Delivery) -> None:
        self._deliveries.append(delivery)

    async def flush(self) -> None:
        for check in self._at_commit:
            check()

    async def commit(self) -> None:
        assert self._is_open, "one commit a unit of work"
        finished = {delivery.id for delivery in self.store.deliveries_done}
        if any(delivery.id in finished for delivery in self._deliveries):
            raise DeliveredBefore
        for check in self._at_commit:
            check()
        for table in self._tables.values():
            table.save()
        self.store.events += self._events
        self.store.audit_entries += self._audit
        self.store.deliveries_done += self._deliveries
        self.store.woken += self._wakes
        self.store.commits += 1
        self._is_open = False

    @cached_property
    def accounts(self) -> InMemoryAccounts:
        return InMemoryAccounts(self)

    @cached_property
    def sessions(self) -> InMemorySignIns:
        return InMemorySignIns(self)

    @cached_property
    def codes(self) -> InMemoryCodes:
        return InMemoryCodes(self)

    @cached_property
    def second_factors(self) -> InMemorySecondFactors:
        return InMemorySecondFactors(self)

    @cached_property
    def blocks(self) -> InMemoryBlocks:
        return InMemoryBlocks(self)

    @cached_property
    def ledger(self) -> InMemoryLedger:
        return InMemoryLedger(self)

    @cached_property
    def earnings_holds(self) -> InMemoryEarningsHolds:
        return InMemoryEarningsHolds(self)

    @cached_property
    def withdrawals(self) -> InMemoryWithdrawals:
        return InMemoryWithdrawals(self)

    @cached_property
    def files(self) -> InMemoryFiles:
        return InMemoryFiles(self)

    @cached_property
    def uploads(self) -> InMemoryUploads:
        return InMemoryUploads(self)

    @cached_property
    def mails(self) -> InMemoryMails:
        return InMemoryMails(self)

    @cached_property
    def notices(self) -> InMemoryNotices:
        return InMemoryNotices(self)

    @cached_property
    def notice_preferences(self) -> InMemoryPreferences:
        return InMemoryPreferences(self)

    @cached_property
    def intents(self) -> InMemoryIntents:
        return InMemoryIntents(self)

    @cached_property
    def gateway_events(self) -> InMemoryGatewayEvents:
        return InMemoryGatewayEvents(self)

    @cached_property
    def cases(self) -> InMemoryCases:
        return InMemoryCases(self)

    @cached_property
    def reviews(self) -> InMemoryReviews:
        return InMemoryReviews(self)

    @cached_property
    def refunds(self) -> InMemoryRefunds:
        return InMemoryRefunds(self)

    @cached_property
    def ratings(self) -> InMemoryRatings:
        return InMemoryRatings(self)

    @cached_property
    def reminders(self) -> InMemorySentReminders:
        return InMemorySentReminders(self)
