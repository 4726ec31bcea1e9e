"""The clock of a request: what runs it out, what stops it, and what its client is told."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from application.core.kernel.receipts import StoredReply
from application.core.kernel.request_context import RequestContext, current_request, enter_request
from domain.core.kernel.errors import Unavailable
from interface.http.edge.deadline import Deadline
from interface.http.edge.idempotency import Idempotency
from interface.http.edge.sending import send_body, send_refusal
from interface.http.errors import PROBLEM_JSON
from tests.fakes.core.receipts import InMemoryReceipts
from tests.fakes.core.system import FixedClock, SequentialIds

SHORT_S = 0.05


@pytest.fixture(autouse=True)
def request_of_a_test() -> None:
    enter_request(RequestContext(trace_id="trace-of-a-test"))


async def answer(send: Any, status: int = 200, body: bytes = b"{}") -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


def client_of(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://market")


async def never(*_: Any) -> None:
    await asyncio.Event().wait()


async def test_a_request_that_takes_us_too_long_is_answered_503_with_when_to_come_again() -> None:
    async with client_of(Deadline(never, seconds=SHORT_S)) as client:
        reply = await client.get("/")
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "2")
    assert reply.json()["code"] == "kernel.unavailable"


async def test_a_client_may_take_his_time_to_send_and_to_read() -> None:
    async def app(_: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            continue
        await answer(send)

    statuses: list[int] = []

    async def receive_slowly(left: list[bytes]) -> Any:
        await asyncio.sleep(SHORT_S * 1.5)
        return {"type": "http.request", "body": left.pop(), "more_body": bool(left)}

    async def send_slowly(message: Any) -> None:
        await asyncio.sleep(SHORT_S * 1.5)
        statuses.append(message.get("status", 0))

    pieces = [b"a", b"b", b"c"]
    await Deadline(app, seconds=SHORT_S)({"type": "http"}, lambda: receive_slowly(pieces), send_slowly)
    assert statuses == [200, 0]


async def test_a_reply_that_has_begun_is_not_cut() -> None:
    async def app(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(SHORT_S * 2)
        await send({"type": "http.response.body", "body": b"all of it"})

    async with client_of(Deadline(app, seconds=SHORT_S)) as client:
        assert (await client.get("/")).text == "all of it"


async def test_a_timeout_of_the_application_s_own_is_its_own() -> None:
    async def app(*_: Any) -> None:
        raise TimeoutError

    async with client_of(Deadline(app)) as client:
        with pytest.raises(TimeoutError):
            await client.get("/")


class ReceiptsAway(InMemoryReceipts):
    """Receipts that cannot be closed some times."""

    away = 0

    async def close(self, receipt_id: UUID, reply: StoredReply | None, *, is_refusal: bool) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable
        await super().close(receipt_id, reply, is_refusal=is_refusal)


class Keyed:
    """The edge's handling of keys in front of what a test does, with receipts in memory."""

    def __init__(self, app: Any) -> None:
        self.receipts = ReceiptsAway(FixedClock(), SequentialIds())
        keyed = Idempotency(
            app,
            receipts=self.receipts,
            authenticate=never,  # type: ignore[arg-type]  # nobody signs in here
            sealed=bytes,
            closed_again_after_s=(0.0, 0.0),
        )
        self.client = client_of(Deadline(keyed, seconds=SHORT_S))
        self.key = "k"

    async def post(self) -> tuple[int, str]:
        reply = await self.client.post("/", content=b"{}", headers={"idempotency-key": self.key})
        return reply.status_code, reply.json().get("code", "")

    def mark_effect(self) -> None:
        key = current_request().key
        assert key is not None
        assert self.receipts.mark_effect(key.receipt_id)


async def test_a_key_of_a_request_that_was_given_up_is_free_again_where_nothing_was_done() -> None:
    asked = 0

    async def app(_: Any, __: Any, send: Any) -> None:
        nonlocal asked
        asked += 1
        await (never() if asked == 1 else answer(send))

    keyed = Keyed(app)
    assert await keyed.post() == (503, "kernel.unavailable")
    assert await keyed.post() == (200, "")
    assert asked == 2


async def test_a_repeat_is_told_that_the_reply_is_lost_where_something_was_done() -> None:
    async def app(*_: Any) -> None:
        keyed.mark_effect()
        await never()

    keyed = Keyed(app)
    assert await keyed.post() == (503, "kernel.unavailable")
    assert await keyed.post() == (409, "kernel.reply_lost")


async def test_what_was_done_before_the_database_went_away_is_not_answered_as_undone_for_a_day() -> None:
    async def app(_: Any, __: Any, send: Any) -> None:
        keyed.mark_effect()
        await send_refusal(send, Unavailable())  # as the driver says it when the line is cut during COMMIT

    keyed = Keyed(app)
    assert await keyed.post() == (503, "kernel.unavailable")
    assert await keyed.post() == (409, "kernel.reply_lost")


async def test_a_mistake_of_ours_is_no_answer_that_is_kept() -> None:
    """Else whoever repeats is told of it for a day, also where all was done and only the reply went wrong."""
    is_marking, asked = True, 0

    async def app(_: Any, __: Any, send: Any) -> None:
        nonlocal asked
        asked += 1
        if is_marking:
            keyed.mark_effect()
        await send_body(send, 500, b'{"code":"kernel.internal"}', {"content-type": PROBLEM_JSON})

    keyed = Keyed(app)
    assert await keyed.post() == (500, "kernel.internal")
    assert await keyed.post() == (409, "kernel.reply_lost")
    is_marking, keyed.key = False, "another"
    assert [await keyed.post() for _ in range(2)] == [(500, "kernel.internal")] * 2
    assert asked == 3, "where nothing was done it is tried again"


async def test_a_key_is_free_soon_after_the_database_is_back() -> None:
    async def app(_: Any, __: Any, send: Any) -> None:
        await (send_refusal(send, Unavailable()) if keyed.receipts.away else answer(send))

    keyed = Keyed(app)
    keyed.receipts.away = 2
    assert await keyed.post() == (503, "kernel.unavailable")
    for _ in range(20):
        await asyncio.sleep(0)
    assert keyed.receipts.away == 0
    assert await keyed.post() == (200, "")
