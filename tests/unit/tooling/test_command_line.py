"""What the command line offers, and what a process that answers requests does not load."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import typer.main

from interface.bootstrap.cli import app

ROOT = Path(__file__).parents[3]
NOT_FOR_REQUESTS = {"aiohttp", "taskiq", "alembic", "mako", "jinja2", "botocore", "aiobotocore", "typer"}
NOT_FOR_REQUESTS |= {"opentelemetry"}  # only where the operator names a collector


def commands(command: Any, *path: str) -> dict[str, Any]:
    found = {" ".join(path): command}
    for name, each in getattr(command, "commands", {}).items():
        found |= commands(each, *path, name)
    return found


def test_every_command_and_option_says_what_it_is_for() -> None:
    offered = commands(typer.main.get_command(app))
    assert {"run", "api", "worker", "scheduler", "migrate", "seed", "create-admin", "demo", "mail-catcher"} <= set(
        offered
    )
    assert set(offered) >= {"mail-catcher", "ledger verify", "audit verify"}
    assert [name for name, command in offered.items() if not (command.help or "").strip()] == []
    options = [(name, one) for name, command in offered.items() for one in command.params]
    assert [(name, one.name) for name, one in options if not getattr(one, "help", None)] == []


def test_a_process_that_answers_requests_does_not_load_what_it_never_uses() -> None:
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "import sys, interface.bootstrap.runtime; print(*sys.modules)"],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = {name.partition(".")[0] for name in said.stdout.split()}
    assert "litestar" in loaded
    assert loaded & NOT_FOR_REQUESTS == set()
