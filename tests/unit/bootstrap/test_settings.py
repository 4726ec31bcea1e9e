"""Settings: defaults of business settings, values that stop the start, and secrets that stand in files."""

from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from domain.core.files.policies import EXTENSIONS, FILE_SIZE_MAX
from interface.bootstrap.cli import app
from interface.bootstrap.settings import Settings, SettingsRefused, read_settings


def test_without_settings_the_policies_keep_their_own_defaults() -> None:
    assert read_settings({}).policy_defaults == {"files.max_size": "20", "files.extensions": "all"}
    assert (str(FILE_SIZE_MAX.default), EXTENSIONS.default) == ("20", "all")


def test_settings_of_files_become_defaults_of_policies() -> None:
    settings = read_settings({"MAX_FILE_SIZE_MB": "5", "ALLOWED_FILE_EXTENSIONS": "pdf, .DOCX,"})
    defaults = settings.policy_defaults
    assert FILE_SIZE_MAX.parse(defaults["files.max_size"]) == 5
    assert EXTENSIONS.parse(defaults["files.extensions"]) == "docx,pdf"


@pytest.mark.parametrize(
    ("env", "text", "told"),
    [
        ("MAX_FILE_SIZE_MB", "0", "MAX_FILE_SIZE_MB: The value must be between 1 and 50."),
        ("MAX_FILE_SIZE_MB", "51", "MAX_FILE_SIZE_MB: The value must be between 1 and 50."),
        (
            "ALLOWED_FILE_EXTENSIONS",
            "pdf,*",
            "ALLOWED_FILE_EXTENSIONS: Name endings separated by commas, such as pdf,docx, or all.",
        ),
    ],
)
def test_a_default_that_its_policy_refuses_stops_the_start(env: str, text: str, told: str) -> None:
    with pytest.raises(SettingsRefused) as refused:
        read_settings({env: text})
    assert str(refused.value) == told


@pytest.mark.parametrize(
    ("env", "text", "told"),
    [
        ("SOKO_PORT", "abc", "'abc' is not a whole number"),
        ("SOKO_PORT", "65536", "must be 0 to 65535"),
        ("SOKO_MAIL_CATCHER_PORT", "-1", "must be 0 to 65535"),
        ("DATABASE_URL", "mysql://database/soko", "must begin with postgresql://"),
        ("DATABASE_REPLICA_URL", "replica:5432", "must begin with postgresql://"),
        ("SOKO_DATABASE_POOL", "0", "must be 1 or more"),
        ("SOKO_REPLICA_LAG_MAX", "0", "must be 1 or more"),
        ("DEBUG", "maybe", "'maybe' is not yes or no"),
    ],
)
def test_a_setting_of_the_wrong_kind_stops_the_start_in_plain_words(env: str, text: str, told: str) -> None:
    with pytest.raises(SettingsRefused) as refused:
        read_settings({env: text})
    assert str(refused.value) == f"{env}: {told}"


def test_several_processes_cannot_share_the_port_of_one_simulator(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SOKO_API_PROCESSES", "1")  # what the option puts there is taken away after the test
    monkeypatch.setenv("SOKO_SIMULATOR_PORT", "8399")
    monkeypatch.setenv("SOKO_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")  # whatever starts all the same ends at once
    refused = CliRunner().invoke(app, ["api", "--processes", "2"]).exception
    assert isinstance(refused, SettingsRefused)
    assert str(refused) == (
        "SOKO_SIMULATOR_PORT: must be 0 where SOKO_API_PROCESSES or --processes is more than 1:"
        " each process has a simulator of its own"
    )
    assert list(tmp_path.iterdir()) == []
    assert read_settings({"SOKO_API_PROCESSES": "1", "SOKO_SIMULATOR_PORT": "8399"}).simulator_port == 8399
    assert read_settings({"SOKO_API_PROCESSES": "2", "SOKO_SIMULATOR_PORT": "0"}).api_processes == 2


LIVE = {
    "SOKO_ENVIRONMENT": "production",
    "SECRET_KEY": "a secret of a test, thirty-two bytes or more",
    "DATABASE_URL": "postgresql://soko@database/soko",
    "LIPANA_BASE_URL": "https://api.lipana.dev/v1",
    "LIPANA_API_KEY": "lip_sk_live_of_a_test",
    "LIPANA_CALLBACK_SECRET": "a callback secret of a test",
    "EMAIL_HOST": "mail",
    "SOKO_PUBLIC_URL": "https://soko.example",
    "ALLOWED_HOSTS": "soko.example",
}


def test_cards_are_simulated_outside_production_unless_switched_off_and_never_in_it() -> None:
    assert read_settings({}).simulates_cards is True
    assert read_settings({"SOKO_SIMULATED_CARDS": "no"}).simulates_cards is False
    assert read_settings(LIVE).simulates_cards is False
    with pytest.raises(SettingsRefused) as refused:
        read_settings(LIVE | {"SOKO_SIMULATED_CARDS": "yes"})
    assert str(refused.value) == "SOKO_SIMULATED_CARDS: the simulator is refused in production"
    with pytest.raises(SettingsRefused):
        read_settings({"SOKO_SIMULATED_CARDS": "perhaps"})


def test_a_secret_may_stand_in_a_file_without_the_end_of_its_line(tmp_path: Path) -> None:
    kept = tmp_path / "secret_key"
    kept.write_bytes(b" a key of a test with spaces about it \r\n")
    assert read_settings({"SECRET_KEY_FILE": str(kept)}).secret_key == " a key of a test with spaces about it "
    assert read_settings({"SECRET_KEY_FILE": str(kept), "SECRET_KEY": ""}).secret_key.endswith("about it ")
    assert read_settings({"SECRET_KEY_FILE": "", "SECRET_KEY": "typed"}).secret_key == "typed"


def outcome(environment: dict[str, str]) -> Settings | str:
    try:
        return read_settings(environment)
    except SettingsRefused as refused:
        return str(refused)


def test_every_secret_may_stand_in_a_file_and_nothing_else_may(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("postgresql://from-a-file\n")
    for each in fields(Settings):
        env = each.metadata["env"]
        typed = {env: "postgresql://from-a-file"} if each.metadata["secret"] else {}
        assert outcome({f"{env}_FILE": str(kept)}) == outcome(typed)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "SECRET_KEY_FILE: {path} cannot be read: No such file or directory"),
        (b"\n", "SECRET_KEY_FILE: {path} is empty"),
        (b"\xff\xfe", "SECRET_KEY_FILE: {path} is not text in UTF-8"),
        (b"k" * 65537, "SECRET_KEY_FILE: {path} is longer than 65536 bytes, so it is no secret"),
    ],
)
def test_a_file_that_holds_no_secret_stops_the_start(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "secret_key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsRefused) as refused:
        read_settings({"SECRET_KEY_FILE": str(path)})
    assert str(refused.value) == told.format(path=path)


def test_a_secret_that_is_given_twice_is_refused_and_not_told(tmp_path: Path) -> None:
    kept = tmp_path / "secret_key"
    kept.write_text("one of the two")
    with pytest.raises(SettingsRefused) as refused:
        read_settings({"SECRET_KEY_FILE": str(kept), "SECRET_KEY": "the other", "SOKO_PORT": "abc"})
    assert str(refused.value).splitlines() == [
        "SECRET_KEY, SECRET_KEY_FILE: set one of the two, not both",
        "SOKO_PORT: 'abc' is not a whole number",
    ]


BUCKET = {
    "SOKO_STORAGE": "s3",
    "AWS_STORAGE_BUCKET_NAME": "soko-files",
    "AWS_ACCESS_KEY_ID": "AKIA",
    "AWS_SECRET_ACCESS_KEY": "secret",
}


@pytest.mark.parametrize("missing", sorted(BUCKET))
def test_a_bucket_that_is_half_configured_stops_the_start(missing: str) -> None:
    assert read_settings(BUCKET).storage == "s3"
    assert read_settings({"AWS_ACCESS_KEY_ID": "for something else"}).storage == "disk"
    with pytest.raises(SettingsRefused, match="AWS_STORAGE_BUCKET_NAME"):
        read_settings({name: value for name, value in BUCKET.items() if name != missing})


@pytest.mark.parametrize(
    ("env", "text"),
    [
        ("SOKO_STORAGE", "S3"),
        ("SOKO_S3_PREFIX", "files"),
        ("SOKO_S3_PREFIX", "../"),
        ("AWS_S3_ENDPOINT_URL", "store.example"),
        ("SOKO_S3_PUBLIC_URL", "ftp://store.example"),
    ],
)
def test_a_store_that_cannot_be_stops_the_start(env: str, text: str) -> None:
    with pytest.raises(SettingsRefused, match=env):
        read_settings(BUCKET | {env: text})


def test_browsers_reach_a_bucket_in_production_over_tls() -> None:
    inside = {"AWS_S3_ENDPOINT_URL": "http://store:9000"}
    assert read_settings(LIVE | BUCKET).s3_public_address == ""
    with pytest.raises(SettingsRefused, match="SOKO_S3_PUBLIC_URL"):
        read_settings(LIVE | BUCKET | inside)
    read_settings(LIVE | BUCKET | inside | {"SOKO_S3_PUBLIC_URL": "https://files.soko.example"})
