"""What docs/operations.md says of the log, of alerts and of commands is so."""

import ast
import re
from pathlib import Path

import pytest
import typer.main

from interface.bootstrap.cli import app
from interface.http.errors import CODE_BY_STATUS
from interface.http.metrics import LISTED

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "operations.md").read_text()
LOGGED = ("info", "warning", "error", "exception", "critical")
CHOSEN = {"socket_closed", "socket_refused"}
"""Events that are named by an expression."""


def logged(source: str) -> set[str]:
    """Return the events that a source text writes by name."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in LOGGED
        and ast.unparse(call.func.value) == "_log"
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


def test_every_event_of_the_log_is_listed_and_no_other() -> None:
    section = GUIDE.partition("## Log")[2].partition("\n## ")[0]
    listed = set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE))
    written = set().union(*(logged(path.read_text()) for path in (ROOT / "src").rglob("*.py")))
    assert listed - CHOSEN == written
    assert listed > CHOSEN


def test_alerts_name_figures_and_labels_that_exist() -> None:
    section = GUIDE.partition("## Alerts")[2].partition("\n## ")[0]
    named = set(re.findall(r"\bsoko_\w+", section))
    shown = {f"{name}_total" if kind == "counter" else name for name, kind, _, _ in LISTED}
    assert len(named) >= 10
    assert {re.sub(r"_bucket$", "", name) for name in named} - shown == set()
    assert f'code="{CODE_BY_STATUS[500]}"' in section


@pytest.mark.parametrize("words", sorted(set(re.findall(r"`soko ([a-z-]+(?: [a-z-]+)?)", GUIDE))))
def test_every_command_exists(words: str) -> None:
    found = typer.main.get_command(app)
    for word in words.split():
        commands = getattr(found, "commands", None)
        if commands is None:
            break  # an argument
        assert word in commands, words
        found = commands[word]


@pytest.mark.parametrize("job", sorted(set(re.findall(r"(?:job=\"|jobs run )([a-z_]+\.[a-z_]+)", GUIDE))))
def test_every_job_exists(job: str) -> None:
    assert any(f'name="{job}"' in path.read_text() for path in (ROOT / "src" / "interface" / "bootstrap").rglob("*.py"))
