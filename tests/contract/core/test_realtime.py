"""Wake-ups inside one process."""

import pytest

from infrastructure.local.realtime import InMemoryRealtime
from tests.contract.core.realtime import Heard, RealtimeContract


@pytest.fixture
def here() -> InMemoryRealtime:
    return InMemoryRealtime()


@pytest.fixture
def there(here: InMemoryRealtime) -> InMemoryRealtime:
    return here


class TestInMemoryRealtime(RealtimeContract):
    pass


def test_everybody_can_be_woken() -> None:
    realtime = InMemoryRealtime()
    heard = [Heard(realtime, topic) for topic in ("a", "b")]
    realtime.wake_everybody()
    assert [one.times for one in heard] == [1, 1]
