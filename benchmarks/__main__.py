"""`make bench`: measure soko, its floor and its peers side by side.

`make bench ARGS="--help"` lists what can be chosen.
"""

import argparse
import asyncio
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import growth, growth_report, report
from benchmarks.bench import Plan, WrongAnswer, run
from benchmarks.contenders import ROOT, ServerFailed
from benchmarks.data import Scale
from benchmarks.flows import FLOWS
from benchmarks.load.generators import LoadFailed, find_generator
from benchmarks.outbox import OutboxPlan

RESULTS = Path(__file__).parent / "results"
SMOKE_DIVISOR = 50
SMOKE_CONNECTIONS = 4
"""So few that each gets a reply in a second, on a machine that has other things to do."""
SMOKE_CROWD = 32
SMOKE_SIZES = (400, 4_000)


def main() -> int:
    """Run the command line and return its exit status: 0 when every answer was right, 1 when one was not."""
    keys = [flow.key for flow in FLOWS]
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--flows", default=",".join(keys), help="which flows, such as P1,P3 (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds of each contender (default: 3)")
    parser.add_argument("--seconds", type=float, default=6, help="length of a round (default: 6)")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--crowd", type=int, default=256, help="connections of the last round (default: 256)")
    parser.add_argument("--generator", choices=("auto", "wrk", "k6"), default="auto")
    parser.add_argument("--shrink", type=int, default=1, help="so many times fewer rows (default: 1)")
    parser.add_argument("--smoke", action="store_true", help="few rows, one short round: to see that it works")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="folder for latest.json, latest.md and latest.svg"
    )
    parser.add_argument("--quote", action="store_true", help="measure nothing: copy the latest table into the README")
    parser.add_argument("--growth", action="store_true", help="measure growth instead: growth.json, .md and .svg")
    parser.add_argument("--largest", type=int, default=1_000_000, help="rows of the largest size of --growth")
    chosen = parser.parse_args()
    if chosen.quote:
        readme = ROOT / "README.md"
        readme.write_text(report.quote((chosen.results / "latest.md").read_text(), readme.read_text()))
        return 0
    if chosen.growth:
        return _grow(chosen)
    wanted = chosen.flows.split(",")
    if unknown := set(wanted) - set(keys):
        parser.error(f"no such flow: {', '.join(sorted(unknown))}")
    plan = Plan(
        scale=Scale().divided_by(SMOKE_DIVISOR if chosen.smoke else chosen.shrink),
        flows=wanted,
        rounds=1 if chosen.smoke else chosen.rounds,
        round_s=1 if chosen.smoke else chosen.seconds,
        warm_up_s=1 if chosen.smoke else 2,
        connections=SMOKE_CONNECTIONS if chosen.smoke else chosen.connections,
        many_connections=0 if chosen.smoke else chosen.crowd,
    )
    try:
        measured = asyncio.run(_measure(plan, chosen.generator))
    except (WrongAnswer, ServerFailed, LoadFailed) as error:
        _say(f"no result: {error}")
        return 1
    report.write(measured, chosen.results)
    print(report.as_markdown(measured))
    return 0


def _grow(chosen: argparse.Namespace) -> int:
    """Measure growth as the command line says, and return its exit status."""
    largest = SMOKE_SIZES[-1] if chosen.smoke else chosen.largest
    sizes = SMOKE_SIZES if chosen.smoke else (*(rows for rows in growth.SIZES if rows < largest), largest)
    round_s = 1 if chosen.smoke else chosen.seconds
    plan = growth.GrowthPlan(
        sizes=sizes,
        rounds=1 if chosen.smoke else chosen.rounds,
        round_s=round_s,
        connections=SMOKE_CONNECTIONS if chosen.smoke else chosen.connections,
        many_connections=SMOKE_CROWD if chosen.smoke else chosen.crowd,
        outbox=OutboxPlan(
            events_per_s=500,
            paced_s=2 if chosen.smoke else 20,
            backlog=largest,
            drained_s=2 if chosen.smoke else 30,
        ),
    )
    try:
        measured = asyncio.run(_measure_growth(plan, chosen.generator))
    except (WrongAnswer, ServerFailed, LoadFailed) as error:
        _say(f"no result: {error}")
        return 1
    growth_report.write(measured, chosen.results)
    print(growth_report.as_markdown(measured))
    return 0


async def _measure_growth(plan: growth.GrowthPlan, generator_name: str) -> dict[str, object]:
    generator = await find_generator(generator_name)
    measured = await growth.run(plan, generator, _say)
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {**report.machine(), "postgres": measured.pop("postgres"), "generator": generator.name},
        "plan": asdict(plan),
        **measured,
    }


async def _measure(plan: Plan, generator_name: str) -> dict[str, object]:
    generator = await find_generator(generator_name)
    measured = await run(plan, generator, _say)
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {**report.machine(), "postgres": measured["postgres"], "generator": generator.name},
        "plan": {
            "rounds": plan.rounds,
            "round_s": plan.round_s,
            "connections": plan.connections,
            "many_connections": plan.many_connections,
            "rows": asdict(plan.scale),
        },
        "soko_start_s": measured["soko_start_s"],
        "pages": measured["pages"],
        "flows": measured["flows"],
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
