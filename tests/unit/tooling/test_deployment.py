"""Docker does not run in the tests, so the container files are held, as text, to what exists."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from interface.bootstrap.settings import Settings, read_settings

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "soko"}
SETTINGS = {each.metadata["env"] for each in fields(Settings)} | {
    f"{each.metadata['env']}_FILE" for each in fields(Settings) if each.metadata["secret"]
}
NOT_SETTINGS = {"PATH", "PYTHONUNBUFFERED", "PIP_NO_CACHE_DIR", "PIP_DISABLE_PIP_VERSION_CHECK"}


def copied_from_the_checkout() -> list[str]:
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def commands() -> list[str]:
    """Every command of ours that a container starts."""
    started = [service["command"] for service in OURS.values()]
    started.append(re.findall(r'"([^"]+)"', DOCKERFILE.splitlines()[-1]))
    assert all(program == "soko" for program, *_ in started)
    return sorted({command for _, command, *_ in started})


def test_what_the_image_copies_exists_and_is_let_through_to_the_build() -> None:
    let_through = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)

    assert sorted(copied_from_the_checkout()) == sorted(let_through)
    assert [source for source in copied_from_the_checkout() if not (ROOT / source).exists()] == []


@pytest.mark.parametrize("command", commands())
def test_every_command_that_a_container_starts_exists(command: str) -> None:
    spelled = re.compile(rf'"{command}"|def {command.replace("-", "_")}\(')
    sources = [ROOT / "src/interface/bootstrap/cli.py", *(ROOT / "src/interface/cli").rglob("*.py")]

    assert [path for path in sources if path.exists() and spelled.search(path.read_text())] != []


def test_every_setting_that_a_container_sets_exists() -> None:
    in_image = set(re.findall(r"\b([A-Z][A-Z_]+)=", DOCKERFILE)) - NOT_SETTINGS
    in_compose = {name for service in OURS.values() for name in service["environment"]}

    assert in_image - SETTINGS == set()
    assert in_compose - SETTINGS == set()


def test_the_image_runs_as_nobody_special_and_asks_an_existing_page_for_its_health() -> None:
    user = re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)
    page = re.search(r"urlopen\('http://127\.0\.0\.1:8000(/[a-z/]+)'", DOCKERFILE)

    assert user == ["soko"]
    assert page is not None
    assert page[1] == "/health/live"
    assert "HEALTHCHECK" in DOCKERFILE


def test_every_service_and_volume_that_is_named_exists() -> None:
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", {})) <= set(SERVICES), name
        named = {volume.partition(":")[0] for volume in service.get("volumes", [])}
        assert named <= set(COMPOSE["volumes"]), name
    for service in OURS.values():
        given = service["environment"]
        assert urlsplit(given["DATABASE_URL"].split("@")[-1]).path.split("/")[0] in SERVICES
        assert given["EMAIL_HOST"] in SERVICES
        assert urlsplit(given["REDIS_URL"]).hostname in SERVICES
        assert urlsplit(given["AWS_S3_ENDPOINT_URL"]).hostname in SERVICES


def test_what_is_set_fits_together() -> None:
    for name, service in OURS.items():
        given = {key: re.sub(r"\$\{[^}]*\}", "x" * 32, value) for key, value in service["environment"].items()}
        given |= {"SOKO_ENVIRONMENT": "development", "SOKO_PUBLIC_URL": "", "SOKO_S3_PUBLIC_URL": ""}
        settings = read_settings(given)
        assert (settings.broker, settings.realtime, settings.storage) == ("redis", "redis", "s3"), name


def test_two_of_everything_stand_on_a_database_a_queue_and_a_store() -> None:
    ours, theirs = sorted(OURS), {name: service["image"] for name, service in SERVICES.items() if name not in OURS}

    assert ours == ["api", "mail", "migrate", "scheduler", "worker"]
    store = "chrislusf/seaweedfs:4.48"
    assert theirs == {"bucket": store, "postgres": "postgres:18", "redis": "valkey/valkey:9", "s3": store}
    assert SERVICES["api"]["command"] == ["soko", "api", "--processes", "2"]
    assert [SERVICES[name]["deploy"] for name in ("worker", "scheduler")] == [{"replicas": 2}] * 2


def test_whoever_serves_a_page_is_watched_and_gets_the_time_to_stop() -> None:
    for name in ("worker", "scheduler"):
        assert (
            f":{SERVICES[name]['environment']['SOKO_WORKER_PORT']}/health/live"
            in SERVICES[name]["healthcheck"]["test"][-1]
        )
    assert {service["stop_grace_period"] for service in OURS.values()} == {"35s"}


def test_no_secret_has_a_default() -> None:
    text = (ROOT / "compose.yaml").read_text()

    for secret in ("SECRET_KEY", "POSTGRES_PASSWORD", "AWS_SECRET_ACCESS_KEY"):
        assert re.findall(rf"\$\{{{secret}[^?}}]*[-=][^}}]*\}}", text) == []
        assert f"${{{secret}:?" in text
