"""R4: fifteen times the clients that can be served at their pace, and a pool with no free connection."""

import asyncio
import contextlib
import json
import random
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import asyncpg

from infrastructure.lipana import callback
from interface.http.edge.crowd import RETRY_AFTER_S
from tests.drills.drill import Result
from tests.drills.installation import Installation, installed, until
from tests.drills.journal import percentile
from tests.drills.load import Load
from tests.drills.provider import WEBHOOK_SECRET
from tests.drills.verdict import SHILLING_MINOR, judge

ROUNDS: Final = 3
PEAK_S: Final = 3.0
OVER_S: Final = 7.0
PEAK_CLIENTS: Final = 32
"""More at once serve no more in a second."""

TIMES: Final = 15
"""So many times the clients that reach the peak; five times those that one process works on at once."""

GOODPUT_MIN: Final = 0.8
REFUSED_WITHIN_S: Final = 0.1
WAITERS_REFUSED_WITHIN_S: Final = 3.0
"""A waiter is refused after 2 s; the rest is the way there and back on a busy machine."""

CALLBACK_EVERY_S: Final = 0.2
ARRIVE_WITHIN_S: Final = 1.0
"""Clients come one after the other, not in the same instant; no server answers hundreds at once in 0.1 s."""


@dataclass(slots=True)
class Seen:
    """What a crowd of clients was answered, times in seconds."""

    served_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    without_retry_after: int = 0
    others: dict[int, int] = field(default_factory=dict)

    def note(self, status: int, took_s: float, *, has_retry_after: bool) -> None:
        """Count one answer."""
        if status == 200:
            self.served_s.append(took_s)
        elif status == 503:
            self.refused_s.append(took_s)
            self.without_retry_after += not has_retry_after
        else:
            self.others[status] = self.others.get(status, 0) + 1


async def run(seed: int, size: float) -> Result:
    """Measure the peak, then overrun it, then hold every connection."""
    async with installed(apis=1) as installation:
        load = Load(installation, seed, people=4)
        await load.assemble()
        result = await overrun(installation, load, seed, max(size, 0.5))
        result.broken = await judge(installation, load.journal, was_killed=False)
        return result


@dataclass(frozen=True, slots=True)
class Round:
    """What can be served, what fifteen times the clients are answered, and what can be served again."""

    before: Seen
    over: Seen
    after: Seen
    peak_rps: float
    over_rps: float

    @property
    def goodput(self) -> float:
        """How much of the peak is served while it is overrun."""
        return self.over_rps / self.peak_rps

    @property
    def refused_s(self) -> float:
        """What 99 of 100 refusals take at most."""
        return percentile(self.over.refused_s, 0.99)

    @property
    def median_afterwards(self) -> float:
        """How many times as long as before an answer takes again."""
        return percentile(self.after.served_s, 0.5) / percentile(self.before.served_s, 0.5)


async def overrun(installation: Installation, load: Load, seed: int, size: float) -> Result:
    """Send what can be served, fifteen times that, and what can be served again.

    Several times: where another machine takes the cores for a second, that is one round, and the median is another.
    """
    requests = [_raw(person.token) for person in (*load.students, *load.writers)]
    port, chance = installation.apis[0].port, random.Random(seed)
    peak_s, over_s = PEAK_S * size, OVER_S * size
    callbacks: list[int] = []

    async def one_round() -> Round:
        before = await _crowd(port, requests, chance, PEAK_CLIENTS, peak_s)
        calling = asyncio.create_task(_call_back(installation, callbacks))
        over = await _crowd(port, requests, chance, PEAK_CLIENTS * TIMES, over_s)
        calling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await calling
        after = await _crowd(port, requests, chance, PEAK_CLIENTS, peak_s)
        return Round(
            before=before,
            over=over,
            after=after,
            peak_rps=(_rate(before, peak_s) + _rate(after, peak_s)) / 2,
            over_rps=_rate(over, over_s),
        )

    rounds = [await one_round() for _ in range(ROUNDS)]
    refused = sum(len(each.over.refused_s) for each in rounds)
    result = Result(f"peak {median(each.peak_rps for each in rounds):.0f}/s, {refused} refused")
    result.measure("goodput of the peak", median(each.goodput for each in rounds), GOODPUT_MIN, is_floor=True)
    result.measure("p99 of refusals", median(each.refused_s for each in rounds), REFUSED_WITHIN_S, "s")
    result.measure("refusals without Retry-After", sum(each.over.without_retry_after for each in rounds), 0)
    result.measure("other answers", sum(sum(each.over.others.values()) for each in rounds), 0)
    result.measure("callbacks not taken", sum(status != 200 for status in callbacks), 0)
    afterwards = median(each.median_afterwards for each in rounds)
    result.measure("median afterwards, of the one before", afterwards, 1.5)
    await _hold_all(installation, load, result)
    return result


def _rate(seen: Seen, seconds: float) -> float:
    """Return the answers a second, since half of the clients had come."""
    return len(seen.served_s) / (seconds - ARRIVE_WITHIN_S / 2)


async def _crowd(port: int, requests: list[bytes], chance: random.Random, clients: int, seconds: float) -> Seen:
    """Have so many clients ask one thing after the other for a while; who is refused comes again as he was told."""
    seen, loop = Seen(), asyncio.get_running_loop()
    end = loop.time() + seconds

    async def one(raw: bytes) -> None:
        await asyncio.sleep(ARRIVE_WITHIN_S * chance.random())
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while loop.time() < end:
                started_at = loop.time()
                writer.write(raw)
                head = await reader.readuntil(b"\r\n\r\n")
                lowered = head.lower()
                length = int(lowered.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await reader.readexactly(length)
                status = int(head[9:12])
                seen.note(status, loop.time() - started_at, has_retry_after=b"retry-after: " in lowered)
                if status != 200:
                    await asyncio.sleep(RETRY_AFTER_S * (0.5 + chance.random()))
        writer.close()

    await asyncio.gather(*(one(chance.choice(requests)) for _ in range(clients)))
    return seen


def _raw(token: str) -> bytes:
    lines = ("GET /api/wallet HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}", "", "")
    return "\r\n".join(lines).encode()


async def _call_back(installation: Installation, statuses: list[int]) -> None:
    """Post signed callbacks about a payment again and again, no two the same."""
    query = "SELECT reference, amount FROM payment_intents WHERE status = 'succeeded' LIMIT 1"
    async with installation.superuser() as connection:
        paid = await connection.fetchrow(query)
    assert paid is not None, "students have paid"
    told = {"reference": paid["reference"], "status": "SUCCESS", "amount": paid["amount"] // SHILLING_MINOR}
    while True:
        body = json.dumps(told | {"number": len(statuses)}).encode()
        headers = {callback.SIGNATURE_HEADER: callback.signature(body, WEBHOOK_SECRET)}
        reply = await installation.http.post("/api/payments/lipana/callback", content=body, headers=headers)
        statuses.append(reply.status_code)
        await asyncio.sleep(CALLBACK_EVERY_S)


async def _hold_all(installation: Installation, load: Load, result: Result) -> None:
    """Have every connection of the pool wait for a lock, and ask who waits for one, and the probes."""
    loop, student = asyncio.get_running_loop(), load.students[0]
    holder: asyncpg.Connection
    async with installation.superuser() as holder, holder.transaction():
        await holder.execute("LOCK TABLE ledger_balances IN ACCESS EXCLUSIVE MODE")
        holding = [asyncio.create_task(load.look(student, "/api/wallet")) for _ in range(10)]
        await _all_wait(installation)
        started_at, address = loop.time(), f"http://127.0.0.1:{installation.apis[0].port}"
        probes = [asyncio.create_task(installation.http.get(f"{address}/health/{name}")) for name in ("live", "ready")]
        waiters = await asyncio.gather(*(load.ask(student, "GET", "/api/notifications") for _ in range(5)))
        refused_s = loop.time() - started_at
        live, ready = await asyncio.gather(*probes)
    await asyncio.gather(*holding)
    result.measure("waiters refused within", refused_s, WAITERS_REFUSED_WITHIN_S, "s")
    result.measure("waiters not refused with 503", sum(reply.status != 503 for reply, _ in waiters), 0)
    result.measure("liveness with no free connection", live.status_code, 200)
    result.measure("readiness with no free connection", ready.status_code, 503, is_floor=True)


async def _all_wait(installation: Installation) -> None:
    """Return once ten sessions wait for the lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with installation.superuser() as onlooker:

        async def do_all() -> bool:
            return bool(await onlooker.fetchval(query) >= 10)

        await until("ten sessions wait", do_all, within_s=5)
