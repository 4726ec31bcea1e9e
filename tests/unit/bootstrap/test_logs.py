"""The log: one line an event, ours and the libraries' in one form."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from application.core.kernel.request_context import RequestContext, request_context
from interface.bootstrap.logs import configure_logs
from interface.bootstrap.settings import read_settings


@pytest.fixture
def restored() -> Iterator[None]:
    """Put back how the process logs."""
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


@pytest.fixture
def stream(restored: None, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    monkeypatch.setenv("SOKO_LOG_FORMAT", "json")
    monkeypatch.delenv("SOKO_DEBUG", raising=False)
    written = io.StringIO()
    configure_logs(read_settings(), written)
    return written


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_that_says_when_where_how_bad_and_under_which_trace(stream: io.StringIO) -> None:
    with request_context(RequestContext(trace_id="t" * 32)):
        structlog.get_logger("soko.a_test").warning("seen", text="two\nlines")
    (line,) = _lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "seen",
        "text": "two\nlines",
        "level": "warning",
        "logger": "soko.a_test",
        "trace_id": "t" * 32,
    }


def test_a_library_s_event_has_the_same_members(stream: io.StringIO) -> None:
    structlog.get_logger("soko.a_test").error("seen")
    logging.getLogger("some.library").error("seen %d times", 2)
    ours, theirs = _lines(stream)
    assert ours.keys() == theirs.keys()
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("seen 2 times", "error", "some.library")


def test_what_is_below_the_level_is_not_written(stream: io.StringIO) -> None:
    structlog.get_logger("soko.a_test").debug("hidden")
    logging.getLogger("httpx").info("GET https://provider.example?token=secret")
    logging.getLogger("some.library").debug("hidden")
    structlog.get_logger("soko.a_test").info("shown")
    assert [line["event"] for line in _lines(stream)] == ["shown"]


def test_an_exception_keeps_its_traceback_in_the_line_and_none_of_the_values(stream: io.StringIO) -> None:
    def fall(password: str) -> None:
        raise ValueError("fell")

    log = structlog.get_logger("soko.a_test")
    secret = f"hunter{2:d}"  # not in the source, which a traceback shows
    try:
        fall(secret)
    except ValueError as error:
        log.error("failed", exc_info=error)
        log.exception("failed too")
    passed, current = _lines(stream)
    assert passed["level"] == current["level"] == "error"
    for line in (passed, current):
        assert line["exception"].startswith("Traceback")
        assert line["exception"].endswith("ValueError: fell")
        assert "exc_info" not in line
    assert secret not in stream.getvalue()


def test_a_value_that_json_does_not_know_is_written_all_the_same(stream: io.StringIO) -> None:
    structlog.get_logger("soko.a_test").info("odd", value=object)
    (line,) = _lines(stream)
    assert line["value"] == repr(object)
