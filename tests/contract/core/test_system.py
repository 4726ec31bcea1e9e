import pytest

from tests.contract.core.system import ClockContract, IdSourceContract, RandomnessContract
from tests.fakes.core.system import FixedClock, SeededRandomness, SequentialIds


class TestFixedClock(ClockContract):
    @pytest.fixture
    def clock(self) -> FixedClock:
        return FixedClock()


class TestSequentialIds(IdSourceContract):
    @pytest.fixture
    def ids(self) -> SequentialIds:
        return SequentialIds()


class TestSeededRandomness(RandomnessContract):
    @pytest.fixture
    def randomness(self) -> SeededRandomness:
        return SeededRandomness()
