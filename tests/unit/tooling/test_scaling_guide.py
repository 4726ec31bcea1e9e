"""What docs/scaling.md names exists, and its sum is right."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from interface.bootstrap.cli import app
from interface.bootstrap.runtime import with_driver
from interface.bootstrap.settings import Settings

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "scaling.md").read_text()
SETTINGS = {each.metadata["env"] for each in fields(Settings)}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\b(?:SOKO|DATABASE|REDIS)_[A-Z_]+", GUIDE))))
def test_every_setting_exists(name: str) -> None:
    assert name in SETTINGS


def test_every_file_exists() -> None:
    named = [*re.findall(r"`(tests/[\w./]+|compose\.yaml)`", GUIDE), *(f"docs/{path}" for path in LINKS)]
    assert [path for path in named if not (ROOT / path).exists()] == []


LINKS = re.findall(r"\]\(([\w./-]+)\)", GUIDE)


def test_how_to_replace_processes_is_told_where_a_newcomer_looks() -> None:
    anchor = "scaling.md#several-processes-and-new-versions"
    assert "\n## Several processes and new versions\n" in GUIDE
    assert f"docs/{anchor}" in (ROOT / "README.md").read_text()
    assert anchor in (ROOT / "docs" / "operations.md").read_text()
    shown = " ".join(CliRunner().invoke(app, ["api", "--help"]).output.split())
    for text in (GUIDE, (ROOT / "README.md").read_text(), shown):
        assert "`kill -HUP PID`" in text
    assert "Other settings need a restart. A single process ends at SIGHUP." in shown


def test_the_sums_of_connections_are_those_of_the_default_pool() -> None:
    pool = Settings().database_pool
    assert f"`SOKO_DATABASE_POOL` connections to the primary ({pool})" in GUIDE
    assert f"(8 + 4 + 2) * ({pool} + 1) = {14 * (pool + 1)}" in GUIDE
    assert f"8 * {pool} = {8 * pool}` to the replica" in GUIDE


def test_the_address_of_several_servers_is_handed_to_the_driver_as_it_is() -> None:
    (shown,) = re.findall(r"^DATABASE_URL=postgresql://(.+)$", GUIDE, re.MULTILINE)
    assert with_driver(f"postgresql://{shown}") == f"postgresql+asyncpg://{shown}"
