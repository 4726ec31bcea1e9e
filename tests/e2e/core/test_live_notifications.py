"""`/ws/notifications`: a person's notices on a socket, as they are written."""

from collections.abc import AsyncIterator

import pytest

from domain.core.notifications.notice import Category
from tests.e2e.core.sockets import Socketed, socketed, tell
from tests.e2e.market import Market


@pytest.fixture
async def server(market: Market) -> AsyncIterator[Socketed]:
    async with socketed(market) as opened:
        yield opened


async def test_a_notice_arrives_as_the_list_shows_it(server: Socketed) -> None:
    person = await server.market.register("pupil", "student")
    async with server.connect(person=person) as client:
        assert await client.frame() == {"type": "connection_established", "seq": 0}
        await tell(
            server.market, person.id, 1, category=Category.PAYMENT, metadata={"event": "payment_success", "amount": "1"}
        )
        frame = await client.frame()
        [listed] = (await server.market.get(person, "/api/notifications")).json()["results"]
        assert frame == {
            "type": "payment_notification",
            "event": "payment_success",
            "seq": 1,
            "notification": listed,
        }
        assert (listed["seq"], listed["title"]) == (1, "number 1")
        assert await client.nothing_more()
