"""Goal I5: at each limit nothing is refused for its size; one beyond it is, under its code, and nothing is stored."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from domain.core.files.policies import FILE_COUNT_MAX, FILE_SIZE_MAX, MEGABYTE, REQUEST_SIZE_MAX
from interface.bootstrap.serving import HEAD_BYTES_MAX, LEFT_OVER_BYTES_MAX
from interface.http.edge.bodies import DEPTH_MAX, JSON_BYTES_MAX
from interface.http.edge.request_edge import PATH_LENGTH_MAX, QUERY_LENGTH_MAX
from interface.http.uploads import HEADER_BYTES_MAX, TEXT_BYTES_MAX, TEXT_PARTS_MAX
from tests.e2e.edge.served import RawReply, Served, read_reply, served
from tests.e2e.market import Market, Person

BOUNDARY = "x-boundary-x"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
LOG_IN = b'{"username": "nobody", "password": "Tall-trees-7"'
PDF = b"%PDF-1.4\n"
CHUNK = 64 * 1024
GIB = 1024**3
SENT_BYTES_MAX = 32 * MEGABYTE
"""Far more than systems keep for who does not read: enough to tell whether anybody reads on."""

ALIVE = b"GET /health/live HTTP/1.1\r\nhost: soko.test\r\n\r\n"
FILES = 3
READ_BYTES_MAX = 256 * 1024
"""What the event loop takes from a socket at once."""

TASK = {"title": "An essay", "description": "900 words", "budget": "500.00"}


def part(name: str, content: bytes, *, file: str | None = None, extra: str = "") -> bytes:
    of_file = "" if file is None else f'; filename="{file}"'
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{of_file}\r\n{extra}\r\n'
    return head.encode() + content + b"\r\n"


def task(*parts: bytes, **fields: str) -> bytes:
    texts = [part(name, value.encode()) for name, value in {**TASK, **fields}.items()]
    return b"".join([*texts, *parts]) + f"--{BOUNDARY}--\r\n".encode()


def pdf(size: int) -> bytes:
    return PDF + b" " * (size - len(PDF))


class Sender:
    """Sends one request of a size that the row asks for."""

    def __init__(self, market: Market, student: Person) -> None:
        self._market, self._student = market, student

    async def path(self, length: int) -> httpx.Response:
        return await self._market.http.get("/" + "a" * (length - 1))

    async def query(self, length: int) -> httpx.Response:
        return await self._market.http.get("/health/live?a=" + "b" * (length - 2))

    async def json(self, size: int) -> httpx.Response:
        body = LOG_IN + b"}"
        return await self._log_in(body + b" " * (size - len(body)))

    async def depth(self, depth: int) -> httpx.Response:
        inner = depth - 1  # around it is the object itself
        return await self._log_in(LOG_IN + b', "more": ' + b"[" * inner + b"]" * inner + b"}")

    async def page(self, limit: int) -> httpx.Response:
        return await self._market.get(self._student, "/api/notifications", limit=limit)

    async def key(self, length: int) -> httpx.Response:
        return await self._market.post(self._student, "/api/assignments", TASK, key="k" * length)

    async def files(self, count: int) -> httpx.Response:
        return await self._task(task(*[part("files", PDF, file=f"{number}.pdf") for number in range(count)]))

    async def file(self, size: int) -> httpx.Response:
        return await self._task(task(part("files", pdf(size), file="a.pdf")))

    async def all_files(self, size: int) -> httpx.Response:
        half = size // 2
        both = [part("files", pdf(one), file=f"{one}.pdf") for one in (half, size - half)]
        return await self._task(task(*both))

    async def text(self, size: int) -> httpx.Response:
        rest = sum(len(value) for value in TASK.values())
        return await self._task(task(part("more", b"x" * (size - rest))))

    async def fields(self, count: int) -> httpx.Response:
        return await self._task(task(*[part("more", b"x")] * (count - len(TASK))))

    async def line_of_a_part(self, length: int) -> httpx.Response:
        return await self._task(task(part("more", b"x", extra=f"X: {'y' * (length - 3)}\r\n")))

    async def lines_of_a_part(self, count: int) -> httpx.Response:
        return await self._task(task(part("more", b"x", extra="X: y\r\n" * (count - 1))))

    async def title(self, length: int) -> httpx.Response:
        return await self._market.post(self._student, "/api/assignments", {**TASK, "title": "t" * length})

    async def title_of_a_form(self, length: int) -> httpx.Response:
        return await self._task(task(title="é" * length))

    async def removed_files(self, count: int) -> httpx.Response:
        body = {"remove_files": ["0195f3a0-7c00-7000-8000-00000000dead"] * count}
        return await self._market.patch(self._student, f"/api/assignments/{'0' * 8}-0000-7000-8000-{'0' * 12}", body)

    async def _log_in(self, body: bytes) -> httpx.Response:
        return await self._market.http.post(
            "/api/auth/login", content=body, headers={"content-type": "application/json"}
        )

    async def _task(self, body: bytes) -> httpx.Response:
        headers = self._market.headers(self._student) | {"content-type": FORM}
        return await self._market.http.post("/api/assignments", content=body, headers=headers)


Send = Callable[[Sender, int], Awaitable[httpx.Response]]
LIMITS: dict[str, tuple[Send, int, int, int, str]] = {
    # what is sent, the limit, the status at it, and status and code one beyond it
    "path": (Sender.path, PATH_LENGTH_MAX, 404, 400, "kernel.address_malformed"),
    "query": (Sender.query, QUERY_LENGTH_MAX, 200, 400, "kernel.address_malformed"),
    "JSON": (Sender.json, JSON_BYTES_MAX, 401, 413, "kernel.too_large"),
    "depth": (Sender.depth, DEPTH_MAX, 401, 400, "kernel.malformed"),
    "page": (Sender.page, 100, 200, 422, "kernel.invalid"),
    "Idempotency-Key": (Sender.key, 255, 201, 400, "kernel.key_malformed"),
    "files": (Sender.files, FILES, 201, 413, "files.too_large"),
    "file": (Sender.file, MEGABYTE, 201, 413, "files.too_large"),
    "all files": (Sender.all_files, MEGABYTE, 201, 413, "files.too_large"),
    "text of a form": (Sender.text, TEXT_BYTES_MAX, 201, 413, "kernel.too_large"),
    "fields of a form": (Sender.fields, TEXT_PARTS_MAX + FILES, 201, 413, "kernel.too_large"),
    "line of the head of a part": (Sender.line_of_a_part, HEADER_BYTES_MAX, 201, 413, "kernel.too_large"),
    "lines of the head of a part": (Sender.lines_of_a_part, 8, 201, 413, "kernel.too_large"),
    "text": (Sender.title, 200, 201, 422, "kernel.invalid"),
    "text in a form": (Sender.title_of_a_form, 200, 201, 422, "kernel.invalid"),
    "list": (Sender.removed_files, 100, 404, 422, "kernel.invalid"),
}


@pytest.fixture
async def student(market: Market) -> Person:
    market.policies.set(FILE_COUNT_MAX, FILES)
    market.policies.set(FILE_SIZE_MAX, 1)
    market.policies.set(REQUEST_SIZE_MAX, 1)
    student = await market.register("amina", "student")
    await market.top_up(student, 50_000)
    return student


async def stored(market: Market) -> tuple[object, ...]:
    counts = "SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM files), (SELECT count(*) FROM notices)"
    return (*(await market.rows(counts)), *market.stored_files())


async def test_each_limit_lets_in_what_is_at_it_and_stores_nothing_of_what_is_beyond(
    market: Market, student: Person
) -> None:
    sender, wrong = Sender(market, student), []
    for name, (send, limit, expected, status, code) in LIMITS.items():
        at_it = await send(sender, limit)
        if at_it.status_code != expected:
            wrong.append(f"{name} of {limit}: {at_it.status_code} {at_it.text[:200]}")
        before = await stored(market)
        beyond = await send(sender, limit + 1)
        if (beyond.status_code, beyond.json().get("code")) != (status, code):
            wrong.append(f"{name} of {limit + 1}: {beyond.status_code} {beyond.text[:200]}")
        if await stored(market) != before:
            wrong.append(f"{name} of {limit + 1}: something is stored")
    assert not wrong, "\n".join(wrong)


async def gibibyte(start: bytes, taken: list[int]) -> AsyncIterator[bytes]:
    """Yield a start and a gibibyte of blanks, and note how much was asked for."""
    yield start
    chunk = b" " * CHUNK
    for _ in range(GIB // CHUNK):
        taken.append(CHUNK)
        yield chunk


FILE_START = (
    b"".join(part(name, value.encode()) for name, value in TASK.items()) + part("files", PDF, file="a.pdf")[:-2]
)
ENDLESS: dict[str, tuple[str, str, bytes, int, str]] = {
    "JSON": ("/api/auth/login", "application/json", LOG_IN, JSON_BYTES_MAX, "kernel.too_large"),
    "form": ("/api/assignments", FORM, FILE_START, MEGABYTE, "files.too_large"),
}


async def test_of_a_gibibyte_no_more_is_read_than_the_limit(market: Market, student: Person) -> None:
    for path, content_type, start, limit, code in ENDLESS.values():
        for length in (None, len(start) + GIB):
            before, taken = await stored(market), list[int]()
            headers = market.headers(student) | {"content-type": content_type}
            headers |= {} if length is None else {"content-length": str(length)}
            reply = await market.http.post(path, content=gibibyte(start, taken), headers=headers)
            named = code if length is None else "kernel.too_large"
            assert (reply.status_code, reply.json()["code"]) == (413, named)
            assert sum(taken) <= (limit + CHUNK if length is None else 0)
            assert await stored(market) == before


@pytest.fixture
async def server(market: Market) -> AsyncIterator[Served]:
    async with served(market) as opened:
        yield opened


@pytest.fixture
def bytes_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Keep how many bytes the server took from its sockets, each time that it did."""
    sizes: list[int] = []
    received = HttpToolsProtocol.data_received

    def counted(self: HttpToolsProtocol, data: bytes) -> None:
        sizes.append(len(data))
        received(self, data)

    monkeypatch.setattr(HttpToolsProtocol, "data_received", counted)
    return sizes


async def send_on(server: Served, head: str, start: bytes, *, is_chunked: bool) -> RawReply:
    """Send a body without end; return its reply once the server has hung up."""
    reader, writer = await server.connect()

    def piece(body: bytes) -> bytes:
        return b"%x\r\n%s\r\n" % (len(body), body) if is_chunked else body

    async def send() -> None:
        writer.write(head.encode() + piece(start))
        blanks = piece(b" " * CHUNK)
        for _ in range(SENT_BYTES_MAX // CHUNK):
            writer.write(blanks)
            await writer.drain()

    sending = asyncio.create_task(send())
    try:
        reply = await read_reply(reader)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
    finally:
        sending.cancel()
        writer.close()
    return reply


async def test_a_connection_that_sends_on_after_its_refusal_is_cut_off(
    server: Served, student: Person, bytes_read: list[int]
) -> None:
    token = server.market.headers(student)["authorization"]
    for path, content_type, start, limit, _ in ENDLESS.values():
        for length in (None, len(start) + GIB):
            framed = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
            lines = (f"POST {path} HTTP/1.1", "host: soko.test", f"authorization: {token}", framed)
            head = "\r\n".join((*lines, f"content-type: {content_type}\r\n\r\n"))
            bytes_read.clear()
            reply = await send_on(server, head, start, is_chunked=length is None)
            assert (reply.status, json.loads(reply.body)["status"]) == (413, 413)
            assert sum(bytes_read) <= (limit if length is None else 0) + LEFT_OVER_BYTES_MAX + 4 * READ_BYTES_MAX
            assert (await server.send(ALIVE)).status == 200


async def test_who_sent_a_little_too_much_keeps_his_connection(server: Served) -> None:
    reader, writer = await server.connect()
    chunk = b"%x\r\n%s\r\n" % (CHUNK, b" " * CHUNK)
    head = b"POST /api/auth/login HTTP/1.1\r\nhost: soko.test\r\ntransfer-encoding: chunked\r\n\r\n"
    for _ in range(2):
        writer.write(head + chunk * (JSON_BYTES_MAX // CHUNK + 2) + b"0\r\n\r\n")
        assert (await read_reply(reader)).status == 413
    writer.write(ALIVE)
    assert (await read_reply(reader)).status == 200
    writer.close()


@pytest.mark.parametrize(("beyond", "status"), [(0, 200), (1, 400)])
async def test_a_head_may_be_as_long_as_the_limit_and_no_longer(server: Served, beyond: int, status: int) -> None:
    reader, writer = await server.connect()
    start = b"GET /health/live HTTP/1.1\r\nhost: soko.test\r\nx: "
    writer.write(start + b"a" * (HEAD_BYTES_MAX + beyond - len(start)))
    assert (await server.send(ALIVE)).status == 200
    if not beyond:
        writer.write(b"\r\n\r\n")
    assert (await read_reply(reader)).status == status
    writer.close()
