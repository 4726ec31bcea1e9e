"""The import rules of the house, as a function from a path and its text to what they break."""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"


def rooms(folder: str) -> set[str]:
    """Return the rooms of a folder of the source, as they stand on the disk."""
    return {p.name for p in (SOURCE / folder).iterdir() if p.is_dir() and p.name != "__pycache__"}


CORE = rooms("domain/core") | rooms("application/core")
VERTICALS = (rooms("domain") | rooms("application")) - {"core"}
BOOTSTRAP = ("interface", "bootstrap")

MAY_SEE = {
    "domain": {"domain"},
    "application": {"application", "domain"},
    "infrastructure": {"infrastructure", "application", "domain"},
    "interface": {"interface", "application", "domain"},
}
CORE_MAY_SEE = {
    "kernel": set(),
    "identity": {"kernel"},
    "ledger": {"kernel", "identity"},
    "payments": {"kernel", "identity", "ledger"},
    "notifications": CORE,
}
OTHERS_MAY_SEE = {"kernel", "identity"}

WHOLE_CORE = {("infrastructure", "postgres", "core", "unit_of_work")}
"""The one unit of work gathers every core module's repositories."""

BELONGS_TO = {
    "doctor": "operations",
    "earnings_holds": "ledger",
    "health": "operations",
    "job_runs": "operations",
    "meter": "operations",
    "jobs": "operations",
    "metrics": "operations",
    "outbox": "operations",
    "watch": "operations",
    "uploads": "files",
    "wallet": "ledger",
    "wallet_queries": "ledger",
    "withdrawals": "payments",
}
"""Files of the outer layers that are not named after their module."""


def imported(source: str) -> set[tuple[str, ...]]:
    """Return every name that a source text imports, wherever it does so."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names}
    return {tuple(name.split(".")) for name in names}


def module_of(name: str) -> str:
    """Return the core module that a folder, or a file such as `payments_queries`, belongs to."""
    if name in CORE:
        return name
    return BELONGS_TO.get(name) or next((one for one in CORE if name.startswith(f"{one}_")), name)


def area(parts: tuple[str, ...]) -> str | None:
    """Return the vertical or the core module a path belongs to, if any."""
    if "core" in parts[:-1]:
        return module_of(parts[parts.index("core") + 1])
    return next((part for part in parts if part in VERTICALS), None)


def is_allowed(here: tuple[str, ...], there: tuple[str, ...]) -> bool:
    """Tell whether the module `here` may import the name `there`."""
    if here[:2] == BOOTSTRAP:
        return bool(there[0])
    if there[0] not in MAY_SEE:  # "" = a relative import
        return bool(there[0]) and (here[0] in {"interface", "infrastructure"} or there[0] in sys.stdlib_module_names)
    if there[0] not in MAY_SEE[here[0]] or there[:2] == BOOTSTRAP:
        return False
    return may_see(here, area(there))


def may_see(here: tuple[str, ...], target: str | None) -> bool:
    """Tell whether the module `here` may know the vertical or core module `target`."""
    home = area(here)
    if home is None and here[:2] == ("interface", "http"):
        home = BELONGS_TO.get(here[-1])
    if target in VERTICALS:
        return home == target
    if target in {None, home} or target not in CORE:
        return True
    if home in VERTICALS or here in WHOLE_CORE or (home is None and here[0] == "infrastructure"):
        return True  # a vertical, or a room such as lipana/
    return target in CORE_MAY_SEE.get(home or "", OTHERS_MAY_SEE)


def violations(path: str, source: str) -> list[str]:
    """Return what a file breaks, each as `<path>: must not import <name>`."""
    here = Path(path).relative_to("src").with_suffix("").parts
    return [
        f"{path}: must not import {'.'.join(name)}" for name in sorted(imported(source)) if not is_allowed(here, name)
    ]


def source_files() -> dict[str, str]:
    """Return every source file: path from the root, and text."""
    return {str(f.relative_to(ROOT)): f.read_text(encoding="utf-8") for f in sorted(SOURCE.rglob("*.py"))}
