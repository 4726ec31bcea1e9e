"""What can be taken away: every lock, constraint, trigger and comparison of signatures, found where it stands.

A lock or a comparison is taken out of the source; a constraint, unique index or trigger out of the migrated database,
so that what is missing is missing for every way in.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """The project without one of its guards. `file` and `after` change a source file, `sql` the database."""

    id: str
    """Kind and place in words that outlive an edit of the lines around."""
    file: str = ""
    after: str = ""
    sql: str = ""
    about: str = ""
    """What was there: for the reader, and to find tests that speak of it."""


@dataclass(frozen=True, slots=True)
class _Guard:
    kind: str
    pattern: re.Pattern[str]
    instead: str


_GUARDS = (
    _Guard("lock", re.compile(r"\s*\.with_for_update\([^()]*\)"), ""),
    _Guard("lock", re.compile(r" FOR (?:UPDATE|SHARE)(?: OF \w+(?:, \w+)*)?(?: SKIP LOCKED)?"), ""),
    _Guard("lock", re.compile(r"\bpg_advisory(?:_xact)?_lock(?=\()"), "abs"),
    _Guard("signature", re.compile(r"\bhmac\.compare_digest(?=\()"), "(lambda *_: True)"),
    _Guard("signature", re.compile(r"\bself\._algorithm\.verify(?=\()"), "(lambda *_: True)"),
    _Guard("signature", re.compile(r"\bself\._hasher\.verify(?=\()"), "(lambda *_: True)"),
    _Guard("signature", re.compile(r"\bkey\.verify(?=\()"), "(lambda *_: None)"),
)
_SIMULATORS = "src/infrastructure/simulator"  # they play the provider: nobody's money hangs on what they believe


def in_source(root: Path) -> Iterator[Mutant]:
    """Yield one mutant for each lock and each comparison of signatures in `root`/src."""
    for path in sorted((root / "src").rglob("*.py")):
        file = path.relative_to(root).as_posix()
        if file.startswith(_SIMULATORS):
            continue
        source = path.read_text()
        names = _names_by_line(source)
        seen: Counter[tuple[str, str]] = Counter()
        for guard, found in _found(source):
            line = source.count("\n", 0, found.end()) + 1
            name = names.get(line, "module")
            seen[guard.kind, name] += 1
            number = f"#{seen[guard.kind, name]}" if seen[guard.kind, name] > 1 else ""
            yield Mutant(
                id=f"{guard.kind} {file.removeprefix('src/').removesuffix('.py')} {name}{number}",
                file=file,
                after=source[: found.start()] + guard.instead + source[found.end() :],
                about=source.splitlines()[line - 1].strip(),
            )


def _found(source: str) -> list[tuple[_Guard, re.Match[str]]]:
    prose = _prose_lines(source)
    found = [(guard, match) for guard in _GUARDS for match in guard.pattern.finditer(source)]
    in_code = [one for one in found if source.count("\n", 0, one[1].end()) + 1 not in prose]
    return sorted(in_code, key=lambda one: one[1].start())


def _prose_lines(source: str) -> set[int]:
    """Return the lines of docstrings and of whole-line comments."""
    lines = {number for number, line in enumerate(source.splitlines(), start=1) if line.lstrip().startswith("#")}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def _names_by_line(source: str) -> dict[int, str]:
    """Name each line by the function, method or constant it belongs to."""
    names: dict[int, str] = {}

    def walk(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            match node:
                case ast.ClassDef():
                    walk(node.body, f"{prefix}{node.name}.")
                    continue
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    name = node.name
                case ast.Assign(targets=[ast.Name(id=name)]):
                    pass
                case ast.AnnAssign(target=ast.Name(id=name)):
                    pass
                case _:
                    continue
            names.update(dict.fromkeys(range(node.lineno, (node.end_lineno or node.lineno) + 1), prefix + name))

    walk(ast.parse(source).body, "")
    return names


_CONSTRAINTS = """
SELECT r.relname AS "table", c.conname AS name, c.contype::text AS kind, pg_get_constraintdef(c.oid) AS about
  FROM pg_constraint AS c JOIN pg_class AS r ON r.oid = c.conrelid
 WHERE c.connamespace = 'public'::regnamespace AND c.contype IN ('u', 'c', 'x', 'f')
"""
_UNIQUE_INDEXES = """
SELECT t.relname AS "table", i.relname AS name, 'i' AS kind, pg_get_indexdef(i.oid) AS about
  FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_class AS t ON t.oid = x.indrelid
 WHERE i.relnamespace = 'public'::regnamespace AND x.indisunique
   AND NOT EXISTS (SELECT 1 FROM pg_constraint AS c WHERE c.conindid = i.oid)
"""
_TRIGGERS = """
SELECT r.relname AS "table", t.tgname AS name, 't' AS kind, pg_get_triggerdef(t.oid) AS about
  FROM pg_trigger AS t JOIN pg_class AS r ON r.oid = t.tgrelid
 WHERE NOT t.tgisinternal AND r.relnamespace = 'public'::regnamespace
"""
_KINDS = {"u": "unique", "c": "check", "x": "exclusion", "f": "reference", "i": "unique", "t": "trigger"}
_ALEMBICS_OWN = "alembic_version"


async def in_database(dsn: str) -> list[Mutant]:
    """Return one mutant for each constraint, unique index and trigger of a migrated database."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = [row for query in (_CONSTRAINTS, _UNIQUE_INDEXES, _TRIGGERS) for row in await connection.fetch(query)]
    finally:
        await connection.close()
    return sorted(
        (
            _without(row["table"], row["name"], row["kind"], row["about"])
            for row in rows
            if row["table"] != _ALEMBICS_OWN
        ),
        key=lambda mutant: mutant.id,
    )


def _without(table: str, name: str, kind: str, about: str) -> Mutant:
    match kind:
        case "i":
            sql = f'DROP INDEX "{name}"'
        case "t":
            sql = f'DROP TRIGGER "{name}" ON "{table}"'
        case _:
            sql = f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}" CASCADE'
    return Mutant(id=f"{_KINDS[kind]} {table} {name}", sql=sql, about=about)
