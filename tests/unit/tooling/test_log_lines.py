"""What the log says of failures: enough to find them, and none of the values that were at hand."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from interface.bootstrap.logs import LIBRARY_LEVELS, configure_logs
from interface.bootstrap.settings import read_settings
from interface.bootstrap.tracebacks import MESSAGE_LENGTH_MAX, masked, traceback_without_values

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Give what was logged as JSON since the test began."""
    stream, root, levels = io.StringIO(), logging.getLogger(), [*LIBRARY_LEVELS, "soko"]
    before = (root.handlers[:], root.level, {name: logging.getLogger(name).level for name in levels})
    configure_logs(read_settings({"SOKO_ENVIRONMENT": "test", "SOKO_LOG_FORMAT": "json"}), stream)
    structlog.configure(cache_logger_on_first_use=False)  # or loggers would write here for ever
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()
    root.handlers[:], root.level = before[0], before[1]
    for name, level in before[2].items():
        logging.getLogger(name).setLevel(level)


class RowRefused(Exception):
    """Speaks like the driver does of a broken constraint."""

    sqlstate, table_name, constraint_name = "23514", "accounts", "ck_planted"

    def __str__(self) -> str:
        return 'new row for relation "accounts" violates it\nDETAIL:  Failing row contains (amina, $argon2id$secret).'


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("invalid literal for int() with base 10: 'secret'", "invalid literal for int… with base 10: …"),
        ("invalid input for query argument $1: 'secr\\'et' (expected str)", "invalid input for query argument $1: … …"),
        ('no such thing: "secret', "no such thing: …"),
        ("first line\nsecret second", "first line"),
        ("mail to amina@example.test failed", "mail to … failed"),
        ("no answer for +254 712 345 678, port 5432", "no answer for …, port 5432"),
        ("Key (phone)=(+254712345678) exists", "Key … exists"),
        ("", ""),
    ],
)
def test_of_a_message_the_first_line_stays_without_what_it_quotes(message: str, kept: str) -> None:
    assert masked(message) == kept


def test_a_message_is_bounded() -> None:
    assert len(masked("x " * 1_000)) == MESSAGE_LENGTH_MAX


def test_a_traceback_names_kind_place_cause_and_constraint() -> None:
    try:
        try:
            raise RowRefused
        except RowRefused as error:
            raise LookupError("no 'secret' here") from error
    except LookupError as error:
        said = traceback_without_values((LookupError, error, error.__traceback__))
    assert said.index("RowRefused: new row for relation … violates it [23514 accounts ck_planted]") < said.index(
        "builtins.LookupError: no … here"
    )
    assert "test_log_lines.py" in said
    assert "secret" not in said.replace("""raise LookupError("no 'secret' here") from error""", "")  # the line of code


def test_the_members_of_a_group_are_told() -> None:
    error = ExceptionGroup("two failed", [ValueError("'secret'"), RowRefused()])
    said = traceback_without_values((ExceptionGroup, error, None))
    assert "ValueError: …" in said
    assert "ck_planted" in said
    assert "secret" not in said


def test_a_failure_is_one_line_of_json_without_values(lines: Lines) -> None:
    structlog.get_logger("soko.test").error("request_failed", exc_info=RowRefused())
    [line] = lines()
    assert (line["event"], line["level"], line["logger"]) == ("request_failed", "error", "soko.test")
    assert "ck_planted" in line["exception"]
    assert "argon2" not in json.dumps(line)


def test_what_a_use_case_adds_to_its_line_is_written(lines: Lines) -> None:
    logging.getLogger("soko.payments").error("payment_not_served", extra={"reference": "SK7Q2M4T9XB1"})
    [line] = lines()
    assert (line["event"], line["reference"]) == ("payment_not_served", "SK7Q2M4T9XB1")


def test_a_library_that_quotes_an_exception_is_masked(lines: Lines) -> None:
    logging.getLogger("asyncio").error("never retrieved: <Task exception=ValueError('secret')>", exc_info=RowRefused())
    [line] = lines()
    assert "secret" not in json.dumps(line)
    assert "ck_planted" in line["exception"]
