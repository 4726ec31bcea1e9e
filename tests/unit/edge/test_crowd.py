"""How many requests are worked on at once, who counts, and what one too many is told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from application.core.kernel.request_context import RequestContext, enter_request
from interface.http.edge.crowd import Crowd


@pytest.fixture(autouse=True)
def request_of_a_test() -> None:
    enter_request(RequestContext(trace_id="trace-of-a-test"))


class Busy:
    """An application that works on a request until it is let go."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.crowd = Crowd(self, at_once_max=2)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.crowd), base_url="http://market")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            continue
        await self.let_go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def begin(self, count: int, content: Any = b"") -> "list[asyncio.Task[httpx.Response]]":
        """Send requests, and return once they are worked on."""
        begun = [asyncio.create_task(self.http.post("/api/wallet/topup", content=content)) for _ in range(count)]
        for _ in range(20):
            await asyncio.sleep(0)
        return begun


@pytest.fixture
async def busy() -> AsyncIterator[Busy]:
    made = Busy()
    yield made
    assert made.crowd.worked_on == 0


async def test_one_too_many_is_refused_at_once_and_told_when_to_come_again(busy: Busy) -> None:
    begun = await busy.begin(2)
    assert busy.crowd.worked_on == 2
    refused = await busy.http.get("/api/wallet")
    assert (refused.status_code, refused.json()["code"]) == (503, "kernel.unavailable")
    assert refused.headers["retry-after"] == "1"
    busy.let_go.set()
    assert [reply.status_code for reply in await asyncio.gather(*begun)] == [200, 200]
    assert (await busy.http.get("/api/wallet")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health/live"),
        ("HEAD", "/health/ready"),
        ("GET", "/metrics"),
        ("POST", "/api/payments/callback"),
        ("POST", "/api/payments/lipana/callback/"),
        ("POST", "/api/payments/stripe/callback"),
        ("POST", "/api/payments/daraja/stk/token"),
    ],
)
async def test_providers_and_watchers_are_always_let_in(busy: Busy, method: str, path: str) -> None:
    begun = await busy.begin(2)
    let_in = asyncio.create_task(busy.http.request(method, path))
    busy.let_go.set()
    assert (await let_in).status_code == 200
    await asyncio.gather(*begun)


@pytest.mark.parametrize(
    "path",
    ["/api/payments/lipana/callbacks", "/x/health/live", "/api/payments/pay", "/health/live", "/health/x", "/metrics"],
)
async def test_what_only_looks_like_them_is_not(busy: Busy, path: str) -> None:
    begun = await busy.begin(2)
    assert (await busy.http.post(path)).status_code == 503
    busy.let_go.set()
    await asyncio.gather(*begun)


async def test_who_is_slow_to_send_keeps_nobody_out(busy: Busy) -> None:
    sent = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"a"
        await sent.wait()
        yield b"b"

    messages = slowly()

    async def receive() -> Any:
        body = await anext(messages, b"")
        return {"type": "http.request", "body": body, "more_body": body == b"a"}

    async def send(_: Any) -> None:
        return

    scope = {"type": "http", "path": "/api/wallet/topup"}
    slow = [asyncio.create_task(busy.crowd(scope, receive, send)) for _ in range(1)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert busy.crowd.worked_on == 0
    begun = await busy.begin(2)
    assert busy.crowd.worked_on == 2
    sent.set()
    busy.let_go.set()
    await asyncio.gather(*slow, *begun)


async def test_whoever_sends_the_end_of_many_bodies_at_once_gets_no_more_places_than_others(busy: Busy) -> None:
    sent, replies = asyncio.Event(), list[int]()

    async def hold() -> None:
        async def receive() -> Any:
            await sent.wait()
            return {"type": "http.request", "body": b"{}"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                replies.append(message["status"])

        await busy.crowd({"type": "http", "path": "/api/wallet/topup"}, receive, send)

    held = [asyncio.create_task(hold()) for _ in range(9)]
    for _ in range(5):
        await asyncio.sleep(0)
    sent.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (busy.crowd.worked_on, replies) == (2, [503] * 7)
    busy.let_go.set()
    await asyncio.gather(*held)
    assert replies == [503] * 7 + [200] * 2


async def test_strangers_at_the_doors_of_providers_get_as_many_places_again_and_watchers_always_one(busy: Busy) -> None:
    ordinary = await busy.begin(2)
    told = [asyncio.create_task(busy.http.post("/api/payments/stripe/callback")) for _ in range(9)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert busy.crowd.worked_on == 4
    watcher = asyncio.create_task(busy.http.get("/health/live"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert busy.crowd.worked_on == 5
    busy.let_go.set()
    assert (await watcher).status_code == 200
    assert sorted([reply.status_code for reply in await asyncio.gather(*told)]) == [200] * 2 + [503] * 7
    await asyncio.gather(*ordinary)
