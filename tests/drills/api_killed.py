"""F1: API processes are killed with SIGKILL at random moments under load."""

import asyncio
import random
from typing import Final

from tests.drills.drill import Result
from tests.drills.installation import Installation, installed
from tests.drills.load import Load
from tests.drills.verdict import judge

KILLS: Final = 8
BACK_WITHIN_S: Final = 5.0
BETWEEN_S: Final = (0.3, 2.0)


async def run(seed: int, size: float) -> Result:
    """Kill so many times, one process at a time."""
    async with installed() as installation:
        load = Load(installation, seed)
        await load.assemble()
        kills = max(round(KILLS * size), 2)
        result = await kill(installation, load, seed, kills)
        result.broken = await judge(installation, load.journal)
        return result


async def kill(installation: Installation, load: Load, seed: int, kills: int) -> Result:
    """Kill and start one of the API processes again and again while the load goes on."""
    chance, killed_at, start_s = random.Random(seed), [], []
    async with load.running():
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(*BETWEEN_S))
            process = chance.choice(installation.apis)
            process.kill()
            killed_at.append(asyncio.get_running_loop().time())
            start_s.append(await installation.start(process))
    operations = f"{len(load.journal.entries)} operations"
    result = Result(f"{kills} kills, {operations}, a process is up again after {max(start_s):.1f} s at most")
    result.measure("served again after a kill", max(map(load.journal.gap_s, killed_at)), BACK_WITHIN_S, "s")
    result.measure_clients(load.journal, installation.logs())
    return result
