"""A hostile collection against what it is taken for, how it is named and served; and bodies without an end."""

import asyncio
import re
import resource
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import pytest

from application.core.files.transfers import passive_type
from domain.core.files.policies import FILE_SIZE_MAX, MEGABYTE
from domain.core.kernel.ids import AccountId
from tests.e2e.core.desk_app import TASK, DeskApp, desk_app
from tests.e2e.core.hostile_files import NAMES, VERDICTS, contents

ADA = AccountId(UUID(int=0xADA))
AT_ONCE = 10
RUN_BY_BROWSERS = re.compile(r"html|xml|svg|script|text")
DISPOSITION = re.compile(r"attachment; filename=\"([A-Za-z0-9 ._-]+)\"; filename\*=UTF-8''([A-Za-z0-9%._~-]+)")


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[DeskApp]:
    async with desk_app(database_url, tmp_path / "files") as desk:
        yield desk


def form(*files: tuple[str, bytes]) -> tuple[bytes, dict[str, str]]:
    """Write a form by hand, as a hostile client does; names go in as they are, but for what would end them."""
    parts = [b'--B\r\nContent-Disposition: form-data; name="title"\r\n\r\nnote\r\n']
    for name, content in files:
        quoted = name.replace('"', "%22").encode()
        parts.append(
            b'--B\r\nContent-Disposition: form-data; name="files"; filename="'
            + quoted
            + b'"\r\nContent-Type: image/png\r\n\r\n'
            + content
            + b"\r\n"
        )
    return b"".join(parts) + b"--B--\r\n", {"content-type": "multipart/form-data; boundary=B"}


async def upload(desk: DeskApp, *files: tuple[str, bytes]) -> list[dict[str, Any]]:
    body, headers = form(*files)
    reply = await desk.http.post("/api/notes", content=body, headers=desk.bearer(ADA) | headers)
    assert reply.status_code == 201, reply.text
    return list(reply.json())


async def test_every_content_is_taken_for_what_the_table_says_and_runs_nowhere(desk: DeskApp) -> None:
    expected = {label: kind for kind, labels in VERDICTS.items() for label in labels}
    collection = list(contents())
    assert len(collection) + len(NAMES) >= 120
    assert expected.keys() == {label for label, _ in collection}
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for at in range(0, len(collection), AT_ONCE):
        some = collection[at : at + AT_ONCE]
        started = time.monotonic()
        shown = await upload(desk, *((f"{number}.png", content) for number, (_, content) in enumerate(some)))
        for (label, content), one in zip(some, shown, strict=True):
            assert (label, one["content_type"]) == (label, expected[label])
            got = await desk.http.get(one["url"])
            assert (label, got.status_code, got.content == content) == (label, 200, True)
            assert got.headers["content-type"].partition(";")[0] == expected[label]
            assert got.headers["x-content-type-options"] == "nosniff"
            assert got.headers["content-security-policy"] == "default-src 'none'; sandbox"
            assert DISPOSITION.fullmatch(got.headers["content-disposition"])
            assert not RUN_BY_BROWSERS.search(passive_type(one["content_type"]))  # from a bucket, without nosniff
        assert time.monotonic() - started < 10
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1024
    assert grown_mib < 128  # bombs of 32 MiB and floods of pixels stay shut
    place = re.compile(rf"objects/student/{TASK}/[0-9a-f-]{{36}}=")
    assert all(place.fullmatch(path) for path in desk.stored())
    assert len(desk.stored()) == len(collection)


async def test_every_name_is_text_that_leads_nowhere(desk: DeskApp) -> None:
    for at in range(0, len(NAMES), AT_ONCE):
        some = NAMES[at : at + AT_ONCE]
        for (sent, expected), one in zip(some, await upload(desk, *((sent, b"x") for sent, _ in some)), strict=True):
            assert (sent, one["name"]) == (sent, expected)
            disposition = (await desk.http.get(one["url"])).headers["content-disposition"]
            found = DISPOSITION.fullmatch(disposition)
            assert found is not None, disposition
            assert unquote(found[2]) == expected
    assert all(re.fullmatch(rf"objects/student/{TASK}/[0-9a-f-]{{36}}=", path) for path in desk.stored())


@pytest.mark.parametrize("name", ["a\0b.pdf", 'a"; filename="b.exe', "a\r\nX-Evil: 1"])
async def test_a_name_that_would_break_a_header_breaks_none(desk: DeskApp, name: str) -> None:
    body = {"name": name, "size": 1}
    reply = await desk.http.post("/api/files/uploads", json=body, headers=desk.bearer(ADA))
    if "\0" in name:
        assert (reply.status_code, reply.json()["code"]) == (422, "kernel.nul_refused")
        return
    await desk.http.post(reply.json()["url"], data=reply.json()["fields"], files={"file": b"x"})
    shown = (await desk.http.post(f"/api/files/uploads/{reply.json()['id']}/confirm", headers=desk.bearer(ADA))).json()
    got = await desk.http.get(shown["url"])
    assert DISPOSITION.fullmatch(got.headers["content-disposition"])
    assert "x-evil" not in got.headers


async def test_bodies_without_an_end_are_cut_at_the_limit_and_leave_no_temporary_file(
    desk: DeskApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    desk.policies.set(FILE_SIZE_MAX, 1)
    read: list[int] = []

    async def endless(number: int) -> AsyncIterator[bytes]:
        yield b'--B\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
        while True:
            read[number] += 16_384
            yield b"x" * 16_384

    async def send(number: int) -> int:
        headers = desk.bearer(ADA) | {"content-type": "multipart/form-data; boundary=B"}
        reply = await desk.http.post("/api/notes", content=endless(number), headers=headers)
        return reply.status_code

    read += [0] * 20
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert await asyncio.gather(*(send(number) for number in range(20))) == [413] * 20
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1024
    assert max(read) <= MEGABYTE + 64 * 1024
    assert grown_mib < 100
    assert list(temporary.iterdir()) == []
    assert desk.stored() == set()
