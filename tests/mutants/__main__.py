"""Take each guard away in turn and see a test go red.

    python -m tests.mutants                  every guard
    python -m tests.mutants --only ledger    those whose id contains the word
    python -m tests.mutants --unknown        those for which killers.txt names no test yet

The test that killers.txt names for a guard is tried first; without one, or when it stays green, the tests that speak
most of the guard are, and the one that goes red is written down. The work happens in a copy of the project. Exit status
1 if a guard can go unnoticed.
"""

import argparse
import ast
import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config

from infrastructure.local.postgres import EmbeddedPostgres
from tests.conftest import MUTANT_SQL
from tests.mutants.killers import Killers, read_killers, write_killers
from tests.mutants.mutants import Mutant, in_database, in_source

ROOT = Path(__file__).resolve().parents[2]
ONE_RUN_S_MAX = 300
NEVER_ASKED = ("test_migrations.py", "drill", "conformance", "tests/mutants", "test_matrix.py")
"""Who compares the schema with the tables sees any difference, which says nothing of its use; the others are slow."""
WITH_DATABASE = ("tests/e2e/", "tests/faults/", "tests/integration/postgres/", "tests/integration/queue/")
JOURNEYS = (
    "tests/e2e/assignments/test_journey.py",
    "tests/e2e/gigs/test_journey.py",
    "tests/e2e/core/test_payments.py",
    "tests/e2e/core/test_refunds.py",
    "tests/e2e/core/test_second_factor.py",
)
"""Where nearly every statement runs once: what no test speaks of by its name may show itself there."""
PAST_THE_DOMAIN = "tests/integration/postgres/test_constraints.py"
"""Writes rows that only a mistake of ours could make; most of a CHECK, a reference or a trigger are met here only."""

_SAY_NOTHING = {"infrastructure", "postgres", "core", "application", "repositories"}
_AT_ONCE = re.compile(r"race|storm|at_once|together|gather|TaskGroup")


class Verdict(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    BROKEN = "broken"
    """It does not even start, so nothing was shown."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of pytest."""

    verdict: Verdict
    failed: str = ""
    """The first test that went red."""
    said: str = ""


class Sandbox:
    """A copy of the project in which one mutant at a time lives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        listed = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        for name in subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split("\0"):
            if name and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, folder / name)

    @contextmanager
    def _with(self, mutant: Mutant) -> Iterator[dict[str, str]]:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        if not mutant.file:
            yield {**environment, MUTANT_SQL: mutant.sql}
            return
        path = self._folder / mutant.file
        before = path.read_text()
        path.write_text(mutant.after)
        try:
            yield environment
        finally:
            path.write_text(before)

    def run(self, mutant: Mutant, *tests: str) -> Run:
        """Run tests against a mutant, up to the first red one."""
        pytest = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", "--tb=line"]
        with self._with(mutant) as environment:
            try:
                done = subprocess.run(
                    [*pytest, *tests],
                    cwd=self._folder,
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=ONE_RUN_S_MAX,
                )
            except subprocess.TimeoutExpired:
                return Run(Verdict.BROKEN, said=f"no end within {ONE_RUN_S_MAX} s")
        red = re.search(r"^FAILED (\S+?\.py::[^\[\s]+)", done.stdout, re.MULTILINE)
        if done.returncode == 1 and red is not None:
            return Run(Verdict.KILLED, red[1])
        if done.returncode == 0:
            return Run(Verdict.SURVIVED)
        return Run(Verdict.BROKEN, said=(done.stdout + done.stderr).strip()[-300:])


def all_mutants() -> list[Mutant]:
    """Find every guard of the source and of a migrated database."""
    with tempfile.TemporaryDirectory(prefix="soko-mutants-") as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedPostgres(Path(folder) / "postgres")
        server.start()
        try:
            server.create_database("mutants")
            config = Config(ROOT / "alembic.ini")
            config.set_main_option("script_location", str(ROOT / "alembic"))
            config.attributes["url"] = server.url("mutants")
            command.upgrade(config, "head")
            return [*in_source(ROOT), *asyncio.run(in_database(server.asyncpg_dsn("mutants")))]
        finally:
            server.remove()


def candidates(mutant: Mutant) -> list[list[str]]:
    """Return tests in the order in which they are worth trying: by what they and their names speak of."""
    kind, *place = mutant.id.split(" ")
    name = place[-1].partition("#")[0].rpartition(".")[2]
    words = {word for part in place for word in re.split(r"[/_.#]", part.lower()) if len(word) > 3} - _SAY_NOTHING
    refusals = _refusals_of(name)
    scores: dict[str, float] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        file = path.relative_to(ROOT).as_posix()
        if any(part in file for part in NEVER_ASKED) or (mutant.sql and not file.startswith(WITH_DATABASE)):
            continue
        text = path.read_text()
        by_file = sum(4 for word in words if word in path.stem) + sum(2 for word in words if word in file)
        by_file += 8 * (mutant.file != "" and Path(mutant.file).stem in text)
        for test, body in _tests_of(text):
            score = by_file + 40 * body.count(name) + sum(12 for refusal in refusals if refusal in body)
            score += sum(3 for word in words if word in test) + sum(min(body.lower().count(word), 3) for word in words)
            score += 10 * (kind == "lock" and _AT_ONCE.search(test + body) is not None)
            scores[f"{file}::{test}"] = score - len(body) / 2000
    ranked = sorted(scores, key=lambda test: -scores[test])
    second = [PAST_THE_DOMAIN] if mutant.sql else ranked[12:30]
    is_past_the_domain = kind in {"check", "reference", "trigger"}
    first = [second, ranked[:12]] if is_past_the_domain else [ranked[:12], second]
    return [*first, list(JOURNEYS), ranked[12:80]]


def _tests_of(source: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each test of a file, with those that its classes have from a contract."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from ((f"{node.name}::{name}", body) for name, body in _own_tests(source, node.body))
            for base in node.bases:
                inherited = _contracts().get(base.id, ()) if isinstance(base, ast.Name) else ()
                yield from ((f"{node.name}::{name}", body) for name, body in inherited)
    yield from _own_tests(source, ast.parse(source).body)


def _own_tests(source: str, body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    lines = source.splitlines()
    for one in body:
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name.startswith("test_"):
            yield one.name, "\n".join(lines[one.lineno - 1 : one.end_lineno])


@cache
def _contracts() -> dict[str, tuple[tuple[str, str], ...]]:
    """Return the tests of each contract class, by the class's name."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for path in sorted((ROOT / "tests" / "contract").rglob("*.py")):
        source = path.read_text()
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = tuple(_own_tests(source, node.body))
    return found


def _by_weight(mutant: Mutant) -> int:
    """Order the kinds: first what two people at once run into, last what only a mistake of ours would meet."""
    return ("unique", "exclusion", "lock", "signature", "trigger", "check", "reference").index(mutant.id.split(" ")[0])


def _refusals_of(name: str) -> set[str]:
    """Return the classes that a constraint's name stands for in the units of work."""
    found: set[str] = set()
    for path in (ROOT / "src/infrastructure/postgres").rglob("*.py"):
        found |= set(re.findall(rf'"{re.escape(name)}": (\w+)', path.read_text()))
    return found


def search(sandbox: Sandbox, mutant: Mutant) -> Run:
    """Try the likeliest tests, a handful at a time, until one goes red."""
    last = Run(Verdict.SURVIVED)
    for tests in candidates(mutant):
        last = sandbox.run(mutant, *tests)
        if last.verdict is Verdict.KILLED:
            return last
    return last


def main() -> int:
    """Run, print a line for each guard, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="those whose id contains this")
    parser.add_argument("--unknown", action="store_true", help="those for which killers.txt names no test yet")
    options = parser.parse_args()
    killers = read_killers()
    tests, reasons = dict(killers.tests), dict(killers.reasons)
    found = [mutant for mutant in all_mutants() if options.only in mutant.id]
    wanted = sorted((each for each in found if not (options.unknown and each.id in tests)), key=_by_weight)
    survivors: list[str] = []
    with tempfile.TemporaryDirectory(prefix="soko-mutants-") as folder:
        Path(folder).chmod(0o711)
        sandbox = Sandbox(Path(folder))
        for number, mutant in enumerate(wanted, start=1):
            began = time.monotonic()
            if mutant.id in reasons:
                run = Run(Verdict.SURVIVED, said=f"unneeded: {reasons[mutant.id]}")
            else:
                run = sandbox.run(mutant, tests[mutant.id]) if mutant.id in tests else Run(Verdict.SURVIVED)
                if run.verdict is not Verdict.KILLED:
                    run = search(sandbox, mutant)
                if run.verdict is Verdict.KILLED and tests.get(mutant.id) != run.failed:
                    tests[mutant.id] = run.failed
                    write_killers(Killers(tests, reasons))
            if run.verdict is not Verdict.KILLED and mutant.id not in reasons:
                survivors.append(mutant.id)
            seconds = time.monotonic() - began
            print(
                f"{number}/{len(wanted)} {run.verdict:8} {mutant.id} [{seconds:.0f} s] {run.failed or run.said}",
                flush=True,
            )
    killed = len(wanted) - len(survivors) - sum(mutant.id in reasons for mutant in wanted)
    print(f"\n{killed} killed, {sum(mutant.id in reasons for mutant in wanted)} unneeded, {len(survivors)} unnoticed")
    for one in survivors:
        print(f"  unnoticed: {one}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
