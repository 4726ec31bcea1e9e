import pytest

from domain.core.kernel.ids import AccountId
from tests.builders.assignments import NAMES
from tests.contract.assignments.queries import AssignmentsQueriesContract
from tests.contract.assignments.repositories import (
    MarketStore,
    ReleaseRepositoryContract,
    SubmissionRepositoryContract,
    SubscriptionRepositoryContract,
    TaskRepositoryContract,
    WriterRepositoryContract,
)
from tests.fakes.assignments.store import InMemoryAssignmentsQueries, InMemoryAssignmentsUnitOfWork
from tests.fakes.core.store import InMemoryStore


class InMemoryMarket:
    @pytest.fixture
    def market(self) -> MarketStore:
        store = InMemoryStore()
        for account, name in NAMES.items():
            store.tables["people"][account] = name

        async def block(blocker: AccountId, blocked: AccountId) -> None:
            store.tables["blocks"][blocker, blocked] = True

        async def shut(account: AccountId) -> None:
            store.tables["suspended"][account] = True

        async def reopen(account: AccountId) -> None:
            store.tables["suspended"].pop(account, None)

        return MarketStore(
            units=store.units(InMemoryAssignmentsUnitOfWork),
            queries=InMemoryAssignmentsQueries(store),
            block=block,
            shut=shut,
            open=reopen,
        )


class TestInMemoryTasks(InMemoryMarket, TaskRepositoryContract): ...


class TestInMemoryWriters(InMemoryMarket, WriterRepositoryContract): ...


class TestInMemorySubmissions(InMemoryMarket, SubmissionRepositoryContract): ...


class TestInMemorySubscriptions(InMemoryMarket, SubscriptionRepositoryContract): ...


class TestInMemoryReleases(InMemoryMarket, ReleaseRepositoryContract): ...


class TestInMemoryAssignmentsQueries(InMemoryMarket, AssignmentsQueriesContract): ...
