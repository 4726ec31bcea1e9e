"""The launcher of the test server does what the other tests rely on."""

import pytest

from tests.integration.redis.valkey import Valkey


def test_what_was_acknowledged_is_there_after_a_stop(valkey: Valkey) -> None:
    valkey.command("SET", "kept", "1")
    valkey.stop()
    valkey.start()
    assert valkey.command("GET", "kept") == b"$1\r\n1\r\n"


def test_a_killed_server_starts_again(valkey: Valkey) -> None:
    valkey.kill()
    with pytest.raises(OSError, match="refused"):
        valkey.command("PING")
    valkey.start()
    assert valkey.command("PING") == b"+PONG\r\n"


def test_a_paused_server_answers_nothing_until_it_goes_on(valkey: Valkey) -> None:
    valkey.pause()
    with pytest.raises(TimeoutError):
        valkey.command("PING", within_s=0.1)
    valkey.resume()
    assert valkey.command("PING") == b"+PONG\r\n"


def test_a_full_server_refuses_writes_and_answers_reads(valkey: Valkey) -> None:
    valkey.fill()
    assert valkey.command("SET", "more", "1").startswith(b"-OOM")
    assert valkey.command("GET", "more") == b"$-1\r\n"
    valkey.empty()
    assert valkey.command("SET", "more", "1") == b"+OK\r\n"


def test_a_wiped_server_is_empty(valkey: Valkey) -> None:
    valkey.command("SET", "gone", "1")
    valkey.flush()
    assert valkey.command("DBSIZE") == b":0\r\n"
