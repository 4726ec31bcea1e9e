"""Write what was measured: as JSON for programs, as a table for people."""

import json
import os
import platform
from pathlib import Path
from typing import Any

TAIL_RATIO_MAX = 4.0
"""G2: p99 over p50 with few connections."""
SLOWEST_MS_MAX = 1_000.0
"""G2: the slowest request with many connections; login apart."""


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
    """Write `latest.json` and `latest.md` into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "latest.json").write_text(json.dumps(report, indent=2) + "\n")
    (folder / "latest.md").write_text(as_markdown(report))


def as_markdown(report: dict[str, Any]) -> str:
    """Return the report as a page."""
    facts, plan = report["machine"], report["plan"]
    lines = [
        "# Benchmark: the latest run",
        "",
        f"{facts['cpu']}, {facts['cores']} cores shared by the load, the server and PostgreSQL {facts['postgres']};"
        f" {facts['memory_gib']} GiB; {facts['system']}; Python {facts['python']}; load by {facts['generator']}.",
        f"Medians of {plan['rounds']} interleaved rounds of {plan['round_s']:g} s at {plan['connections']} connections,"
        f" one process each. Rows: {', '.join(f'{name} {count:,}' for name, count in plan['rows'].items())}.",
        f"soko answered its first request {report['soko_start_s']:g} s after its start.",
        "",
        "| | flow | soko /s | floor /s | of floor | target | p50 ms | p99 ms | floor p99 ms | CPU s/1,000"
        " | floor CPU | RSS MiB | slowest ms, crowd |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for key, flow in report["flows"].items():
        ours, floor, ratio, target = flow["soko"], flow["floor"], flow["ratio"]["floor"], flow["target"]["floor"]
        shown = f"{ratio:.2f}" if ratio >= target else f"**{ratio:.2f}**"
        slowest = f"{ours['crowded']['max_ms']:,.0f}" if ours["crowded"] else "-"
        lines.append(
            f"| {key} | {flow['title']} | {ours['rps']:,.0f} | {floor['rps']:,.0f} | {shown} | {target:g}"
            f" | {ours['p50_ms']:.2f} | {ours['p99_ms']:.2f} | {floor['p99_ms']:.2f} | {ours['cpu_s_per_1000']}"
            f" | {floor['cpu_s_per_1000']} | {ours['rss_mib']} | {slowest} |"
        )
    lines += ["", *_limits(report["flows"])]
    if pages := report["pages"]:
        lines.append(
            f"- A page from the second half of a list takes {pages['ratio']:.2f} times as long as the first (G3):"
            f" {pages['deep_ms']:.2f} ms and {pages['first_ms']:.2f} ms."
        )
    return "\n".join(lines) + "\n"


def _limits(flows: dict[str, Any]) -> list[str]:
    """Say which limits were not kept."""
    said = []
    for key, flow in flows.items():
        ours = flow["soko"]
        if ours["p99_ms"] > TAIL_RATIO_MAX * ours["p50_ms"]:
            said.append(f"- {key}: p99 is {ours['p99_ms'] / ours['p50_ms']:.1f} times p50, above {TAIL_RATIO_MAX:g}.")
        if ours["crowded"] and ours["crowded"]["max_ms"] > SLOWEST_MS_MAX:
            said.append(f"- {key}: with many connections one request took {ours['crowded']['max_ms']:,.0f} ms.")
    return said or ["No limit was broken: p99 within 4 times p50, no request over 1 s with many connections."]


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        return platform.processor() or platform.machine()
    found = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(found, platform.machine())
