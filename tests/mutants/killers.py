"""Which test notices that a guard is gone: the list that is kept beside the guards, and how a line is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).with_name("killers.txt")
UNNEEDED = "unneeded:"
"""Begins the reason why no test can tell that a guard is gone."""


@dataclass(frozen=True, slots=True)
class Killers:
    """The list as it stands in the file: an id, then the test that goes red, or why none does."""

    tests: Mapping[str, str]
    reasons: Mapping[str, str]

    def __contains__(self, mutant_id: str) -> bool:
        return mutant_id in self.tests or mutant_id in self.reasons


def read_killers(path: Path = LIST) -> Killers:
    """Read the list. Raises ValueError for a line that is neither."""
    tests: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        mutant_id, arrow, rest = (part.strip() for part in line.partition(" -> "))
        if not arrow or not rest or mutant_id in tests | reasons:
            raise ValueError(f"{path.name}: {line!r} is not one guard and its test")
        if rest.startswith(UNNEEDED):
            reasons[mutant_id] = rest.removeprefix(UNNEEDED).strip()
        else:
            tests[mutant_id] = rest
    return Killers(tests, reasons)


def write_killers(killers: Killers, path: Path = LIST) -> None:
    """Write the list, sorted, under the words that stand at its head."""
    head = [line for line in path.read_text().splitlines() if line.startswith("#")] if path.exists() else []
    lines = [f"{one} -> {test}" for one, test in killers.tests.items()]
    lines += [f"{one} -> {UNNEEDED} {reason}" for one, reason in killers.reasons.items()]
    path.write_text("\n".join([*head, *sorted(lines), ""]))
