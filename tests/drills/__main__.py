"""`make drill`: real processes under load while they are killed, cut off and overrun, and the oracle's word on each.

`make drill ARGS="--seed 7 --only F1,F2"` repeats with a seed; `--size 0.2` runs a fifth of each.
"""

import argparse
import asyncio
import secrets
import signal
import sys
import time
from typing import Final

import uvloop

from tests.drills import api_killed, hang_ups, network, overload, postgres_killed, redis_gone, rolling
from tests.drills.drill import Drill, Result

DRILLS: Final = (
    Drill("F1", "API processes are killed", api_killed.run),
    Drill("F2", "PostgreSQL crashes", postgres_killed.run),
    Drill("F3", "Redis is killed, wiped, frozen and full", redis_gone.run),
    Drill("F4", "the wires to the database and to the provider are faulty", network.run),
    Drill("F7", "clients hang up", hang_ups.run),
    Drill("R3", "API processes are restarted one after the other", rolling.run),
    Drill("R4", "fifteen times the clients that can be served", overload.run),
)
DRILL_S_MAX: Final = 600.0
"""A drill that takes longer hangs, which is a failure too."""


def main() -> int:
    """Run the drills that were asked for, print a table, and return 1 if any of them failed."""
    parser = argparse.ArgumentParser(
        prog="make drill", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=None, help="what is done follows from it; default: a random one")
    parser.add_argument("--only", default="", help=f"names, with commas: {','.join(drill.name for drill in DRILLS)}")
    parser.add_argument("--size", type=float, default=1.0, help="1 is the whole, 0.1 a tenth")
    arguments = parser.parse_args()
    wanted = [name.strip().upper() for name in arguments.only.split(",") if name.strip()]
    unknown = sorted(set(wanted) - {drill.name for drill in DRILLS})
    if unknown:
        parser.error(f"there is no drill {', '.join(unknown)}")
    seed = secrets.randbelow(10**6) if arguments.seed is None else arguments.seed
    chosen = [drill for drill in DRILLS if not wanted or drill.name in wanted]
    print(f"Seed {seed}, size {arguments.size:g}.", flush=True)
    rows = [_row(drill, seed, arguments.size) for drill in chosen]
    print()
    print(f"{'drill':<6}{'seed':<8}{'took':>7}  {'oracle':<8}size and what was measured against its goal")
    for row in rows:
        print(row)
    return 1 if any(" red " in row for row in rows) else 0


def _row(drill: Drill, seed: int, size: float) -> str:
    print(f"{drill.name}: {drill.about} ...", flush=True)
    started_at = time.monotonic()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(_bounded(drill, seed, size))
    except Exception as error:
        result = Result("not finished", broken={"drill": [f"{type(error).__name__}: {str(error)[-380:]}"]})
    for failure in result.failures:
        print(f"  {failure}")
    if result.failures:
        for note in result.notes:
            print(f"  {note}")
        print(f'  again: make drill ARGS="--seed {seed} --only {drill.name} --size {size:g}"', flush=True)
    verdict = "red" if result.failures else "green"
    measures = "; ".join(map(str, result.measures))
    return f"{drill.name:<6}{seed:<8}{time.monotonic() - started_at:>5.0f} s  {verdict:<8}{result.size}; {measures}"


async def _bounded(drill: Drill, seed: int, size: float) -> Result:
    """Run a drill for as long as one may take; also when we are told to end, everything it started is ended."""
    task = asyncio.current_task()
    assert task is not None, "a drill runs in a task"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with asyncio.timeout(DRILL_S_MAX):
        return await drill.run(seed, size)


if __name__ == "__main__":
    sys.exit(main())
