"""Redis is configured whole and safely, or not at all."""

import pytest

from interface.bootstrap.settings import SettingsRefused, read_settings

PRODUCTION = {"SOKO_ENVIRONMENT": "production"}
NO_PASSWORD = (
    "REDIS_URL: name the password, as in redis://:password@host:6379/0; without one it must be on this machine"
)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"SOKO_BROKER": "redis"}, "REDIS_URL: set it for SOKO_BROKER=redis"),
        (
            {"SOKO_BROKER": "redis", "SOKO_REALTIME": "redis"},
            "REDIS_URL: set it for SOKO_BROKER=redis and SOKO_REALTIME=redis",
        ),
        ({"REDIS_URL": "http://cache:6379"}, "REDIS_URL: must begin with redis://, rediss:// or unix://"),
        ({"REDIS_URL": "redis://[cache"}, "REDIS_URL: is not an address"),
        ({"REDIS_URL": "redis://cache:port/0"}, "REDIS_URL: is not an address"),
        ({"SOKO_BROKER": "kafka"}, "SOKO_BROKER: must be memory or redis"),
        ({"SOKO_REALTIME": "carrier"}, "SOKO_REALTIME: must be postgres, redis or memory"),
    ],
)
def test_half_a_configuration_is_refused(environment: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsRefused) as refused:
        read_settings(environment)
    assert str(refused.value) == told


@pytest.mark.parametrize(
    ("url", "is_refused"),
    [
        ("redis://cache:6379/0", True),
        ("rediss://cache:6379/0", True),
        ("redis://:secret@cache:6379/0", False),
        ("redis://127.0.0.1:6379/0", False),
        ("unix:///run/valkey.sock?db=1", False),
    ],
)
def test_in_production_a_server_on_another_machine_needs_a_password(url: str, is_refused: bool) -> None:
    with pytest.raises(SettingsRefused) as refused:
        read_settings({**PRODUCTION, "REDIS_URL": url})
    assert (NO_PASSWORD in str(refused.value).splitlines()) is is_refused
    assert url not in str(refused.value)
    assert read_settings({"REDIS_URL": url}).redis_url == url
