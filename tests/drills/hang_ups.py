"""F7: clients that hang up 0 to 200 ms after they asked."""

import asyncio
import contextlib
import json
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from tests.drills.drill import Result
from tests.drills.installation import Installation, installed
from tests.drills.journal import Entry, Kind
from tests.drills.load import Load, Person
from tests.drills.verdict import judge

REQUESTS: Final = 2_000
AT_ONCE: Final = 20
CUT_WITHIN_S: Final = 0.2
LOCKED_S_MAX: Final = 1.0
_LONGEST_LOCK: Final = (
    "SELECT coalesce(extract(epoch FROM max(clock_timestamp() - query_start)), 0) FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


async def run(seed: int, size: float) -> Result:
    """Cut 2,000 requests."""
    async with installed() as installation:
        load = Load(installation, seed)
        await load.assemble()
        result = await hang_up(installation, load, seed, max(round(REQUESTS * size), 200))
        result.broken = await judge(installation, load.journal, was_killed=False)
        return result


async def hang_up(installation: Installation, load: Load, seed: int, requests: int) -> Result:
    """Ask and hang up, some clients at once, and watch how long anybody waits for a lock."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with gate:
            await _ask_and_leave(installation, load, random.Random(f"{seed} {number}"))

    async with watched_locks(installation) as longest:
        await asyncio.gather(*(one(number) for number in range(requests)))
    result = Result(f"{requests} requests cut")
    result.measure("longest wait for a lock", longest[0], LOCKED_S_MAX, "s")
    return result


@asynccontextmanager
async def watched_locks(installation: Installation) -> AsyncIterator[list[float]]:
    """Look ten times a second for who has waited longest for a lock; the list holds that, in seconds."""
    longest = [0.0]

    async def watch() -> None:
        async with installation.superuser() as connection:
            while True:
                longest[0] = max(longest[0], float(await connection.fetchval(_LONGEST_LOCK)))
                await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    try:
        yield longest
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


async def _ask_and_leave(installation: Installation, load: Load, chance: random.Random) -> None:
    port = chance.choice(installation.apis).port
    student = chance.choice(load.students)
    raw = _request(load, student, chance)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return
    with contextlib.suppress(OSError):
        cut = chance.randrange(1, len(raw)) if chance.random() < 0.1 else len(raw)  # some leave in mid-sentence
        writer.write(raw[:cut])
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(chance.uniform(0, CUT_WITHIN_S)):
                await reader.read(65_536)
    if chance.random() < 0.5:  # half of them with a reset
        found = writer.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        writer.transport.abort()
    else:
        writer.close()


def _request(load: Load, student: Person, chance: random.Random) -> bytes:
    """Return one request of somebody who will not wait for the answer."""
    match chance.randrange(4):
        case 0:
            return _raw(student, "GET", "/api/wallet")
        case 1:
            return _raw(student, "GET", "/api/assignments/my?limit=20")
        case 2:
            phone = load.phone()
            entry = load.journal.begin(Entry(key=student.key(), kind=Kind.TOP_UP, owner=student.id, marker=phone))
            return _raw(student, "POST", "/api/wallet/topup", {"amount": 500, "phone": phone}, entry.key)
        case _:
            title = f"canary-work {student.key()}"
            entry = load.journal.begin(Entry(key=student.key(), kind=Kind.POST, owner=student.id, marker=title))
            body = {"title": title, "description": "cut off", "budget": "60.00"}
            return _raw(student, "POST", "/api/assignments", body, entry.key)


def _raw(person: Person, method: str, path: str, body: object = None, key: str = "") -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {person.token}"]
    if key:
        lines += ["Content-Type: application/json", f"Idempotency-Key: {key}"]
    return "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""]).encode() + content
