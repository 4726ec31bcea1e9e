"""Spans: what was done, when, for how long, and inside of what. Off unless the operator names a collector.

A span is named after the work, never after whom it was for: names and notes are words of the program (route templates,
event names, kinds of errors), never an id of a person, a value that was sent, or the text of an error.
"""

from contextlib import AbstractContextManager, nullcontext
from enum import Enum
from typing import Final, Protocol


class SpanKind(Enum):
    """Which side of a call a span stands for."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    CONSUMER = "consumer"


class Span(Protocol):
    """One piece of work while it lasts."""

    @property
    def id(self) -> str | None:
        """Its own id in hexadecimal digits; None where nothing is recorded."""
        ...

    @property
    def traceparent(self) -> str | None:
        """What another program is told, so that its spans stand under this one; None where nothing is recorded."""
        ...

    def rename(self, name: str) -> None:
        """Give it the name that was not known when it began."""
        ...

    def note(self, name: str, value: str | int | bool) -> None:
        """Say something about it."""
        ...

    def failed(self, kind: str) -> None:
        """Mark it as failed, with the kind of error."""
        ...


class Tracing(Protocol):
    """Records spans. Promises: never raises for, and never waits for, whoever they are sent to."""

    def span(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        trace_id: str | None = None,
        parent_id: str | None = None,
    ) -> AbstractContextManager[Span]:
        """Record the block as a span inside of the one that runs; `trace_id` begins or continues a trace instead.

        An error that leaves the block marks it as failed.
        """
        ...

    def past(self, name: str, seconds: float, failure: str | None) -> None:
        """Record what has just ended, inside of the span that runs; nothing where none does."""
        ...


class _Unrecorded:
    """The span of a process that records none."""

    id = None
    traceparent = None

    def rename(self, name: str) -> None:
        """Do nothing."""

    def note(self, name: str, value: str | int | bool) -> None:
        """Do nothing."""

    def failed(self, kind: str) -> None:
        """Do nothing."""


_UNRECORDED: Final = nullcontext(_Unrecorded())


class NoTracing:
    """Records nothing."""

    def span(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        trace_id: str | None = None,
        parent_id: str | None = None,
    ) -> AbstractContextManager[Span]:
        """Return a block like any other."""
        return _UNRECORDED

    def past(self, name: str, seconds: float, failure: str | None) -> None:
        """Do nothing."""


NO_TRACING: Final = NoTracing()
