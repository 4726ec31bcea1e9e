"""What the README and `.env.example` name exists, under that name."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import typer.main

from benchmarks.report import quote
from interface.bootstrap.cli import app
from interface.bootstrap.demo_people import PEOPLE
from interface.bootstrap.settings import Settings, read_settings

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
OFFERED = re.compile(r"^#([A-Z0-9_]+)=(.*)$", re.MULTILINE)


def test_the_example_lists_every_setting_and_its_default() -> None:
    offered = {name: value.strip('"') for name, value in OFFERED.findall(EXAMPLE)}
    assert list(offered) == [each.metadata["env"] for each in fields(Settings)]
    assert read_settings(offered) == Settings()


def test_the_example_says_what_each_setting_is_for() -> None:
    for each in fields(Settings):
        assert re.search(rf"^# {re.escape(each.metadata['about'])}.*\n#{each.metadata['env']}=", EXAMPLE, re.MULTILINE)


def test_the_example_marks_what_may_stand_in_a_file() -> None:
    marked = re.findall(r"\[secret\]\n#([A-Z0-9_]+)=", EXAMPLE)
    assert marked == [each.metadata["env"] for each in fields(Settings) if each.metadata["secret"]]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:`|^)make ([a-z]+)", README, re.MULTILINE))))
def test_every_target_of_make_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`soko ([a-z-]+)", README))))
def test_every_command_exists(command: str) -> None:
    group = typer.main.get_command(app)
    assert command in getattr(group, "commands", {})


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\b(?:SOKO|LIPANA|EMAIL|AWS)_[A-Z0-9_]+", README))))
def test_every_setting_exists(name: str) -> None:
    assert name in {each.metadata["env"] for each in fields(Settings)}


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w./-]+/[\w./-]+|[\w-]+\.(?:md|yaml|example))`", README))))
def test_every_file_exists(path: str) -> None:
    assert path.startswith(("/", "application/problem")) or (ROOT / path).exists()


def test_the_accounts_and_their_password_are_those_of_the_seed() -> None:
    for person in PEOPLE:
        assert f"`{person.username}`" in README
        assert person.password in README


def test_the_figures_of_speed_are_those_of_the_latest_run() -> None:
    measured = (ROOT / "benchmarks/results/latest.md").read_text()
    assert quote(measured, README) == README
    assert "| P1 |" in README
