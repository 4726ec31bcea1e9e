"""Write what was measured: as JSON for programs, as a page for people, as a chart."""

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.chart import Bars, bars_as_svg

TAIL_RATIO_MAX = 4.0
"""G2: p99 over p50 with few connections."""
SLOWEST_MS_MAX = 1_000.0
"""G2: the slowest request with many connections; login apart, and unless it takes the floor longer."""
OTHERS = ("floor", "drf", "fastapi")
QUOTE_BEGINS, QUOTE_ENDS = "<!-- bench -->\n", "<!-- /bench -->"
"""What stands between them in a page is what the README quotes."""


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def write(report: dict[str, Any], folder: Path) -> None:
    """Write `latest.json`, `latest.md` and `latest.svg` into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "latest.json").write_text(json.dumps(report, indent=2) + "\n")
    (folder / "latest.md").write_text(as_markdown(report))
    (folder / "latest.svg").write_text(as_svg(report))


def quote(page: str, readme: str) -> str:
    """Return the README with what it quotes of the page. Raises ValueError where one of the two has no such part."""
    _, _, rest = page.partition(QUOTE_BEGINS)
    before, begins, old = readme.partition(QUOTE_BEGINS)
    quoted, ends, _ = rest.partition(QUOTE_ENDS)
    _, old_ends, after = old.partition(QUOTE_ENDS)
    if not (begins and ends and old_ends):
        raise ValueError("there is no place for the figures")
    return f"{before}{QUOTE_BEGINS}{quoted}{QUOTE_ENDS}{after}"


def machine_line(facts: dict[str, Any]) -> str:
    """Say in one sentence where the figures come from."""
    return (
        f"{facts['cpu']}, {facts['cores']} cores shared by the load, the servers and PostgreSQL {facts['postgres']};"
        f" {facts['memory_gib']} GiB; {facts['system']}; Python {facts['python']}; load by {facts['generator']}."
    )


def as_markdown(report: dict[str, Any]) -> str:
    """Return the report as a page."""
    plan, flows = report["plan"], report["flows"]
    lines = [
        "# Benchmark: the latest run",
        "",
        QUOTE_BEGINS.rstrip(),
        f"Measured on {report['made_at'][:10]}: {machine_line(report['machine'])}",
        f"Requests a second, the median of {plan['rounds']} interleaved rounds of {plan['round_s']:g} s at"
        f" {plan['connections']} connections; then how many times as many soko answers, with the target."
        " A ratio in bold misses its target.",
        "",
        "| | flow | soko | floor | drf | fastapi | of the floor | x drf | x fastapi | soko p50 ms | soko p99 ms |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
        *(_row(key, flow) for key, flow in flows.items()),
        QUOTE_ENDS,
        "",
        f"Rows: {', '.join(f'{name} {count:,}' for name, count in plan['rows'].items())}."
        f" soko answered its first request {report['soko_start_s']:g} s after its start.",
        "",
        "| | contender | requests /s | p50 ms | p99 ms | CPU s/1,000 | RSS MiB | crowd /s | crowd p99 ms"
        " | slowest ms, crowd |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        *(_contender_row(key, name, flow[name]) for key, flow in flows.items() for name in _names(flow)),
        "",
        f"The crowd has {plan['many_connections']} connections." if plan["many_connections"] else "There was no crowd.",
        "",
        *_limits(flows),
    ]
    if pages := report["pages"]:
        lines.append(
            f"- A page from the second half of a list takes {pages['ratio']:.2f} times as long as the first (G3):"
            f" {pages['deep_ms']:.2f} ms and {pages['first_ms']:.2f} ms."
        )
    return "\n".join(lines) + "\n"


def as_svg(report: dict[str, Any]) -> str:
    """Return the requests a second as a chart."""
    groups = [
        Bars(title=f"{key}  {flow['title']}", values={name: flow[name]["rps"] for name in _names(flow)})
        for key, flow in report["flows"].items()
    ]
    subtitle = (
        f"Requests a second, {report['made_at'][:10]}, {report['machine']['cores']} cores."
        " Each flow has a scale of its own; longer is better."
    )
    return bars_as_svg(groups, series=("soko", *OTHERS), title="Soko and its peers", subtitle=subtitle)


def _names(flow: dict[str, Any]) -> Sequence[str]:
    return [name for name in ("soko", *OTHERS) if name in flow]


def _row(key: str, flow: dict[str, Any]) -> str:
    speeds = [f"{flow[name]['rps']:,.0f}" if name in flow else "-" for name in ("soko", *OTHERS)]
    ours = flow["soko"]
    ratios = [_ratio(flow, name) for name in OTHERS]
    cells = [key, flow["title"], *speeds, *ratios, f"{ours['p50_ms']:.2f}", f"{ours['p99_ms']:.2f}"]
    return f"| {' | '.join(cells)} |"


def _ratio(flow: dict[str, Any], name: str) -> str:
    if name not in flow["ratio"]:
        return "-"
    ratio, target = flow["ratio"][name], flow["target"][name]
    shown = f"{ratio:.2f}" if ratio >= target else f"**{ratio:.2f}**"
    return f"{shown} (≥ {target:g})"


def _contender_row(key: str, name: str, figures: dict[str, Any]) -> str:
    crowd = figures["crowded"]
    crowded = [f"{crowd['rps']:,.0f}", f"{crowd['p99_ms']:,.0f}", f"{crowd['max_ms']:,.0f}"] if crowd else ["-"] * 3
    speeds = [f"{figures['rps']:,.0f}", f"{figures['p50_ms']:.2f}", f"{figures['p99_ms']:.2f}"]
    cells = [key, name, *speeds, str(figures["cpu_s_per_1000"]), str(figures["rss_mib"]), *crowded]
    return f"| {' | '.join(cells)} |"


def _limits(flows: dict[str, Any]) -> list[str]:
    """Say which limits soko did not keep (G2)."""
    said = []
    for key, flow in flows.items():
        ours = flow["soko"]
        if ours["p99_ms"] > TAIL_RATIO_MAX * ours["p50_ms"]:
            said.append(f"- {key}: p99 is {ours['p99_ms'] / ours['p50_ms']:.1f} times p50, above {TAIL_RATIO_MAX:g}.")
        if ours["crowded"] and ours["crowded"]["max_ms"] > _slowest_allowed_ms(flow):
            said.append(f"- {key}: with many connections one request took {ours['crowded']['max_ms']:,.0f} ms.")
        if ours["crowded"] and ours["crowded"]["refused"]:
            said.append(f"- {key}: with many connections {ours['crowded']['refused']:,} were refused after their wait.")
    return said or ["No limit was broken: p99 within 4 times p50, no request over 1 s, or the floor's, with many."]


def _slowest_allowed_ms(flow: dict[str, Any]) -> float:
    floor = flow.get("floor", {}).get("crowded")
    return max(SLOWEST_MS_MAX, floor["max_ms"] if floor else 0.0)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        return platform.processor() or platform.machine()
    found = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(found, platform.machine())
