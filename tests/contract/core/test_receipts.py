from uuid import UUID

import pytest

from tests.contract.core.receipts import MarkEffect, ReceiptsContract
from tests.fakes.core.receipts import InMemoryReceipts
from tests.fakes.core.system import FixedClock, SequentialIds


class TestInMemoryReceipts(ReceiptsContract):
    @pytest.fixture
    def clock(self) -> FixedClock:
        return FixedClock()

    @pytest.fixture
    def receipts(self, clock: FixedClock) -> InMemoryReceipts:
        return InMemoryReceipts(clock, SequentialIds())

    @pytest.fixture
    def mark_effect(self, receipts: InMemoryReceipts) -> MarkEffect:
        async def mark(receipt_id: UUID) -> bool:
            return receipts.mark_effect(receipt_id)

        return mark
