"""The list of guards and of the tests that miss them: complete, and naming tests that exist."""

import ast
import re
from pathlib import Path

import pytest

from tests.mutants.killers import Killers, read_killers, write_killers
from tests.mutants.mutants import Mutant, in_source

ROOT = Path(__file__).parents[3]
OF_THE_SOURCE = ("lock ", "signature ")


@pytest.fixture(scope="module")
def mutants() -> list[Mutant]:
    return list(in_source(ROOT))


def test_every_guard_of_the_source_has_a_name_of_its_own_and_the_list_names_no_other(mutants: list[Mutant]) -> None:
    killers = read_killers()
    found = {mutant.id for mutant in mutants}
    assert len(found) == len(mutants) > 40
    listed = {one for one in {**killers.tests, **killers.reasons} if one.startswith(OF_THE_SOURCE)}
    assert sorted(listed - found) == []


def test_every_mutant_of_the_source_is_still_python(mutants: list[Mutant]) -> None:
    for mutant in mutants:
        ast.parse(mutant.after)
        assert mutant.after != (ROOT / mutant.file).read_text()


def test_the_tests_that_are_named_exist() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests" / "contract").rglob("*.py"))
    missing = []
    for node in read_killers().tests.values():
        file, *_, name = node.split("::")
        here = (ROOT / file).read_text() if (ROOT / file).exists() else ""
        if not here or re.search(rf"def {name}\(", here + tests) is None:
            missing.append(node)
    assert missing == []


def test_a_guard_is_found_in_code_and_not_in_prose(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    source = '"""It says FOR UPDATE."""\n# FOR UPDATE\n_GET = "SELECT 1 FROM t FOR UPDATE OF t"\n'
    (tmp_path / "src" / "orders.py").write_text(source)
    (found,) = in_source(tmp_path)
    assert (found.id, found.file, found.about) == (
        "lock orders _GET",
        "src/orders.py",
        '_GET = "SELECT 1 FROM t FOR UPDATE OF t"',
    )
    assert found.after == source.replace(" FOR UPDATE OF t", "")


def test_the_list_is_read_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "killers.txt"
    path.write_text("# why\n")
    kept = Killers({"lock a b": "tests/x.py::test_y"}, {"check a b": "nothing can write it"})
    write_killers(kept, path)
    assert path.read_text() == "# why\ncheck a b -> unneeded: nothing can write it\nlock a b -> tests/x.py::test_y\n"
    assert read_killers(path) == kept
    path.write_text("lock a b\n")
    with pytest.raises(ValueError, match="lock a b"):
        read_killers(path)
