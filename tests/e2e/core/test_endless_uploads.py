"""Goal U2: of many files without an end, sent at once, nothing is kept and little is held. Twenty with SOKO_DRILL=1."""

import asyncio
import json
import os
from pathlib import Path

from domain.core.files.policies import FILE_SIZE_MAX, MEGABYTE
from tests.e2e.core.server_process import ServerProcess, server_process
from tests.e2e.core.sockets import token_of
from tests.e2e.edge.served import RawReply, read_reply
from tests.e2e.market import Market

AT_ONCE = 20 if os.environ.get("SOKO_DRILL") == "1" else 4
MEMORY_KIB_MAX = 100 * 1024
CHUNK = 64 * 1024
GIB = 1024**3
FILE = (
    b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nAn essay\r\n'
    b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.pdf"\r\n\r\n%PDF-1.4\n'
)


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


async def send_without_end(server: ServerProcess, token: str) -> tuple[RawReply, int]:
    """Send up to a gibibyte in a form that names no length; return the reply and how much had left until it came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    sent = 0

    async def send() -> None:
        nonlocal sent
        lines = ("POST /api/assignments HTTP/1.1", "Host: soko.test", f"Authorization: Bearer {token}")
        framed = ("Content-Type: multipart/form-data; boundary=x", "Transfer-Encoding: chunked")
        writer.write("\r\n".join((*lines, *framed, "", "")).encode() + b"%x\r\n%s\r\n" % (len(FILE), FILE))
        chunk = b"%x\r\n%s\r\n" % (CHUNK, b" " * CHUNK)
        while sent < GIB:
            writer.write(chunk)
            await writer.drain()
            sent += CHUNK

    sending = asyncio.create_task(send())
    try:
        return await read_reply(reader, within_s=60), sent
    finally:
        sending.cancel()
        writer.close()


async def test_of_endless_files_at_once_nothing_is_kept_and_little_is_held(
    market: Market, database_url: str, tmp_path: Path
) -> None:
    token = token_of(market, await market.register("amina", "student"))
    folder = tmp_path / "server"
    folder.mkdir()
    async with server_process(database_url, folder) as server:
        first, _ = await send_without_end(server, token)  # what one takes is loaded now
        kept, before = files_below(folder), server.memory_kib()
        replies = await asyncio.gather(*(send_without_end(server, token) for _ in range(AT_ONCE)))
        grown = server.memory_peak_kib() - before
        left = files_below(folder) - kept
    limit = FILE_SIZE_MAX.default * MEGABYTE
    assert {(reply.status, json.loads(reply.body)["code"]) for reply, _ in replies} == {(413, "files.too_large")}
    assert first.status == 413
    assert all(limit < sent < 2 * limit for _, sent in replies)
    assert left == set()
    assert kept == set()
    assert grown <= MEMORY_KIB_MAX
    assert await market.rows("SELECT 1 FROM files UNION ALL SELECT 1 FROM tasks") == []
