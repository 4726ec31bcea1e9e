"""Spans by OpenTelemetry, sent to a collector in batches by a thread of its own.

Imported only where the operator names a collector: the SDK is a tenth of a second of every start.
"""

import hashlib
import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Final

import requests
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from application.core.kernel.tracing import Span, SpanKind

QUEUE_MAX: Final = 4_096
"""Spans that wait for the collector; what comes when there are so many pushes the oldest out."""

BATCH_MAX: Final = 512
SEND_EVERY_MS: Final = 1_000
SEND_TIMEOUT_S: Final = 2.0
"""A batch that the collector has not taken by then is dropped."""

STOP_WITHIN_S: Final = 3.0

_KINDS: Final = {
    SpanKind.INTERNAL: trace.SpanKind.INTERNAL,
    SpanKind.SERVER: trace.SpanKind.SERVER,
    SpanKind.CLIENT: trace.SpanKind.CLIENT,
    SpanKind.CONSUMER: trace.SpanKind.CONSUMER,
}
_TRACE_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_SPAN_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
_SAMPLED = trace.TraceFlags(trace.TraceFlags.SAMPLED)
_next_trace_id: ContextVar[int | None] = ContextVar("soko_next_trace_id", default=None)


class OpenTelemetryTracing:
    """Records spans and sends them to one collector."""

    def __init__(self, url: str, *, service: str = "soko") -> None:
        session = requests.Session()
        session.trust_env = False  # a proxy of the environment is for the internet, not for our own collector
        self._processor = BatchSpanProcessor(
            OTLPSpanExporter(endpoint=url, timeout=SEND_TIMEOUT_S, session=session),
            max_queue_size=QUEUE_MAX,
            schedule_delay_millis=SEND_EVERY_MS,
            max_export_batch_size=BATCH_MAX,
        )
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create({"service.name": service}),
            shutdown_on_exit=False,
            id_generator=_OurTraceIds(),
        )
        self._provider.add_span_processor(self._processor)
        self._tracer = self._provider.get_tracer("soko")
        # a dead collector is one line now and then, and not one for each span that is pushed out
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)

    def span(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        trace_id: str | None = None,
        parent_id: str | None = None,
    ) -> AbstractContextManager[Span]:
        return self._recorded(name, kind, trace_id, parent_id)

    @contextmanager
    def _recorded(self, name: str, kind: SpanKind, trace_id: str | None, parent_id: str | None) -> Iterator[Span]:
        context = None
        forced = None
        if trace_id is not None:
            number = trace_number(trace_id)
            if parent_id is not None and _SPAN_ID.fullmatch(parent_id) and int(parent_id, 16):
                parent = trace.SpanContext(number, int(parent_id, 16), is_remote=True, trace_flags=_SAMPLED)
                context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
            else:
                context = trace.set_span_in_context(trace.INVALID_SPAN)
                forced = _next_trace_id.set(number)
        try:
            begun = self._tracer.start_span(
                name, context, _KINDS[kind], record_exception=False, set_status_on_exception=False
            )
        finally:
            if forced is not None:
                _next_trace_id.reset(forced)
        span = _Recorded(begun)
        if trace_id is not None and not _TRACE_ID.fullmatch(trace_id):
            span.note("soko.trace_id", trace_id)
        # what an error says may be a person's: its kind is enough
        with trace.use_span(begun, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield span
            except BaseException as error:
                span.failed(type(error).__name__)
                raise

    def past(self, name: str, seconds: float, failure: str | None) -> None:
        if not trace.get_current_span().is_recording():
            return
        ended_at = time.time_ns()
        begun = self._tracer.start_span(
            name, kind=trace.SpanKind.CLIENT, start_time=ended_at - int(seconds * 1e9), record_exception=False
        )
        if failure is not None:
            _Recorded(begun).failed(failure)
        begun.end(ended_at)

    def flush(self) -> None:
        """Send what waits, now."""
        self._processor.force_flush()

    def close(self) -> None:
        """Send what waits, for three seconds at most, and stop. It blocks: call it in a thread."""
        stopping = threading.Thread(target=self._processor.shutdown, daemon=True)  # by itself it takes half a minute
        stopping.start()
        stopping.join(STOP_WITHIN_S)


class _Recorded:
    """A span that is recorded."""

    __slots__ = ("_span",)

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def id(self) -> str | None:
        return trace.format_span_id(self._span.get_span_context().span_id)

    @property
    def traceparent(self) -> str | None:
        context = self._span.get_span_context()
        return f"00-{trace.format_trace_id(context.trace_id)}-{trace.format_span_id(context.span_id)}-01"

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def note(self, name: str, value: str | int | bool) -> None:
        self._span.set_attribute(name, value)

    def failed(self, kind: str) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(trace.StatusCode.ERROR)


class _OurTraceIds(RandomIdGenerator):
    """Gives a trace that begins here the id that stands in our log lines and replies."""

    def generate_trace_id(self) -> int:
        return _next_trace_id.get() or super().generate_trace_id()

    def is_trace_id_random(self) -> bool:
        return False


def trace_number(trace_id: str) -> int:
    """Return the id of a trace as a number; of one that a client made up in its own form, one that is always the same.

    Its own form is noted on the span.
    """
    if _TRACE_ID.fullmatch(trace_id) and (number := int(trace_id, 16)):
        return number
    return int.from_bytes(hashlib.sha256(trace_id.encode()).digest()[:16], "big") or 1
