"""F4: the wires to the database and to the provider are slow, dead, half open, throttled, or cut during COMMIT."""

import asyncio
import random
from collections.abc import Callable
from typing import Final

from tests.drills.drill import Result
from tests.drills.installation import Installation, installed
from tests.drills.load import Load
from tests.drills.proxy import Proxy, Wire
from tests.drills.verdict import judge

ANSWERED_WITHIN_S: Final = 10.0
HEALED_WITHIN_S: Final = 10.0
FAULT_S: Final = 12.0
HEALTHY_S: Final = 3.0
OPENS_AFTER: Final = 5
"""Failures in a row after which a provider is left alone."""

CLOSES_WITHIN_S: Final = 45.0
"""The circuit is open for 30 s, then one request is let through."""

RESETS: Final = 40
_OPEN_WHILE_ASKED: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND state = 'idle in transaction' AND clock_timestamp() - state_change > interval '1 s'"
)


def _slow(wire: Wire) -> None:
    wire.delay_s = 2.0


def _cut_during_commit(wire: Wire) -> None:
    wire.resets_on, wire.resets_left = b"COMMIT", RESETS


def _dead(wire: Wire) -> None:
    wire.is_dead = True


def _half_open(wire: Wire) -> None:
    wire.is_half_open = True


def _throttled(wire: Wire) -> None:
    wire.bytes_per_s = 1


DATABASE_FAULTS: Final[tuple[tuple[str, Callable[[Wire], None]], ...]] = (
    ("2 s slower", _slow),
    ("cut during COMMIT", _cut_during_commit),
    ("dead", _dead),
    ("half open", _half_open),
    ("1 byte/s", _throttled),
)


async def run(seed: int, size: float) -> Result:
    """Go through all faults of both wires, in an order that the seed decides."""
    async with installed(wires=True) as installation:
        load = Load(installation, seed, people=4)
        await load.assemble()
        result = await disturb(installation, load, seed, size)
        result.broken = await judge(installation, load.journal)
        return result


async def disturb(installation: Installation, load: Load, seed: int, size: float) -> Result:
    """Let one wire at a time be faulty while the load goes on."""
    database, provider = installation.database_wire, installation.provider_wire
    assert database is not None, "installed with wires"
    assert provider is not None, "installed with wires"
    chance = random.Random(seed)
    faults = chance.sample(DATABASE_FAULTS, len(DATABASE_FAULTS))
    result = Result("")
    healed_s: list[float] = []
    async with load.running():
        for _, spoil in faults:
            healed_s.append(await _spoil(load, database, spoil, FAULT_S * max(size, 0.3)))
        resets = database.wire.resets_done
        held = await _dead_provider(installation, load, provider)
        closed_s = await _closes(load)
    result.size = f"{len(faults) + 1} faults, {len(load.journal.entries)} operations, {resets} cut during COMMIT"
    result.measure("slowest reply", load.journal.longest_s(), ANSWERED_WITHIN_S, "s")
    result.measure("served again once healed", max(healed_s), HEALED_WITHIN_S, "s")
    result.measure("requests without any answer", _unanswered(load), 0)
    result.measure("connections cut during COMMIT", resets, 1, is_floor=True)
    result.measure("transactions open while the provider is asked", held, 0)
    opened = _breaker_opened(load)
    result.measure("refusals at once of the open circuit", opened, 1, is_floor=True)
    result.measure("circuit closed again after", closed_s, CLOSES_WITHIN_S, "s")
    result.measure_clients(load.journal, installation.logs())
    return result


async def _spoil(load: Load, proxy: Proxy, spoil: Callable[[Wire], None], seconds: float) -> float:
    """Have a wire faulty for a while, and return how long after its healing a request was answered."""
    await asyncio.sleep(HEALTHY_S)
    spoil(proxy.wire)
    await asyncio.sleep(seconds)
    proxy.heal()
    healed_at = asyncio.get_running_loop().time()
    await asyncio.sleep(HEALTHY_S)
    while load.journal.gap_s(healed_at) == float("inf"):
        if asyncio.get_running_loop().time() - healed_at > 3 * HEALED_WITHIN_S:
            break
        await asyncio.sleep(0.2)
    return load.journal.gap_s(healed_at)


async def _dead_provider(installation: Installation, load: Load, proxy: Proxy) -> int:
    """Have the provider silent until its circuit opens; return how often a transaction was open meanwhile."""
    held = 0
    proxy.wire.is_dead = True
    async with installation.superuser() as connection:
        asking = [asyncio.create_task(load.top_up_once(student)) for student in load.students * 3]
        while not all(task.done() for task in asking):
            held = max(held, await connection.fetchval(_OPEN_WHILE_ASKED))
            await asyncio.sleep(0.1)
        for student in load.students * 2:
            await load.top_up_once(student)
    proxy.cut()
    proxy.heal()
    return held


def _breaker_opened(load: Load) -> int:
    return sum(reply.code == "payments.gateway_unavailable" and reply.took_s < 2 for reply in load.journal.replies)


async def _closes(load: Load) -> float:
    """Ask until the provider is asked again; return how long that took, in seconds."""
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    while loop.time() - started_at < 2 * CLOSES_WITHIN_S:
        if all([await load.top_up_once(load.students[0]) == 201 for _ in range(4)]):  # by both processes
            return loop.time() - started_at
        await asyncio.sleep(1)
    return float("inf")


def _unanswered(load: Load) -> int:
    return sum(reply.status == 0 for reply in load.journal.replies)
