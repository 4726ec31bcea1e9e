from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from application.core.kernel.receipts import KeyTakenOver
from application.core.kernel.request_context import RequestContext, RequestKey, request_context
from infrastructure.postgres.core.receipts import PostgresReceipts
from infrastructure.postgres.database import Database
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork
from interface.bootstrap.area import SubscriptionList
from tests.contract.core.receipts import MarkEffect, ReceiptsContract
from tests.fakes.core.system import FixedClock, SequentialIds


class TestPostgresReceipts(ReceiptsContract):
    @pytest.fixture
    async def database(self, database_url: str) -> AsyncIterator[Database]:
        database = Database(database_url)
        yield database
        await database.close()

    @pytest.fixture
    def clock(self) -> FixedClock:
        return FixedClock()

    @pytest.fixture
    def receipts(self, database: Database, clock: FixedClock) -> PostgresReceipts:
        return PostgresReceipts(database, clock, SequentialIds())

    @pytest.fixture
    def mark_effect(self, database: Database, clock: FixedClock) -> MarkEffect:
        async def mark(receipt_id: UUID) -> bool:
            context = RequestContext(trace_id="t", key=RequestKey(receipt_id))
            unit = PostgresUnitOfWork(
                database, clock=clock, ids=SequentialIds(1 << 50), subscriptions=SubscriptionList()
            )
            with request_context(context):
                try:
                    async with unit as uow:
                        await uow.commit()
                except KeyTakenOver:
                    return False
            return True

        return mark
