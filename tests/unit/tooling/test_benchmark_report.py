"""What `make bench` writes is read by people and quoted by the README."""

from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import growth_report, report
from benchmarks.bench import COMPARED_MAX, Subjects
from benchmarks.chart import Bars, bars_as_svg, lines_as_svg
from benchmarks.data import Scale
from benchmarks.flows import FLOWS

SVG = "{http://www.w3.org/2000/svg}"


def figures(
    rps: float, *, p50: float = 2.0, p99: float = 4.0, slowest: float = 90.0, refused: int = 0
) -> dict[str, Any]:
    crowded = {"rps": rps, "p99_ms": 60.0, "max_ms": slowest, "refused": refused}
    return {"rps": rps, "p50_ms": p50, "p99_ms": p99, "cpu_s_per_1000": 1.5, "rss_mib": 130.0, "crowded": crowded}


def measured() -> dict[str, Any]:
    claim = {"title": "POST claim", "soko": figures(600), "floor": figures(1_000), "drf": figures(100)}
    login = {"title": "POST <login>", "soko": figures(40, p99=9.0, slowest=1_500, refused=12), "floor": figures(40)}
    facts = {"cpu": "A", "cores": 2, "memory_gib": 4, "system": "Linux", "python": "3.11", "postgres": "18"}
    return {
        "made_at": "2026-01-02T03:04:05+00:00",
        "machine": {**facts, "generator": "wrk"},
        "plan": {"rounds": 3, "round_s": 6, "connections": 16, "many_connections": 256, "rows": {"wallets": 1_000}},
        "soko_start_s": 2.5,
        "pages": None,
        "flows": {
            "P3": {**claim, "ratio": {"floor": 0.6, "drf": 6.0}, "target": {"floor": 0.7, "drf": 4}},
            "P8": {**login, "ratio": {"floor": 1.0}, "target": {"floor": 0.9}},
        },
    }


def test_each_ratio_stands_with_its_target_and_a_missed_one_in_bold() -> None:
    page = report.as_markdown(measured())
    assert "| P3 | POST claim | 600 | 1,000 | 100 | - | **0.60** (≥ 0.7) | 6.00 (≥ 4) | - | 2.00 | 4.00 |" in page
    assert "| P8 | POST <login> | 40 | 40 | - | - | 1.00 (≥ 0.9) | - | - | 2.00 | 9.00 |" in page
    assert "Measured on 2026-01-02: A, 2 cores" in page


def test_broken_limits_are_said() -> None:
    page = report.as_markdown(measured())
    assert "- P8: p99 is 4.5 times p50, above 4." in page
    assert "- P8: with many connections one request took 1,500 ms." in page
    assert "- P8: with many connections 12 were refused after their wait." in page
    assert "- P3:" not in page


def test_a_crowd_may_wait_as_long_as_the_floor_makes_it_wait() -> None:
    report_of_crowd = measured()
    claim = report_of_crowd["flows"]["P3"]
    claim["soko"]["crowded"]["max_ms"], claim["floor"]["crowded"]["max_ms"] = 1_300.0, 1_300.0
    assert "- P3:" not in report.as_markdown(report_of_crowd)
    claim["floor"]["crowded"]["max_ms"] = 1_299.0
    assert "- P3: with many connections one request took 1,300 ms." in report.as_markdown(report_of_crowd)


def test_the_readme_takes_over_the_figures_and_nothing_else() -> None:
    page = report.as_markdown(measured())
    readme = f"before\n{report.QUOTE_BEGINS}of last year\n{report.QUOTE_ENDS}\nafter\n"
    quoted = report.quote(page, readme)
    assert quoted.startswith("before\n")
    assert quoted.endswith("\nafter\n")
    assert "| P3 |" in quoted
    assert "of last year" not in quoted
    assert "crowd p99" not in quoted
    assert report.quote(page, quoted) == quoted
    with pytest.raises(ValueError, match="no place"):
        report.quote(page, "a README without figures")


def test_bars_are_as_long_as_their_figures_and_keep_their_color() -> None:
    drawing = ElementTree.fromstring(report.as_svg(measured()))  # noqa: S314  our own text
    bars = drawing.findall(f"{SVG}rect")
    assert [bar.get("class") for bar in bars] == ["s0", "s1", "s2", "s0", "s1"]
    lengths = [float(bar.get("width", "")) for bar in bars]
    assert lengths[0] == pytest.approx(0.6 * lengths[1], abs=0.1)
    assert lengths[2] == pytest.approx(0.1 * lengths[1], abs=0.1)
    assert lengths[3] == lengths[4] == lengths[1]  # each flow has its own scale
    assert "POST <login>" in "".join(drawing.itertext())


def test_a_bar_of_nothing_is_still_drawn() -> None:
    drawing = bars_as_svg([Bars(title="t", values={"soko": 0})], series=("soko",), title="t", subtitle="s")
    assert 'width="1.0"' in drawing


def test_curves_stand_over_powers_of_ten() -> None:
    curves = {"P1": {10_000: 2.0, 100_000: 2.0, 1_000_000: 4.0}}
    drawing = ElementTree.fromstring(lines_as_svg(curves, title="t", subtitle="s", unit="ms"))  # noqa: S314
    points = [(float(dot.get("cx", "")), float(dot.get("cy", ""))) for dot in drawing.findall(f"{SVG}circle")]
    assert points[1][0] - points[0][0] == pytest.approx(points[2][0] - points[1][0])
    assert points[0][1] == points[1][1] > points[2][1]


def test_no_subject_is_offered_twice_and_what_is_left_over_goes_to_the_turns_after() -> None:
    claims = next(flow for flow in FLOWS if flow.key == "P3")
    subjects = Subjects(claims, Scale(open_tasks=100 + COMPARED_MAX), turns=4)
    assert subjects.offered() == (1 + COMPARED_MAX, 25)
    subjects.use(10)
    assert subjects.offered() == (11 + COMPARED_MAX, 30)
    subjects.use(30)
    assert subjects.offered() == (41 + COMPARED_MAX, 30)
    subjects.use(46)  # with requests that were cut off: there were no more than 30
    assert subjects.offered() == (71 + COMPARED_MAX, 30)


def grown(p50: float, *, p99: float = 0) -> dict[str, float]:
    return {"p50_ms": p50, "p99_ms": p99 or 2 * p50, "rps": 100.0}


def test_the_page_of_growth_marks_what_grows_too_fast() -> None:
    points = {"10000": grown(2.0), "100000": grown(2.2), "1000000": grown(3.3, p99=20.0)}
    page = growth_report.as_markdown(
        {
            **{name: measured()[name] for name in ("made_at", "machine")},
            "plan": {"sizes": [10_000, 100_000, 1_000_000], "rounds": 3, "round_s": 6, "connections": 16,
                     "many_connections": 256},
            "curves": {"P1": {"title": "GET tasks", "points": points}},
            "crowd": {"P1": {"max_ms": 1_200.0, "p99_ms": 800.0, "refused": 7}},
            "pages": {"rows": 1_000_000, "deep_page": 5_000, "first_ms": 2.0, "deep_ms": 2.2, "ratio": 1.1},
            "hot": {"connections": 64, "accounts": 64, "one_rps": 70.0, "many_rps": 100.0, "ratio": 0.7},
            "outbox": {"events_per_s": 500.0, "p50_ms": 10.0, "p99_ms": 80.0, "backlog": 1_000_000,
                       "drained_s": 30, "drained_per_s": 900.0, "cpu_s_per_1000": 0.6},
        }
    )  # fmt: skip
    assert "| | flow | 10,000 | 100,000 | 1,000,000 | x 10 | x 10 |" in page
    assert "| P1 | GET tasks | 2.00 | 2.20 | 3.30 | 1.10 | **1.50** |" in page
    assert "| P1 | 3.30 | 20.00 | **6.1** | **1,200** | 7 |" in page
    assert "takes 1.10 times as long as the first" in page
    assert "**0.70** (target 0.8)" in page
    assert "| the same, p99 | 80 ms | 250 ms |" in page
    assert "| **900** | 1,000 |" in page
