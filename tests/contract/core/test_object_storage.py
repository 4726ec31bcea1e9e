import pytest

from tests.contract.core.object_storage import ObjectStorageContract
from tests.fakes.core.object_storage import InMemoryObjectStorage
from tests.fakes.core.system import FixedClock


class TestInMemoryObjectStorage(ObjectStorageContract):
    @pytest.fixture
    def storage(self) -> InMemoryObjectStorage:
        return InMemoryObjectStorage(FixedClock())
