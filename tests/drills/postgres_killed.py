"""F2: the postmaster is killed with SIGKILL under load, with fsync on, and started again."""

import asyncio
import os
import random
import signal
from typing import Final

from tests.drills.drill import Result
from tests.drills.installation import Installation, installed, until
from tests.drills.load import Load
from tests.drills.verdict import judge

KILLS: Final = 6
SERVES_WITHIN_S: Final = 10.0
AWAY_S: Final = (0.5, 2.5)
BETWEEN_S: Final = (1.0, 3.0)


async def run(seed: int, size: float) -> Result:
    """Kill eight times."""
    async with installed() as installation:
        load = Load(installation, seed)
        await load.assemble()
        result = await crash(installation, load, seed, max(round(KILLS * size), 1))
        result.broken = await judge(installation, load.journal)
        return result


async def crash(installation: Installation, load: Load, seed: int, kills: int) -> Result:
    """Crash the database again and again while the load goes on."""
    chance, accepts_at, refused = random.Random(seed), [], 0
    loop = asyncio.get_running_loop()
    async with load.running():
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(*BETWEEN_S))
            before = len(load.journal.replies)
            os.kill(_postmaster(installation), signal.SIGKILL)
            await asyncio.sleep(chance.uniform(*AWAY_S))
            refused += sum(reply.status == 503 for reply in load.journal.replies[before:])
            await asyncio.to_thread(_start_again, installation)
            accepts_at.append(loop.time())
            await until("a request is served", lambda: _is_served(load, accepts_at[-1]), within_s=60)
    result = Result(f"{kills} crashes, {len(load.journal.entries)} operations")
    result.measure("first success after it accepts", max(map(load.journal.gap_s, accepts_at)), SERVES_WITHIN_S, "s")
    result.measure("503 while it was away", refused, 1, is_floor=True)
    result.measure("slowest reply", load.journal.longest_s(), SERVES_WITHIN_S, "s")
    result.measure_clients(load.journal, installation.logs())
    return result


async def _is_served(load: Load, since: float) -> bool:
    return load.journal.gap_s(since) < SERVES_WITHIN_S * 6


def _postmaster(installation: Installation) -> int:
    return int((installation.postgres.data_dir / "postmaster.pid").read_text().splitlines()[0])


def _start_again(installation: Installation) -> None:
    """Start the server on the files that the crash left; returns once it accepts."""
    installation.postgres.stop()  # nothing is there to stop; this lets go of the folder
    installation.postgres.start()
