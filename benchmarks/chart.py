"""Draw charts as SVG for light and for dark paper: bars in groups, and lines over orders of magnitude."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH = 820
LEFT = 20
LABEL = 76
"""Room for the name of a bar."""
BAR, BAR_STEP, GROUP_GAP = 15, 19, 18
VALUE = 90
"""Room for the figure after a bar."""
HEAD = 86

STYLE = """<style>
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 18px; font-weight: 600 }
  .quiet { fill: #59636e }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .s0 { fill: #0969da } .s1 { fill: #8c959f } .s2 { fill: #bf8700 } .s3 { fill: #1a7f37 }
  .s4 { fill: #8250df } .l4 { stroke: #8250df }
  .l0 { stroke: #0969da } .l1 { stroke: #8c959f } .l2 { stroke: #bf8700 } .l3 { stroke: #1a7f37 }
  path { fill: none; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .quiet { fill: #9198a1 }
    .grid { stroke: #3d444d }
    .s0 { fill: #4493f8 } .s1 { fill: #848d97 } .s2 { fill: #d29922 } .s3 { fill: #3fb950 }
    .s4 { fill: #ab7df8 } .l4 { stroke: #ab7df8 }
    .l0 { stroke: #4493f8 } .l1 { stroke: #848d97 } .l2 { stroke: #d29922 } .l3 { stroke: #3fb950 }
  }
</style>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """A group of bars that are compared with each other."""

    title: str
    values: Mapping[str, float]


def bars_as_svg(groups: Sequence[Bars], *, series: Sequence[str], title: str, subtitle: str) -> str:
    """Draw groups of horizontal bars, each group on a scale of its own. A series has the same color in every group."""
    parts, y = [], HEAD
    longest = WIDTH - LEFT - LABEL - VALUE
    for group in groups:
        parts.append(_text(LEFT, y, group.title))
        y += 8
        most = max(group.values.values())
        for name, value in group.values.items():
            length = max(1.0, value / most * longest) if most > 0 else 1.0
            parts += [
                _text(LEFT, y + 12, name, "quiet"),
                f'<rect class="s{series.index(name)}" x="{LEFT + LABEL}" y="{y}" width="{length:.1f}" height="{BAR}"'
                ' rx="2"/>',
                _text(LEFT + LABEL + length + 6, y + 12, f"{value:,.0f}"),
            ]
            y += BAR_STEP
        y += GROUP_GAP
    return _drawing(parts, height=y, title=title, subtitle=subtitle)


def lines_as_svg(
    curves: Mapping[str, Mapping[int, float]], *, title: str, subtitle: str, unit: str, height: int = 420
) -> str:
    """Draw curves over powers of ten, from zero up."""
    at = sorted({x for curve in curves.values() for x in curve})
    top = _round_up(max(y for curve in curves.values() for y in curve.values()))
    left, right, upper, lower = LEFT + 60, WIDTH - 120, HEAD, height - 40
    first, last = math.log10(at[0]), math.log10(at[-1])

    def across(x: int) -> float:
        return left + (right - left) * ((math.log10(x) - first) / (last - first) if last > first else 0.5)

    def down(y: float) -> float:
        return lower - (lower - upper) * y / top

    parts = []
    for step in range(5):
        y = top * step / 4
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{down(y):.1f}" y2="{down(y):.1f}"/>')
        parts.append(_text(LEFT, down(y) + 4, f"{y:g} {unit}", "quiet"))
    parts += [_text(across(x) - 22, lower + 22, f"{x:,}", "quiet") for x in at]
    taken: list[float] = []
    for number, (name, curve) in enumerate(curves.items()):
        points = [(across(x), down(curve[x])) for x in sorted(curve)]
        parts.append(f'<path class="l{number}" d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in points)}"/>')
        parts += [f'<circle class="s{number}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in points]
        beside = points[-1][1] + 4
        while any(abs(beside - other) < 14 for other in taken):  # names of curves that end together
            beside -= 14
        taken.append(beside)
        parts.append(_text(points[-1][0] + 12, beside, name))
    return _drawing(parts, height=height, title=title, subtitle=subtitle)


def _drawing(parts: Sequence[str], *, height: float, title: str, subtitle: str) -> str:
    head = [_text(LEFT, 34, title, "title"), _text(LEFT, 56, subtitle, "quiet")]
    opened = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}"'
        f' height="{height:.0f}" role="img" aria-label="{escape(title)}">'
    )
    return "\n".join([opened, STYLE, *head, *parts, "</svg>"]) + "\n"


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 4, 8 times a power of ten, which quarters stay short numbers of."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= value)
