"""Settings that give business settings their defaults."""

import pytest

from domain.core.files.policies import EXTENSIONS, FILE_SIZE_MAX
from interface.bootstrap.settings import SettingsRefused, read_settings


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
        ("DEBUG", "maybe", "'maybe' is not yes or no"),
    ],
)
def test_a_setting_of_the_wrong_kind_stops_the_start_in_plain_words(env: str, text: str, told: str) -> None:
    with pytest.raises(SettingsRefused) as refused:
        read_settings({env: text})
    assert str(refused.value) == f"{env}: {told}"


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
