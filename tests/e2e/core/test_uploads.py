"""Uploads without a form of the server's own: announced, sent by the answered form, confirmed. Here on the disk."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from domain.core.files.policies import EXTENSIONS, FILE_SIZE_MAX, QUOTA
from domain.core.files.upload import OPEN_UPLOADS_MAX
from domain.core.kernel.ids import AccountId
from tests.e2e.core.desk_app import TASK, DeskApp, desk_app

ADA, EVE = (AccountId(UUID(int=number)) for number in (0xADA, 0xE4E))
PDF = b"%PDF-1.7 " + b"essay " * 50_000
MB = 1024 * 1024


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[DeskApp]:
    async with desk_app(database_url, tmp_path / "files") as desk:
        yield desk


async def announce(desk: DeskApp, size: int = len(PDF), *, who: AccountId = ADA, **more: Any) -> httpx.Response:
    body = {"name": "essay.pdf", "size": size, "content_type": "application/pdf"} | more
    return await desk.http.post("/api/files/uploads", json=body, headers=desk.bearer(who))


async def send(
    desk: DeskApp, form: Mapping[str, Any], content: bytes = PDF, *, url: str | None = None, kind: str | None = None
) -> httpx.Response:
    return await desk.http.post(
        url or form["url"],
        data=form["fields"] | ({"Content-Type": kind} if kind else {}),
        files={"file": ("x", content, "text/html")},
    )


async def confirm(desk: DeskApp, form: Mapping[str, Any], who: AccountId = ADA) -> httpx.Response:
    return await desk.http.post(f"/api/files/uploads/{form['id']}/confirm", headers=desk.bearer(who))


async def test_a_file_is_announced_sent_confirmed_and_seen_by_its_owner_alone(desk: DeskApp) -> None:
    reply = await announce(desk, name="../r\u00e9sum\u00e9\u202e.pdf")
    form = reply.json()
    assert reply.status_code == 201
    assert form["fields"] == {"Content-Type": "application/pdf"}
    assert (form["expires_at"], form["confirm_by"]) == ("2026-03-02T12:05:00Z", "2026-03-02T13:00:00Z")
    assert (await send(desk, form)).status_code == 204
    reply = await confirm(desk, form)
    shown = reply.json()
    assert reply.status_code == 200
    assert shown["id"] == form["id"]
    assert (shown["name"], shown["size"], shown["content_type"]) == (
        "r\u00e9sum\u00e9.pdf",
        len(PDF),
        "application/pdf",
    )
    path = f"/api/files/{shown['id']}"
    assert (await desk.http.get(path, headers=desk.bearer(ADA))).content == PDF
    assert (await desk.http.get(path, headers=desk.bearer(EVE))).status_code == 404
    assert (await desk.http.get(f"{path}/link", headers=desk.bearer(EVE))).status_code == 404
    link = (await desk.http.get(f"{path}/link", headers=desk.bearer(ADA))).json()
    assert link["expires_at"] == "2026-03-02T12:05:00Z"
    assert (await desk.http.get(link["url"])).content == PDF
    assert len(desk.stored()) == 1
    assert await desk.rows("SELECT id FROM file_uploads") == []


async def test_what_is_sent_after_the_confirmation_is_not_served(desk: DeskApp) -> None:
    form = (await announce(desk)).json()
    await send(desk, form, b"x" * len(PDF))
    await send(desk, form)
    first = await confirm(desk, form)
    late = await send(desk, form, b"<script>" + b"x" * (len(PDF) - 8))
    assert (late.status_code, late.json()["code"]) == (404, "files.upload_not_found")
    assert (await confirm(desk, form)).json() == first.json()
    assert (await desk.http.get(first.json()["url"])).content == PDF


async def test_a_form_takes_what_was_announced_and_nothing_else(desk: DeskApp) -> None:
    form, other = (await announce(desk)).json(), (await announce(desk)).json()
    link = form["url"].partition("?")[2]
    refusals = [
        (await send(desk, form, PDF[1:]), 422, "files.size_differs"),
        (await send(desk, form, PDF + b"x"), 413, "files.too_large"),
        (await send(desk, form, b""), 422, "files.empty"),
        (await send(desk, form, kind="text/html"), 403, "files.form_refused"),
        (await send(desk, form, url=f"{other['url'].partition('?')[0]}?{link}"), 403, "files.form_refused"),
        (await send(desk, form, url=f"{form['url']}x"), 403, "files.form_refused"),
        (await send(desk, form, url=f"/api/files/{form['id']}?{link}"), 405, "kernel.method_not_allowed"),
        (await desk.http.post(form["url"], data=form["fields"], files={"other": PDF}), 422, "files.required"),
        (await confirm(desk, form), 409, "files.not_uploaded"),
        (await confirm(desk, form, EVE), 404, "files.upload_not_found"),
    ]
    assert [(reply.status_code, reply.json()["code"]) for reply, *_ in refusals] == [
        (status, code) for _, status, code in refusals
    ]
    # the signature of a form opens no file
    assert (await desk.http.get(f"/api/files/{form['id']}?{link}")).status_code == 401
    assert desk.stored() == set()
    await send(desk, form)
    desk.clock.advance(timedelta(minutes=5))
    assert (await send(desk, form)).json()["code"] == "files.form_refused"
    assert (await confirm(desk, form)).status_code == 200


async def test_what_may_not_be_kept_is_refused_when_it_is_announced(desk: DeskApp) -> None:
    desk.policies.set(FILE_SIZE_MAX, 1)
    desk.policies.set(EXTENSIONS, "pdf")
    for body, status, code in (
        ({"size": 0}, 422, "kernel.invalid"),
        ({"size": MB + 1}, 413, "files.too_large"),
        ({"name": "a.exe"}, 422, "files.extension_refused"),
        ({"content_type": "text/html\r\nx: y"}, 422, "kernel.invalid"),
        ({"content_type": "text"}, 422, "kernel.invalid"),
    ):
        reply = await announce(desk, **({"size": 1} | body))
        assert (body, reply.status_code, reply.json()["code"]) == (body, status, code)
    assert await desk.rows("SELECT id FROM file_uploads") == []


async def test_two_confirmations_at_once_are_one(desk: DeskApp) -> None:
    form = (await announce(desk)).json()
    await send(desk, form)
    replies = await asyncio.gather(*(confirm(desk, form) for _ in range(6)))
    assert [reply.status_code for reply in replies] == [200] * 6
    assert len(await desk.rows("SELECT id FROM files")) == 1
    assert len(desk.stored()) == 1
    assert (await desk.http.get((await confirm(desk, form)).json()["url"])).content == PDF


async def test_the_quota_is_exact_however_many_ask_at_once(desk: DeskApp) -> None:
    desk.policies.set(QUOTA, 1)
    form = (await announce(desk, 200_000)).json()
    await send(desk, form, b"x" * 200_000)
    await confirm(desk, form)
    replies = await asyncio.gather(
        *(announce(desk, 100_000) for _ in range(10)),
        *(desk.upload(ADA, ("a.txt", b"x" * 100_000)) for _ in range(10)),
        announce(desk, 100_000, who=EVE),
    )
    assert Counter(reply.status_code for reply in replies) == {201: 9, 409: 12}
    assert {reply.json()["code"] for reply in replies if reply.status_code == 409} == {"files.quota_exceeded"}
    [kept] = await desk.rows("SELECT count(*) AS files FROM files")
    assert len(desk.stored()) == kept["files"]  # what was refused left no bytes
    assert replies[-1].status_code == 201


async def test_an_account_has_so_many_uploads_under_way(desk: DeskApp) -> None:
    for _ in range(OPEN_UPLOADS_MAX):
        assert (await announce(desk, 1)).status_code == 201
    assert (await announce(desk, 1)).json()["code"] == "files.too_many_uploads"
    desk.clock.advance(timedelta(hours=1))
    assert await desk.jobs["files.end_uploads"](200) == OPEN_UPLOADS_MAX
    assert (await announce(desk, 1)).status_code == 201


async def test_what_is_not_confirmed_or_not_attached_in_time_goes(desk: DeskApp) -> None:
    sent, loose = (await announce(desk)).json(), (await announce(desk)).json()
    for form in (sent, loose):
        await send(desk, form)
    shown = (await confirm(desk, loose)).json()
    desk.clock.advance(timedelta(minutes=59))
    assert await desk.jobs["files.end_uploads"](200) == 0
    desk.clock.advance(timedelta(minutes=1))
    assert (await confirm(desk, sent)).json()["code"] == "files.upload_not_found"
    assert await desk.jobs["files.end_uploads"](200) == 1
    assert len(desk.stored()) == 1
    desk.clock.advance(timedelta(hours=23))
    assert await desk.jobs["files.end_uploads"](200) == 1
    assert desk.stored() == set()
    assert (await desk.http.get(f"/api/files/{shown['id']}", headers=desk.bearer(ADA))).status_code == 404


async def test_a_process_that_died_before_the_commit_left_nothing_that_is_seen(desk: DeskApp) -> None:
    form = (await announce(desk)).json()
    await send(desk, form)
    [sent] = desk.stored()
    # as a killed process leaves it: the copy stands, and no row claims it
    copy = desk.storage_path / "objects" / "upload" / str(ADA) / f"{UUID(int=9)}="
    copy.parent.mkdir(parents=True)
    copy.write_bytes(PDF)
    assert (await desk.http.get(f"/api/files/{form['id']}", headers=desk.bearer(ADA))).status_code == 404
    assert (await confirm(desk, form)).status_code == 200
    assert sent not in desk.stored()
    desk.clock.set(desk.clock.now().replace(year=2100))
    assert await desk.jobs["files.clean_orphans"](200) == 1
    assert not copy.exists()
    assert len(desk.stored()) == 1
    assert TASK not in [row["subject_id"] for row in await desk.rows("SELECT subject_id FROM files")]
