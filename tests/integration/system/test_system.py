from datetime import UTC, datetime
from uuid import UUID

import pytest

from infrastructure.system.clock import SystemClock
from infrastructure.system.ids import UuidV7Source
from infrastructure.system.randomness import SystemRandomness
from tests.contract.core.system import ClockContract, IdSourceContract, RandomnessContract


class TestSystemClock(ClockContract):
    @pytest.fixture
    def clock(self) -> SystemClock:
        return SystemClock()


class TestUuidV7Source(IdSourceContract):
    @pytest.fixture
    def ids(self) -> UuidV7Source:
        return UuidV7Source()

    def test_an_id_is_a_standard_uuid_that_carries_the_time(self, ids: UuidV7Source) -> None:
        before = datetime.now(UTC).timestamp()
        made = ids.new()
        after = datetime.now(UTC).timestamp()
        assert type(made) is UUID
        assert int(before * 1000) <= made.int >> 80 <= int(after * 1000) + 1

    def test_two_sources_in_one_process_share_one_order(self) -> None:
        one, two = UuidV7Source(), UuidV7Source()
        made = [source.new() for _ in range(500) for source in (one, two)]
        assert made == sorted(set(made))


class TestSystemRandomness(RandomnessContract):
    @pytest.fixture
    def randomness(self) -> SystemRandomness:
        return SystemRandomness()
