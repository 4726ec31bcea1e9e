"""Where the log goes and what it looks like: one event a line, on standard error.

Our own events are written straight to the stream: through the standard library's logging, which the libraries' events
take, the line that every request writes cost a tenth of the request.
"""

import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

import msgspec
import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from application.core.kernel.request_context import current_request
from interface.bootstrap.settings import Settings
from interface.bootstrap.tracebacks import masked, traceback_without_values, write_traceback

LIBRARY_LEVELS = {
    "uvicorn": logging.WARNING,
    "taskiq": logging.ERROR,
    "httpx": logging.WARNING,
    "alembic": logging.WARNING,
}
"""Libraries that are too talkative; httpx, for one, writes every URL with its query string."""


def configure_logs(settings: Settings, stream: TextIO = sys.stderr) -> None:
    """Send our events and the libraries' to `stream`: as JSON, or readable on a terminal."""
    is_console = settings.log_format == "console" or (settings.log_format == "auto" and stream.isatty())
    level = logging.DEBUG if settings.debug else logging.INFO
    before: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
    ]
    last: list[Processor]
    if is_console:
        last = [
            structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=24, exception_formatter=write_traceback)
        ]
    else:
        format_exception = structlog.processors.ExceptionRenderer(traceback_without_values)
        last = [format_exception, structlog.processors.JSONRenderer(serializer=_json)]
    structlog.configure(
        processors=[_add_facts, *last],
        logger_factory=lambda name: _Lines(stream, name),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*before, structlog.stdlib.ExtraAdder(), _mask_failures],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("soko").setLevel(level)
    for library, library_level in LIBRARY_LEVELS.items():
        logging.getLogger(library).setLevel(library_level)


class _Lines:
    """Writes each event of one logger as a line."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self.name = name

    def msg(self, line: str) -> None:
        """Write a line, at once and whole."""
        self._stream.write(f"{line}\n")
        self._stream.flush()

    debug = info = warning = error = critical = exception = log = msg


def _json(event: EventDict, *, default: Callable[[object], object]) -> str:
    return msgspec.json.encode(event, enc_hook=default).decode()


def _mask_failures(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Take the values out of what a library says of a failure; asyncio, for one, quotes the exception."""
    record = event.get("_record")
    if record is not None and record.levelno >= logging.ERROR and not record.name.startswith("soko"):
        event["event"] = masked(str(event["event"]))
    return event


def _add_facts(logger: WrappedLogger, level: str, event: EventDict) -> EventDict:
    """Do for our own events what the four processors above do for the libraries', in one step."""
    event["level"] = level
    event["logger"] = logger.name
    event["timestamp"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    return _add_trace(logger, level, event)


def _add_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event.setdefault("trace_id", current_request().trace_id)
    return event
