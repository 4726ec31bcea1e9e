"""Write how figures grow: as JSON for programs, as a page for people, as curves."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.chart import lines_as_svg
from benchmarks.report import SLOWEST_MS_MAX, TAIL_RATIO_MAX, machine_line

GROWTH_RATIO_MAX = 1.2
"""G1: what ten times the rows may cost."""
HOT_RATIO_MIN = 0.8
"""G8."""
EFFECT_P99_MS_MAX = 250.0
"""G9: from an event to its effect."""
DRAINED_PER_S_MIN = 1_000.0
"""G9: how fast a full outbox empties; docs/adr/0032-speed-that-rules-cost.md says why not 2,000."""


def write(report: dict[str, Any], folder: Path) -> None:
    """Write `growth.json`, `growth.md` and `growth.svg` into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "growth.json").write_text(json.dumps(report, indent=2) + "\n")
    (folder / "growth.md").write_text(as_markdown(report))
    (folder / "growth.svg").write_text(as_svg(report))


def as_svg(report: dict[str, Any]) -> str:
    """Return the median time of each flow over the rows."""
    curves = {
        key: {int(rows): point["p50_ms"] for rows, point in curve["points"].items()}
        for key, curve in report["curves"].items()
    }
    subtitle = (
        f"Median time of a request at {report['plan']['connections']} connections over the rows of each table,"
        f" {report['made_at'][:10]}"
    )
    return lines_as_svg(curves, title="How soko grows", subtitle=subtitle, unit="ms")


def as_markdown(report: dict[str, Any]) -> str:
    """Return the report as a page."""
    plan = report["plan"]
    sizes = [str(rows) for rows in plan["sizes"]]
    steps = [f"x {int(after) // int(before):,}" for before, after in pairwise(sizes)]
    lines = [
        "# Growth: the latest run",
        "",
        f"Measured on {report['made_at'][:10]}: {machine_line(report['machine'])}",
        f"soko in one process, {plan['connections']} connections, the median of {plan['rounds']} rounds of"
        f" {plan['round_s']:g} s, the sizes in turn. A figure in bold misses its target.",
        "",
        "## Rows (G1)",
        "",
        f"p50 in ms by rows of open tasks, wallets, payments and submissions; ten times the rows may cost"
        f" {GROWTH_RATIO_MAX:g} times the time.",
        "",
        f"| | flow | {' | '.join([*(f'{int(rows):,}' for rows in sizes), *steps])} |",
        f"|---|---|{'--:|' * (len(sizes) + len(steps))}",
        *(_curve_row(key, curve, sizes) for key, curve in report["curves"].items()),
        "",
        "## Tails (G2)",
        "",
        f"At {int(sizes[-1]):,} rows. p99 within {TAIL_RATIO_MAX:g} times p50 at {plan['connections']} connections; no"
        f" request over {SLOWEST_MS_MAX:,.0f} ms at {plan['many_connections']}.",
        "",
        "| | p50 ms | p99 ms | p99 / p50 | slowest ms, crowd | refused, crowd |",
        "|---|--:|--:|--:|--:|--:|",
        *(_tail_row(key, curve["points"][sizes[-1]], report["crowd"][key]) for key, curve in report["curves"].items()),
        "",
        *_rest(report),
    ]
    return "\n".join(lines) + "\n"


def _rest(report: dict[str, Any]) -> list[str]:
    pages, hot, emptied = report["pages"], report["hot"], report["outbox"]
    return [
        "## Depth (G3)",
        "",
        f"Page {pages['deep_page']:,} of {pages['rows']:,} open tasks takes"
        f" {_bold(pages['ratio'], most=GROWTH_RATIO_MAX)} times as long as the first: {pages['deep_ms']:.2f} ms and"
        f" {pages['first_ms']:.2f} ms.",
        "",
        "## A hot account (G8)",
        "",
        f"{hot['connections']} connections release payments at once, with a database connection for each:"
        f" {hot['one_rps']:,.0f} a second where all fees go to one account, {hot['many_rps']:,.0f} where they go to"
        f" {hot['accounts']}: {_bold(hot['ratio'], least=HOT_RATIO_MIN)} (target {HOT_RATIO_MIN:g}). The domain knows"
        " one account of fees; a trigger spreads them over many, and runs in both cases.",
        "",
        "## The outbox (G9)",
        "",
        "One worker, whose subscriber only marks its messages done.",
        "",
        "| | figure | target |",
        "|---|--:|--:|",
        f"| from an event to its effect at {emptied['events_per_s']:,.0f} events/s, p50 | {emptied['p50_ms']:,.0f} ms"
        " | |",
        f"| the same, p99 | {_bold(emptied['p99_ms'], most=EFFECT_P99_MS_MAX, form=',.0f')} ms"
        f" | {EFFECT_P99_MS_MAX:,.0f} ms |",
        f"| events a second out of {emptied['backlog']:,} that wait, over {emptied['drained_s']:g} s"
        f" | {_bold(emptied['drained_per_s'], least=DRAINED_PER_S_MIN, form=',.0f')} | {DRAINED_PER_S_MIN:,.0f} |",
        f"| CPU seconds of the worker for 1,000 of them | {emptied['cpu_s_per_1000']} | |",
    ]


def _curve_row(key: str, curve: dict[str, Any], sizes: list[str]) -> str:
    times = [curve["points"][rows]["p50_ms"] for rows in sizes]
    ratios = [after / before for before, after in pairwise(times)]
    cells = [key, curve["title"], *(f"{time:.2f}" for time in times)]
    return f"| {' | '.join([*cells, *(_bold(ratio, most=GROWTH_RATIO_MAX) for ratio in ratios)])} |"


def _tail_row(key: str, point: dict[str, float], crowd: dict[str, float]) -> str:
    ratio = _bold(point["p99_ms"] / point["p50_ms"], most=TAIL_RATIO_MAX, form=".1f")
    slowest = _bold(crowd["max_ms"], most=SLOWEST_MS_MAX, form=",.0f")
    return f"| {key} | {point['p50_ms']:.2f} | {point['p99_ms']:.2f} | {ratio} | {slowest} | {crowd['refused']} |"


def _bold(value: float, *, most: float | None = None, least: float | None = None, form: str = ".2f") -> str:
    """Write a figure, in bold where it is beyond its limit."""
    is_kept = (most is None or value <= most) and (least is None or value >= least)
    return f"{value:{form}}" if is_kept else f"**{value:{form}}**"
