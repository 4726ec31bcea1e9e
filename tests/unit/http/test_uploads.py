"""Forms as they come over the wire: multipart and JSON, whole, broken and too large."""

import json
import tempfile
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from litestar import Litestar, Request, get, post
from litestar.openapi import OpenAPIConfig
from msgspec import Meta, Struct

from application.core.files.receive_files import Limits
from interface.http.errors import EXCEPTION_HANDLERS
from interface.http.uploads import SPOOL_BYTES, TEXT_BYTES_MAX, form_operation, read_form
from interface.http.wire import AmountInput, MoneyInput

LIMITS = Limits(count=3, file_bytes=400_000, request_bytes=600_000)
BOUNDARY = "x-boundary-x"

Spools = list[Any]


class TaskBody(Struct):
    title: Annotated[str, Meta(min_length=1, max_length=20)]
    budget: MoneyInput | AmountInput | None = None
    currency: str | None = None
    pages: int | None = None
    tags: Annotated[list[str], Meta(max_length=5)] = []


@post("/tasks", operation_class=form_operation(TaskBody, "files"), operation_id="postTask", status_code=201)
async def post_task(request: Request[Any, Any, Any]) -> dict[str, object]:
    """Post a task."""
    async with read_form(request, file_fields=("files",), limits=LIMITS) as form:
        body = form.read(TaskBody)
        files = [(one.name, len(b"".join([chunk async for chunk in one.chunks]))) for one in form.files]
    return {"title": body.title, "budget": body.budget, "pages": body.pages, "tags": body.tags, "files": files}


@get("/")
async def root() -> None:
    """Return nothing."""


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app: Any = Litestar(
        [post_task, root],
        exception_handlers=EXCEPTION_HANDLERS,
        request_max_body_size=1_000_000,
        openapi_config=OpenAPIConfig(title="test", version="1"),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


@pytest.fixture
def spools(monkeypatch: pytest.MonkeyPatch) -> Spools:
    """Keep every temporary file that is made, to see that it was closed."""
    made: Spools = []

    def make(*arguments: Any) -> Any:
        made.append(tempfile.SpooledTemporaryFile(*arguments))  # noqa: SIM115  # what is under test closes it
        return made[-1]

    monkeypatch.setattr("interface.http.uploads.SpooledTemporaryFile", make)
    return made


def part(name: str, content: bytes, filename: str | None = None, extra: str = "") -> bytes:
    """Return one part of a form."""
    of_file = "" if filename is None else f'; filename="{filename}"'
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{of_file}\r\n{extra}\r\n'
    return head.encode() + content + b"\r\n"


def form(*parts: bytes, end: bytes = f"--{BOUNDARY}--\r\n".encode()) -> bytes:
    """Return a whole form."""
    return b"".join(parts) + end


async def in_pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


async def send(client: httpx.AsyncClient, body: bytes | AsyncIterator[bytes]) -> httpx.Response:
    """Send a form."""
    return await client.post(
        "/tasks", content=body, headers={"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    )


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
async def test_a_form_is_read_whatever_its_pieces(client: httpx.AsyncClient, size: int) -> None:
    body = form(
        part("title", b"Essay"), part("budget", b"1500.00"), part("pages", b"4"), part("files", b"PDF!", "a.pdf")
    )
    response = await send(client, in_pieces(body, size))
    assert response.status_code == 201
    assert response.json() == {"title": "Essay", "budget": "1500.00", "pages": 4, "tags": [], "files": [["a.pdf", 4]]}


async def test_json_has_the_same_fields(client: httpx.AsyncClient) -> None:
    response = await client.post("/tasks", json={"title": "Essay", "budget": {"amount": 1500}, "tags": ["a"]})
    assert response.status_code == 201
    assert response.json() == {
        "title": "Essay",
        "budget": {"amount": 1500, "currency": "KES"},
        "pages": None,
        "tags": ["a"],
        "files": [],
    }


async def test_repeated_names_and_brackets_are_lists(client: httpx.AsyncClient) -> None:
    parts = [part("files[]", b"1", "a"), part("files", b"22", "b"), part("tags", b"x"), part("tags[]", b"y")]
    response = await send(client, form(part("title", b"T"), *parts))
    assert (response.json()["files"], response.json()["tags"]) == ([["a", 1], ["b", 2]], ["x", "y"])
    response = await send(client, form(part("title", b"T"), part("tags", b"x")))
    assert response.json()["tags"] == ["x"]


async def test_an_empty_file_input_and_empty_texts_are_as_if_not_sent(client: httpx.AsyncClient) -> None:
    response = await send(client, form(part("title", b"T"), part("files", b"", ""), part("pages", b"")))
    assert response.status_code == 201
    assert (response.json()["files"], response.json()["pages"]) == ([], None)


async def test_unknown_fields_are_ignored(client: httpx.AsyncClient, spools: Spools) -> None:
    response = await send(client, form(part("title", b"T"), part("status", b"DONE"), part("cv", b"x" * 9, "cv.pdf")))
    assert response.status_code == 201
    assert response.json()["files"] == []
    assert spools == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not a form",
        part("title", b"T"),
        form(part("title", b"T"), end=b""),
        form(part("title", b"\xff\xfe")),
        form(b"--" + BOUNDARY.encode() + b"\r\nNonsense\r\n\r\nx\r\n"),
        form(part("files", b"x" * 300_000, "a.bin"), end=b""),
    ],
)
async def test_a_broken_form_is_malformed(client: httpx.AsyncClient, spools: Spools, body: bytes) -> None:
    response = await send(client, body)
    assert (response.status_code, response.json()["code"]) == (400, "kernel.malformed")
    assert all(spool.closed for spool in spools)


@pytest.mark.parametrize("header", ["multipart/form-data", "multipart/form-data; boundary="])
async def test_a_form_without_boundary_is_malformed(client: httpx.AsyncClient, header: str) -> None:
    response = await client.post("/tasks", content=form(part("title", b"T")), headers={"content-type": header})
    assert (response.status_code, response.json()["code"]) == (400, "kernel.malformed")


async def test_a_file_is_cut_soon_after_its_limit(client: httpx.AsyncClient, spools: Spools) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield part("title", b"T") + part("files", b"", "a.bin")[:-2]
        while True:
            sent += 16_384
            yield b"x" * 16_384

    response = await send(client, endless())
    assert (response.status_code, response.json()["code"]) == (413, "files.too_large")
    assert response.json()["limit"] == LIMITS.file_bytes
    assert sent <= LIMITS.file_bytes + 65_536
    assert [spool.closed for spool in spools] == [True]


@pytest.mark.parametrize(
    "parts",
    [
        [part("files", b"x" * 300_000, "a"), part("files", b"x" * 300_001, "b")],
        [part("other", b"x" * 300_000, "a"), part("files", b"x" * 300_001, "b")],
        [part("files", b"x", f"{number}") for number in range(4)],
    ],
)
async def test_files_over_the_limits_of_a_request_are_refused(
    client: httpx.AsyncClient, spools: Spools, parts: list[bytes]
) -> None:
    response = await send(client, form(part("title", b"T"), *parts))
    assert (response.status_code, response.json()["code"]) == (413, "files.too_large")
    assert all(spool.closed for spool in spools)


async def test_too_much_text_is_refused(client: httpx.AsyncClient) -> None:
    for body in (form(*[part("n", b"v")] * 200), form(part("title", b"T"), part("n", b"v", extra="X: " + "y" * 9_000))):
        response = await send(client, body)
        assert (response.status_code, response.json()["code"]) == (413, "kernel.too_large")
    assert TEXT_BYTES_MAX > 1_000_000 - 1  # the server's own limit is smaller here, so it answers
    response = await send(client, form(part("title", b"x" * 1_000_000)))
    assert (response.status_code, response.json()["code"]) == (413, "kernel.too_large")


async def test_large_files_wait_on_the_disk_and_are_closed_after_use(client: httpx.AsyncClient, spools: Spools) -> None:
    body = form(part("title", b"T"), part("files", b"x" * (SPOOL_BYTES + 1), "a"), part("files", b"y", "b"))
    response = await send(client, in_pieces(body, 50_000))
    assert response.json()["files"] == [["a", SPOOL_BYTES + 1], ["b", 1]]
    assert [(spool._rolled, spool.closed) for spool in spools] == [(True, True), (False, True)]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "title"),
        ({"title": ""}, "title"),
        ({"title": "x" * 21}, "title"),
        ({"title": "T", "pages": "four"}, "pages"),
        ({"title": "T", "budget": {"amount": "1" * 25}}, "budget.amount"),
        ({"title": "T", "budget": {}}, "budget.amount"),
        ({"title": "T", "tags": [1]}, "tags[0]"),
    ],
)
async def test_a_field_that_breaks_its_schema_is_named(
    client: httpx.AsyncClient, fields: dict[str, Any], field: str
) -> None:
    response = await client.post("/tasks", json=fields)
    assert (response.status_code, response.json()["code"]) == (422, "kernel.invalid")
    assert [error["field"] for error in response.json()["errors"]] == [field]


async def test_a_field_of_a_form_that_breaks_its_schema_is_named(client: httpx.AsyncClient) -> None:
    for body, field in ((form(part("pages", b"4")), "title"), (form(part("title", b"a\0b")), "title")):
        response = await send(client, body)
        assert (response.status_code, response.json()["errors"][0]["field"]) == (422, field)


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{", 400, "kernel.malformed"),
        (b'{"title": "\xff"}', 400, "kernel.malformed"),
        (b"[" * 5_000 + b"]" * 5_000, 400, "kernel.malformed"),
        (b"[]", 422, "kernel.invalid"),
    ],
)
async def test_json_that_is_none_is_refused(client: httpx.AsyncClient, content: bytes, status: int, code: str) -> None:
    response = await client.post("/tasks", content=content, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_another_content_type_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/tasks", content=b"title=T", headers={"content-type": "text/plain"})
    assert (response.status_code, response.json()["code"]) == (415, "kernel.unsupported_media_type")


async def test_the_api_document_names_both_content_types(client: httpx.AsyncClient) -> None:
    document = (await client.get("/schema/openapi.json")).json()
    content = document["paths"]["/tasks"]["post"]["requestBody"]["content"]
    assert set(content) == {"multipart/form-data", "application/json"}
    assert "$ref" not in json.dumps(content)
    assert set(content["application/json"]["schema"]["properties"]) == {"title", "budget", "currency", "pages", "tags"}
    files = content["multipart/form-data"]["schema"]["properties"]["files"]
    item = {"type": "string", "contentMediaType": "application/octet-stream"}
    assert files == {"type": "array", "items": item, "maxItems": 50}
