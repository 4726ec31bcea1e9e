"""The habits that a reader of one file cannot check: refusals, events, settings, names and constraints as wholes."""

import ast
import importlib
import inspect
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy

from domain.core.kernel.errors import FAMILIES, DomainError
from domain.core.kernel.events import Event
from domain.core.kernel.policies import Policy
from infrastructure.postgres.tables import metadata
from interface.http.errors import STATUS_BY_FAMILY, status_of_kind
from tests.architecture.house import CORE, ROOT, SOURCE, VERTICALS, source_files

FORBIDDEN_DRAWERS = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc", "base"}
SEEN_BY_WORKERS_ONLY = {"kernel.delivered_before", "notifications.mail_refused", "notifications.mail_unavailable"}
"""No request can meet these, so they belong to no family and have no status."""
CODE = re.compile(r"[a-z]+(\.[a-z][a-z0-9_]*)")
SENTENCE = re.compile(r"[A-Z].*[.?]", re.DOTALL)


def modules(*folders: str) -> Iterator[ModuleType]:
    """Import every module below the folders of the source."""
    for folder in folders:
        for file in sorted((SOURCE / folder).rglob("*.py")):
            yield importlib.import_module(".".join(file.relative_to(SOURCE).with_suffix("").parts))


def below(kind: type) -> set[type]:
    """Return every class that descends from a class."""
    children: set[type] = set(kind.__subclasses__())
    return children.union(*(below(child) for child in children))


def ours(kinds: set[type]) -> list[type]:
    """Return the classes that the source itself declares, in the order of their names."""
    # a slotted dataclass is made twice, and only the second is the one that the module holds
    kept = [kind for kind in kinds if vars(sys.modules[kind.__module__]).get(kind.__name__) is kind]
    return sorted((kind for kind in kept if is_ours(kind)), key=lambda kind: f"{kind.__module__}.{kind.__name__}")


def is_ours(kind: type) -> bool:
    """Tell whether the source declares a class."""
    return kind.__module__.split(".")[0] in {"domain", "application", "infrastructure", "interface"}


@pytest.fixture(scope="module", autouse=True)
def everything_imported() -> None:
    list(modules("domain", "application", "infrastructure", "interface"))


def test_every_family_has_a_status() -> None:
    assert set(STATUS_BY_FAMILY) == set(FAMILIES)


def test_every_refusal_has_one_code_one_status_and_one_sentence() -> None:
    refusals: list[Any] = ours(below(DomainError))
    assert len(refusals) > 50
    own = [one for one in refusals if not any(one.code == getattr(parent, "code", "") for parent in one.__mro__[1:])]
    by_code = Counter(one.code for one in own)  # the edge may answer in its family's words, nobody in a sibling's
    assert [code for code, count in by_code.items() if count > 1] == []
    assert [one for one in refusals if not CODE.fullmatch(one.code)] == []
    assert {one.code for one in refusals if status_of_kind(one) == 500} == SEEN_BY_WORKERS_ONLY
    sentences = {one: inspect.cleandoc(vars(one).get("__doc__") or "") for one in refusals}
    assert [one for one, sentence in sentences.items() if not SENTENCE.fullmatch(sentence)] == []


def test_every_refusal_declares_its_own_code() -> None:
    parents = {kind for one in below(DomainError) for kind in one.__bases__}
    leaves = [one for one in ours(below(DomainError)) if one not in parents]
    inner = [one for one in leaves if one.__module__.split(".")[0] in {"domain", "application"}]
    assert [one for one in inner if "code" not in one.__dict__] == []


def test_codes_begin_with_an_area_that_exists() -> None:
    areas = CORE | VERTICALS
    refusals: list[Any] = ours(below(DomainError))
    assert [one.code for one in refusals if one.code.split(".")[0] not in areas | {"withdrawals", "wallet"}] == []


def test_events_are_immutable_facts_with_a_name_of_their_own() -> None:
    events: list[Any] = ours(below(Event))
    assert len(events) > 10
    assert [one for one in events if not vars(one)["__dataclass_params__"].frozen] == []
    assert [one for one in events if "__slots__" not in one.__dict__] == []
    assert [one for one in events if not (one.__doc__ or "").strip()] == []
    concrete = [one for one in events if not one.__subclasses__()]
    assert [name for name, count in Counter(one.event_name() for one in concrete).items() if count > 1] == []
    assert [one for one in concrete if one.area not in CORE | VERTICALS] == []


def test_every_setting_of_the_business_is_declared_once_and_named_after_its_area() -> None:
    found: dict[int, Policy[Any]] = {}
    wrong: list[str] = []
    for module in modules("domain"):
        path = module.__name__.split(".")
        area = path[2] if path[1] == "core" else path[1]
        for policy in vars(module).values():
            if isinstance(policy, Policy) and module.__name__.endswith(".policies"):
                found[id(policy)] = policy
                wrong += [policy.name] if policy.name.split(".")[0] not in {area, "withdrawals"} else []
    assert len(found) > 30
    assert wrong == []
    assert [name for name, count in Counter(one.name for one in found.values()).items() if count > 1] == []
    assert [one.name for one in found.values() if one.parse(str(one.default)) != one.default] == []
    assert [one.name for one in found.values() if not one.unit] == []


def test_every_constraint_and_index_has_an_explicit_name_of_its_own() -> None:
    names: list[str] = []
    for table in metadata.sorted_tables:
        for constraint in table.constraints:
            if isinstance(constraint, sqlalchemy.PrimaryKeyConstraint) and not constraint.columns:
                continue
            assert constraint.name, f"{table.name}: {constraint!r} has no name"
            names.append(str(constraint.name))
        for index in table.indexes:
            assert index.name, f"{table.name}: {index!r} has no name"
            names.append(str(index.name))
    assert len(names) > 60
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_there_are_no_packages_no_drawers_and_no_empty_files() -> None:
    paths = [Path(path) for path in source_files()]
    assert [path for path in paths if path.name == "__init__.py"] == []
    assert [path for path in paths if FORBIDDEN_DRAWERS & {part.removesuffix(".py") for part in path.parts}] == []
    assert [path for path, source in source_files().items() if not source.strip()] == []
    tests = [path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py")]
    assert [path for path in tests if path.name == "__init__.py"] == []
    assert [path for path in tests if FORBIDDEN_DRAWERS & {part.removesuffix(".py") for part in path.parts}] == []


def test_every_module_says_what_it_is_for() -> None:
    assert [path for path, source in source_files().items() if not ast.get_docstring(ast.parse(source))] == []


AMBIENT = re.compile(
    r"\b(?:datetime\.(?:now|utcnow|today)|date\.today|time\.(?:time|time_ns|sleep)|uuid[1-7]|"
    r"random|secrets|os\.(?:environ|getenv|urandom)|token_(?:bytes|hex|urlsafe))\b"
)


def ambient(source: str) -> list[str]:
    """Return what a text takes from the machine instead of asking for it: time, ids, chance, the environment."""
    tree = ast.parse(source)
    used = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    used += [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    used += [alias.name for node in imports for alias in node.names]
    return sorted({name for name in used if AMBIENT.fullmatch(name)})


def test_time_ids_and_chance_are_injected() -> None:
    inner = {p: s for p, s in source_files().items() if p.startswith(("src/domain", "src/application"))}
    assert len(inner) > 100
    assert {path: ambient(source) for path, source in inner.items() if ambient(source)} == {}


@pytest.mark.parametrize(
    "line",
    [
        "from datetime import datetime\nnow = datetime.now(UTC)",
        "from uuid import uuid4",
        "import random",
        "import secrets",
        "import time\ntime.sleep(1)",
        "import os\nos.environ['HOME']",
    ],
)
def test_ambient_time_ids_and_chance_are_seen(line: str) -> None:
    assert len(ambient(line)) == 1


def test_use_cases_raise_refusals_and_never_http() -> None:
    inner = {p: s for p, s in source_files().items() if p.startswith(("src/domain", "src/application"))}
    assert [path for path, source in inner.items() if re.search(r"\bHTTP(?:Exception|_\d{3})", source)] == []


def test_nothing_is_left_for_later_in_the_text() -> None:
    marks = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
    assert [path for path, source in source_files().items() if marks.search(source)] == []
