"""What the log says of an exception: where and of what kind, and nothing of the values that were at hand.

Drivers and parsers put the value they stumble over into their message: a row that breaks a constraint is quoted whole,
with the password's hash in it. So of a message only the first line is kept, without what it quotes.
"""

import re
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import TextIO

MESSAGE_LENGTH_MAX = 300
MEMBERS_MAX = 5
"""Of a group of exceptions so many are written."""

_VALUE = re.compile(
    r"'(?:[^'\\]|\\.)*'?"  # what is quoted, also when its end was cut off
    r'|"(?:[^"\\]|\\.)*"?'
    r"|\(.*\)"
    r"|\S+@\S+"  # an address
    r"|(?<!\w)\+?[0-9][0-9 -]{5,}[0-9](?!\w)"  # a phone number, and what is as long as one
)
_MASK = "…"

ExceptionFacts = tuple[type[BaseException], BaseException, TracebackType | None]


def masked(text: str) -> str:
    """Return the first line of a text without what it quotes."""
    return _VALUE.sub(_MASK, text.partition("\n")[0])[:MESSAGE_LENGTH_MAX]


def traceback_without_values(exc_info: ExceptionFacts) -> str:
    """Return the traceback of an exception and of those that led to it, the first cause first."""
    return "\n".join(_lines(exc_info[1]))


def write_traceback(stream: TextIO, exc_info: ExceptionFacts) -> None:
    """Write the same, for people who watch a terminal."""
    stream.write("\n" + traceback_without_values(exc_info))


def _lines(error: BaseException) -> Iterator[str]:
    chain = [error]
    while (earlier := _led_to_by(chain[-1])) is not None and earlier not in chain:
        chain.append(earlier)
    for one in reversed(chain):
        yield "Traceback (most recent call last):"
        yield "".join(traceback.format_tb(one.__traceback__)).rstrip("\n")
        yield _named(one)
        if isinstance(one, BaseExceptionGroup):
            for member in one.exceptions[:MEMBERS_MAX]:
                yield from _lines(member)


def _led_to_by(error: BaseException) -> BaseException | None:
    if error.__cause__ is not None or error.__suppress_context__:
        return error.__cause__
    return error.__context__


def _named(error: BaseException) -> str:
    # what PostgreSQL refuses is found by these three, which are names of ours and no values
    known = [getattr(error, name, None) for name in ("sqlstate", "table_name", "constraint_name")]
    facts = " ".join(str(fact) for fact in known if fact)
    return f"{type(error).__module__}.{type(error).__qualname__}: {masked(str(error))}" + (
        f" [{facts}]" if facts else ""
    )
