"""What a migration may do while old and new code both serve (R2), read from its source.

A rule is about tables that exist: one that the same migration makes is nobody's yet. What goes down is not looked at.
"""

import ast
import re
from collections.abc import Iterator
from typing import Final

REWRITING_DEFAULT: Final = re.compile(r"random|clock_timestamp|nextval|uuid", re.IGNORECASE)
MARKER: Final = "UNUSED_SINCE"
"""A constant that names the release since which no code reads or writes what is dropped here."""

SQL: Final = {
    "not_null": re.compile(r"ADD COLUMN\b(?!.*\bDEFAULT\b).*\bNOT NULL\b", re.IGNORECASE | re.DOTALL),
    "rewrite": re.compile(r"ALTER COLUMN\b.*\bTYPE\b|\bVACUUM FULL\b|^\s*CLUSTER\b", re.IGNORECASE | re.DOTALL),
    "scan": re.compile(r"\bSET NOT NULL\b", re.IGNORECASE),
    "drop": re.compile(r"\bDROP (TABLE|COLUMN)\b|\bRENAME (TO|COLUMN)\b", re.IGNORECASE),
    "index": re.compile(r"\b(CREATE (UNIQUE )?|DROP |RE)INDEX\b(?! CONCURRENTLY)", re.IGNORECASE),
    "not_valid": re.compile(r"ADD CONSTRAINT\b(?!.*\bNOT VALID\b).*\b(CHECK|FOREIGN KEY)\b", re.IGNORECASE | re.DOTALL),
    "unique": re.compile(r"ADD CONSTRAINT\b(?!.*\bUSING INDEX\b).*\b(UNIQUE|EXCLUDE)\b", re.IGNORECASE | re.DOTALL),
    "lock": re.compile(r"\bLOCK TABLE\b|^\s*LOCK\b", re.IGNORECASE),
    "unbounded": re.compile(r"^\s*(UPDATE|DELETE FROM)\b(?!.*\bWHERE\b)", re.IGNORECASE | re.DOTALL),
}
NAMED_CONSTRAINTS: Final = {"CheckConstraint", "ForeignKeyConstraint", "UniqueConstraint", "ExcludeConstraint"}


def broken_rules(source: str) -> list[str]:
    """Return the rules that a migration breaks, each as `rule: line`, in the order of the lines."""
    module = ast.parse(source)
    upgrade = next(one for one in module.body if isinstance(one, ast.FunctionDef) and one.name == "upgrade")
    constants = {
        target.id: one.value
        for one in module.body
        if isinstance(one, ast.Assign)
        for target in one.targets
        if isinstance(target, ast.Name)
    }
    calls = [one for one in ast.walk(upgrade) if isinstance(one, ast.Call)]
    made = {_text(one.args[0], constants) for one in calls if _name(one) == "op.create_table"}
    found = {(rule, call.lineno) for call in calls for rule in _broken_by(call, made, constants)}
    if MARKER in constants:
        found = {(rule, line) for rule, line in found if rule != "drop"}
    apart = {
        _line for block in _autocommit_blocks(upgrade) for _line in range(block.lineno, (block.end_lineno or 0) + 1)
    }
    for call in calls:
        is_operation = _name(call).startswith("op.") and _name(call) != "op.get_context"
        if apart and is_operation and call.lineno not in apart:
            found.add(("apart", call.lineno))  # a transaction that was cut in two cannot be repeated
        if _is_concurrent(call, constants) and call.lineno not in apart:
            found.add(("index", call.lineno))
    return [f"{rule}: {line}" for rule, line in sorted(found, key=lambda one: (one[1], one[0]))]


def _broken_by(call: ast.Call, made: set[str], constants: dict[str, ast.expr]) -> Iterator[str]:
    name = _name(call)
    if name.startswith("sa.") and name[3:] in NAMED_CONSTRAINTS and _keyword(call, "name") is None:
        yield "name"
    if not name.startswith("op."):
        return
    if name == "op.execute":
        text = _text(call.args[0], constants)
        yield from (rule for rule, pattern in SQL.items() if pattern.search(text))
        return
    table = _text(call.args[0], constants) if call.args else ""
    if name in {
        "op.create_index",
        "op.create_foreign_key",
        "op.create_check_constraint",
        "op.create_unique_constraint",
    }:
        table = _text(call.args[1], constants)
        if isinstance(call.args[0], ast.Constant) and call.args[0].value is None:
            yield "name"
    if table not in made:
        yield from _broken_on_a_table_in_use(call, name)


def _broken_on_a_table_in_use(call: ast.Call, name: str) -> Iterator[str]:
    if name == "op.add_column":
        yield from _broken_by_column(call.args[1])
    if name in {"op.drop_column", "op.drop_table", "op.rename_table"} or _keyword(call, "new_column_name") is not None:
        yield "drop"
    if name == "op.alter_column" and _keyword(call, "type_") is not None:
        yield "rewrite"
    if name == "op.alter_column" and _is(_keyword(call, "nullable"), value=False):
        yield "scan"
    if name in {"op.create_index", "op.drop_index"} and not _is(_keyword(call, "postgresql_concurrently"), value=True):
        yield "index"
    if name in {"op.create_foreign_key", "op.create_check_constraint"} and not _is(
        _keyword(call, "postgresql_not_valid"), value=True
    ):
        yield "not_valid"
    if name in {"op.create_unique_constraint", "op.create_exclude_constraint", "op.create_primary_key"}:
        yield "unique"


def _broken_by_column(column: ast.expr) -> Iterator[str]:
    if not isinstance(column, ast.Call):
        return
    default = _keyword(column, "server_default")
    if default is None:
        if _is(_keyword(column, "nullable"), value=False):
            yield "not_null"
    elif REWRITING_DEFAULT.search(ast.unparse(default)):
        yield "rewrite"


def _autocommit_blocks(upgrade: ast.FunctionDef) -> list[ast.With]:
    return [
        one
        for one in ast.walk(upgrade)
        if isinstance(one, ast.With) and any("autocommit_block" in ast.unparse(item) for item in one.items)
    ]


def _is_concurrent(call: ast.Call, constants: dict[str, ast.expr]) -> bool:
    if _name(call) == "op.execute":
        return " CONCURRENTLY" in _text(call.args[0], constants).upper()
    return _is(_keyword(call, "postgresql_concurrently"), value=True)


def _name(call: ast.Call) -> str:
    return ast.unparse(call.func)


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((one.value for one in call.keywords if one.arg == name), None)


def _is(found: ast.expr | None, *, value: bool) -> bool:
    return isinstance(found, ast.Constant) and found.value is value


def _text(found: ast.expr, constants: dict[str, ast.expr]) -> str:
    """Return a text as far as the source tells it; what it does not tell is a word."""
    match found:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_text(one, constants) for one in values)
        case ast.BinOp(left=left, right=right):
            return _text(left, constants) + _text(right, constants)
        case ast.Name(id=name) if name in constants:
            return _text(constants[name], constants)
        case ast.Call(args=[first, *_]):
            return _text(first, constants)
        case _:
            return "something"
