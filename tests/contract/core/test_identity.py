import pytest

from tests.contract.core.identity_repositories import (
    AccountRepositoryContract,
    AttemptCounterContract,
    BlockRepositoryContract,
    CodeRepositoryContract,
    IdentityQueriesContract,
    RevocationBoardContract,
    SecondFactorRepositoryContract,
    SignInRepositoryContract,
    TicketStoreContract,
    Units,
)
from tests.fakes.core.identity import (
    InMemoryAttemptCounter,
    InMemoryIdentityQueries,
    InMemoryRevocations,
    InMemoryTickets,
)
from tests.fakes.core.store import InMemoryStore


@pytest.fixture
def store() -> InMemoryStore:
    return InMemoryStore()


@pytest.fixture
def unit_of_work(store: InMemoryStore) -> Units:
    return store.unit_of_work


class TestInMemoryAccounts(AccountRepositoryContract): ...


class TestInMemorySignIns(SignInRepositoryContract): ...


class TestInMemoryCodes(CodeRepositoryContract): ...


class TestInMemorySecondFactors(SecondFactorRepositoryContract): ...


class TestInMemoryBlocks(BlockRepositoryContract): ...


class TestInMemoryIdentityQueries(IdentityQueriesContract):
    @pytest.fixture
    def queries(self, store: InMemoryStore) -> InMemoryIdentityQueries:
        return InMemoryIdentityQueries(store)


class TestInMemoryAttemptCounter(AttemptCounterContract):
    @pytest.fixture
    def counter(self) -> InMemoryAttemptCounter:
        return InMemoryAttemptCounter()


class TestInMemoryTickets(TicketStoreContract):
    @pytest.fixture
    def tickets(self) -> InMemoryTickets:
        return InMemoryTickets()


class TestInMemoryRevocations(RevocationBoardContract):
    @pytest.fixture
    def board(self) -> InMemoryRevocations:
        return InMemoryRevocations()
