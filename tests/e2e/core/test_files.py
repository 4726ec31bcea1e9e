"""Files from the form to the download."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest

from application.core.files.clean_orphans import ORPHAN_AGE
from domain.core.files.policies import FILE_SIZE_MAX, MEGABYTE
from domain.core.kernel.ids import AccountId
from tests.e2e.core.desk_app import TASK, DeskApp, desk_app

ADA, BEN, EVE = (AccountId(UUID(int=number)) for number in (0xADA, 0xBE, 0xE4E))

DISPOSITION = re.compile(r"attachment; filename=\"[A-Za-z0-9 ._-]+\"; filename\*=UTF-8''[A-Za-z0-9%._~-]+")

HOSTILE_NAMES = [
    "../../../etc/passwd",
    "..\\..\\windows\\system32\\cmd.exe",
    'a"; filename="b.exe',
    "a\u202etxt.exe",
    "r\u00e9sum\u00e9 \u6587\u66f8.pdf",
    "con.txt ...",
    "%2e%2e%2fpasswd",
    "<script>alert(1)</script>.html",
    "x" * 400 + ".pdf",
    "\U0001f4a3.zip",
]


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[DeskApp]:
    async with desk_app(database_url, tmp_path / "files") as desk:
        desk.viewers.let(ADA, TASK)
        desk.viewers.let(BEN, TASK)
        yield desk


async def test_a_file_travels_from_the_form_to_whoever_may_see_its_subject(desk: DeskApp) -> None:
    content = b"%PDF-1.7 " + b"essay " * 50_000
    reply = await desk.upload(ADA, ("essay.pdf", content))
    assert reply.status_code == 201
    [shown] = reply.json()
    assert set(shown) == {"id", "name", "size", "content_type", "url", "uploaded_at"}
    assert (shown["name"], shown["size"], shown["content_type"]) == ("essay.pdf", len(content), "application/pdf")
    assert shown["uploaded_at"] == "2026-03-02T12:00:00Z"
    for address, headers in ((shown["url"], {}), (f"/api/files/{shown['id']}", desk.bearer(BEN))):
        got = await desk.http.get(address, headers=headers)
        assert (got.status_code, got.content) == (200, content)
        assert got.headers["content-disposition"] == "attachment; filename=\"essay.pdf\"; filename*=UTF-8''essay.pdf"
        assert got.headers["x-content-type-options"] == "nosniff"
        assert got.headers["content-type"] == "application/pdf"
        assert got.headers["content-length"] == str(len(content))
        assert got.headers["cache-control"] == "private, no-store"
        assert got.headers["content-security-policy"] == "default-src 'none'; sandbox"


async def test_foreign_forged_and_expired_are_refused(desk: DeskApp) -> None:
    one, other = (await desk.upload(ADA, ("a.txt", b"aaa"), ("b.txt", b"bbb"))).json()
    address = f"/api/files/{one['id']}"
    link = one["url"].partition("?")[2]
    expires = int(re.search(r"expires=(\d+)", link)[1])  # type: ignore[index]
    refusals = [
        (address, {}, 401),
        (address, desk.bearer(EVE), 404),
        (f"/api/files/{UUID(int=404)}", desk.bearer(EVE), 404),
        (f"/api/files/{UUID(int=404)}", {}, 401),
        (f"/api/files/{other['id']}?{link}", {}, 401),
        (f"{address}?{link}x", {}, 401),
        (f"{address}?{link.replace(str(expires), str(expires + 60))}", {}, 401),
        (f"{address}?expires={expires}", {}, 401),
        (f"{address}?expires={expires}&signature=", desk.bearer(EVE), 404),
        (f"{address}?expires=never&signature=x", {}, 422),
        (f"{address}?expires={1 << 60}&signature=x", {}, 422),
        (f"{address}?expires=1&signature={'x' * 201}", {}, 422),
        ("/api/files/not-an-id", desk.bearer(ADA), 404),
        (address, {"authorization": "Bearer forged"}, 401),
    ]
    for path, headers, status in refusals:
        reply = await desk.http.get(path, headers=headers)
        assert (path, reply.status_code) == (path, status)
        assert b"aaa" not in reply.content
    desk.clock.advance(timedelta(minutes=5))
    assert (await desk.http.get(one["url"])).status_code == 401


async def test_hostile_names_are_text_and_nothing_else(desk: DeskApp) -> None:
    for name in HOSTILE_NAMES:
        body = (
            b'--B\r\nContent-Disposition: form-data; name="title"\r\n\r\nnote\r\n'
            b'--B\r\nContent-Disposition: form-data; name="files"; filename="'
            + name.replace('"', "%22").encode()
            + b'"\r\n\r\n<html><script>alert(1)</script></html>\r\n--B--\r\n'
        )
        reply = await desk.http.post(
            "/api/notes",
            content=body,
            headers=desk.bearer(ADA) | {"content-type": "multipart/form-data; boundary=B"},
        )
        assert reply.status_code == 201, (name, reply.text)
        [shown] = reply.json()
        assert not set(shown["name"]) & set("/\\\r\n\u202e")
        assert 0 < len(shown["name"]) <= 200
        got = await desk.http.get(shown["url"])
        assert got.headers["content-type"].partition(";")[0] == "text/html"
        disposition = got.headers["content-disposition"]
        assert re.fullmatch(
            r"attachment; filename=\"[A-Za-z0-9 ._-]+\"; filename\*=UTF-8''[A-Za-z0-9%._~-]+", disposition
        )
    expected = re.compile(rf"objects/student/{TASK}/[0-9a-f-]{{36}}=")
    assert all(expected.fullmatch(path) for path in desk.stored())


async def test_nothing_stays_of_what_is_refused(desk: DeskApp) -> None:
    desk.policies.set(FILE_SIZE_MAX, 1)
    for files, title, code in (
        ([("a.txt", b"ok"), ("b.txt", b"")], "note", "files.empty"),
        ([("a.txt", b"ok"), ("b.txt", b"x" * (MEGABYTE + 1))], "note", "files.too_large"),
        ([(f"{number}.txt", b"ok") for number in range(11)], "note", "files.too_large"),
        ([("a.txt", b"ok")], "refuse", "identity.role_required"),
    ):
        reply = await desk.upload(ADA, *files, title=title)
        assert reply.json()["code"] == code
    reply = await desk.http.post("/api/notes", files=[("files", ("a.txt", b"ok"))], headers=desk.bearer(ADA))
    assert (reply.status_code, reply.json()["errors"]) == (422, [{"field": "title", "message": "is required"}])
    assert desk.stored() == set()
    assert await desk.rows("SELECT id FROM files") == []


async def test_a_client_that_hangs_up_leaves_nothing(desk: DeskApp) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b'--B\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n' + b"x" * 500_000
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await desk.http.post(
            "/api/notes",
            content=half(),
            headers=desk.bearer(ADA) | {"content-type": "multipart/form-data; boundary=B"},
        )
    assert desk.stored() == set()


@pytest.mark.parametrize(
    ("asked", "status", "content", "content_range"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=5-2", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
        ("lines=0-1", 200, b"0123456789", None),
        ("bytes=\u0661-", 200, b"0123456789", None),
    ],
)
async def test_one_range_is_served(
    desk: DeskApp, asked: str, status: int, content: bytes | None, content_range: str | None
) -> None:
    [shown] = (await desk.upload(ADA, ("a.txt", b"0123456789"))).json()
    got = await desk.http.get(shown["url"], headers={b"range": asked.encode()})
    assert (got.status_code, got.headers.get("content-range")) == (status, content_range)
    if content is not None:
        assert (got.content, got.headers["content-length"]) == (content, str(len(content)))
        other = await desk.http.get(shown["url"], headers={b"range": asked.encode(), b"if-range": b'"another"'})
        assert (other.status_code, other.content) == (200, b"0123456789")


async def test_bytes_that_are_gone_are_not_found_and_not_half_sent(desk: DeskApp) -> None:
    [shown] = (await desk.upload(ADA, ("a.txt", b"0123456789"))).json()
    for path in desk.storage_path.rglob("*="):
        path.unlink()
    got = await desk.http.get(shown["url"])
    assert (got.status_code, got.json()["code"]) == (404, "kernel.not_found")


async def test_a_file_that_waits_for_its_scan_is_not_ready(desk: DeskApp) -> None:
    [shown] = (await desk.upload(ADA, ("a.txt", b"0123456789"))).json()
    async with desk.database.connection() as connection:
        await connection.execute("UPDATE files SET state = 'received'")
    got = await desk.http.get(shown["url"])
    assert (got.status_code, got.json()["code"]) == (409, "files.not_ready")
    assert await desk.jobs["files.scan"](200) == 1
    assert (await desk.http.get(shown["url"])).status_code == 200


async def test_an_orphan_is_looked_for_so_often_that_it_is_gone_a_day_after_its_grace(desk: DeskApp) -> None:
    schedule = desk.schedules["files.clean_orphans"]
    now = desk.clock.now()
    runs = {schedule.latest_due(now + timedelta(hours=hour)) for hour in range(48)}
    between = [later - earlier for earlier, later in pairwise(sorted(runs))]
    assert (ORPHAN_AGE, max(between)) == (timedelta(hours=24), timedelta(hours=6))


async def test_the_sweep_keeps_what_is_claimed(desk: DeskApp) -> None:
    await desk.upload(ADA, ("a.txt", b"kept"))
    [kept] = desk.stored()
    lost = desk.storage_path / "objects" / "student" / str(TASK) / f"{UUID(int=5)}="
    lost.write_bytes(b"lost")
    desk.clock.set(desk.clock.now().replace(year=2100))
    assert await desk.jobs["files.clean_orphans"](200) == 1
    assert desk.stored() == {kept}
