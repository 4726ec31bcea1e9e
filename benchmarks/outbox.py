"""How long an event waits for its effect, and how fast a full outbox empties (G9)."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from uuid_utils.compat import uuid7

from benchmarks.contenders import ROOT, ServerFailed, usage_of
from benchmarks.outbox_worker import SUBSCRIBER

WRITERS = 4
START_S_MAX = 60.0
SETTLE_S_MAX = 60.0

_COLUMNS = "id, event_id, event_name, subscriber, payload, trace_id, occurred_at, due_at"
_WRITE = f"""
INSERT INTO outbox_messages ({_COLUMNS})
VALUES ($1, $2, 'bench.noted', '{SUBSCRIBER}', jsonb_build_object('number', $3::int), 'bench', $4, $4)
"""  # noqa: S608  constants of ours, here and below
_FILL = f"""
INSERT INTO outbox_messages ({_COLUMNS})
SELECT gen_random_uuid(), gen_random_uuid(), 'bench.noted', '{SUBSCRIBER}', jsonb_build_object('number', n), 'bench',
    now(), now() + n * interval '1 us'
FROM generate_series(1, $1::int) AS n
"""  # noqa: S608
_WAITS = """
SELECT count(*) AS events,
    percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM done_at - occurred_at)) AS waits_s
FROM outbox_messages WHERE done_at IS NOT NULL AND occurred_at >= $1
"""
_DONE = "SELECT count(*) FROM outbox_messages WHERE done_at IS NOT NULL"
_OPEN = "SELECT EXISTS (SELECT FROM outbox_messages WHERE done_at IS NULL AND dead_at IS NULL)"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxPlan:
    """How many events, and for how long."""

    events_per_s: int
    paced_s: float
    backlog: int
    drained_s: float


async def measure(dsn: str, url: str, plan: OutboxPlan, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure with one worker on an empty database. Raises ServerFailed."""
    connection = await asyncpg.connect(dsn)
    try:
        async with _worker(url, folder):
            await _pace(dsn, connection, events_per_s=plan.events_per_s, seconds=1.0)
            began = datetime.now(UTC)
            written = await _pace(dsn, connection, events_per_s=plan.events_per_s, seconds=plan.paced_s)
            row = await connection.fetchrow(_WAITS, began)
            p50_s, p99_s = row["waits_s"]
            say(f"outbox: {written / plan.paced_s:,.0f} events/s, p99 {p99_s * 1000:.0f} ms to the effect")
        say(f"outbox: filling it with {plan.backlog:,} events ...")
        await connection.execute(_FILL, plan.backlog)
        await connection.execute("VACUUM (ANALYZE) outbox_messages")
        async with _worker(url, folder) as worker:
            drained, cost = await _drain(connection, plan, worker)
        say(f"outbox: {drained:,.0f} events/s drained")
    finally:
        await connection.close()
    return {
        "events_per_s": round(written / plan.paced_s, 1),
        "p50_ms": round(p50_s * 1000, 1),
        "p99_ms": round(p99_s * 1000, 1),
        "backlog": plan.backlog,
        "drained_s": plan.drained_s,
        "drained_per_s": round(drained, 1),
        "cpu_s_per_1000": None if cost is None else round(cost, 3),
    }


async def _pace(dsn: str, connection: asyncpg.Connection, *, events_per_s: int, seconds: float) -> int:
    """Write events at an even pace from a few connections, wait until all are done, and return how many there were."""
    began = time.monotonic()
    total = round(events_per_s * seconds)

    async def write(first: int) -> None:
        own = await asyncpg.connect(dsn)
        try:
            for number in range(first, total, WRITERS):
                await asyncio.sleep(max(0.0, began + number / events_per_s - time.monotonic()))
                await own.execute(_WRITE, uuid7(), uuid7(), number, datetime.now(UTC))
        finally:
            await own.close()

    await asyncio.gather(*(write(first) for first in range(WRITERS)))
    async with asyncio.timeout(SETTLE_S_MAX):
        while True:
            if not await connection.fetchval(_OPEN):
                break
            await asyncio.sleep(0.1)
    return total


async def _drain(connection: asyncpg.Connection, plan: OutboxPlan, worker: int) -> tuple[float, float | None]:
    """Return how many of a backlog are done in a second, from the first that is done on, and the CPU s for 1,000."""
    before = await connection.fetchval(_DONE)
    async with asyncio.timeout(START_S_MAX):
        while True:
            at_first = await connection.fetchval(_DONE)
            if at_first > before:
                break
            await asyncio.sleep(0.05)
    began, used_before = time.monotonic(), usage_of(worker).cpu_s
    done, took = at_first, 0.0
    while took < plan.drained_s and await connection.fetchval(_OPEN):
        await asyncio.sleep(1)
        done, took = await connection.fetchval(_DONE), time.monotonic() - began
    if done == at_first:
        return 0.0, None
    used = usage_of(worker).cpu_s
    cost = None if used is None or used_before is None else (used - used_before) / (done - at_first) * 1000
    return (done - at_first) / took, cost


@asynccontextmanager
async def _worker(url: str, folder: Path) -> AsyncIterator[int]:
    """Run a worker until the block ends, and say its process id. Raises ServerFailed when it ended before."""
    log_file = folder / "outbox_worker.log"
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.outbox_worker", url),
            cwd=ROOT,
            env={name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process.pid
        if process.returncode is not None:
            raise ServerFailed(f"the worker ended:\n{log_file.read_text(errors='replace')[-3_000:]}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
