"""Ask a provider over HTTP, once: in bounded time, for a bounded answer, and knowing whether the request left."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, runtime_checkable

import httpx

from application.core.kernel.ports import Clock
from application.core.kernel.tracing import NO_TRACING, SpanKind, Tracing
from application.core.operations.figures import Figures
from infrastructure.providers.circuit import Circuit

ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024

RETRY_AFTER_S_MAX: Final = 300
"""The longest time a provider may keep us away with one header, in seconds."""

TURNED_AWAY: Final = frozenset({401, 403, 429})
"""Statuses of a request that a provider did not look into: our key is refused, or we ask too often."""

GATEWAY_UNAVAILABLE: Final = "GATEWAY_UNAVAILABLE"
NO_ANSWER_FROM_GATEWAY: Final = "NO_ANSWER_FROM_GATEWAY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a provider is waited for, and when it is left alone. Times in seconds where they are no timedelta."""

    connect_timeout_s: float = 5.0
    total_timeout_s: float = 7.0
    failures_to_open: int = 5
    open_for: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class ProviderReply:
    """What one request came to: a status and a body, or the reason why there is none."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Their names are lower case."""
    body: bytes = b""
    code: str | None = None
    """Our own word where there is no status."""
    did_not_leave: bool = False
    """True only where the request provably never reached the provider."""
    retry_after_s: int | None = None


@runtime_checkable
class AsksProvider(Protocol):
    """A gateway whose requests can be watched."""

    @property
    def name(self) -> str: ...

    @property
    def provider(self) -> "ProviderClient": ...


class ProviderClient:
    """Sends single requests to one provider and never repeats one; a circuit keeps us from a provider that is down."""

    def __init__(self, client: httpx.AsyncClient, clock: Clock, base_url: str, patience: Patience) -> None:
        self._client = client
        self._clock = clock
        self._base_url = base_url.rstrip("/")
        self._total_timeout_s = patience.total_timeout_s
        self._timeout = httpx.Timeout(patience.total_timeout_s, connect=patience.connect_timeout_s)
        self._circuit = Circuit(clock, failures_to_open=patience.failures_to_open, open_for=patience.open_for)
        self._name = ""
        self._figures = Figures()
        self._tracing: Tracing = NO_TRACING

    def watched(self, name: str, figures: Figures, tracing: Tracing) -> None:
        """Have what is asked counted and traced under the provider's name."""
        self._name, self._figures, self._tracing = name, figures, tracing
        figures.circuits[name] = lambda: self._circuit.wait_s() is not None

    async def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        json: object | None = None,
        form: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> ProviderReply:
        """Send one request with a JSON body, a form, or none, and say what came of it; too long a body comes empty."""
        figures, name = self._figures, self._name
        with self._tracing.span(f"{method} {name}", kind=SpanKind.CLIENT) as span:  # paths hold ids
            if span.traceparent is not None:
                headers = {**headers, "traceparent": span.traceparent}
            with figures.timed(figures.provider_times, name):
                reply = await self._ask(method, path, headers=headers, json=json, form=form, params=params)
            outcome = _outcome(reply)
            figures.provider_calls[name, outcome] += 1
            span.note("soko.outcome", outcome)
            if reply.status is None:
                span.failed(outcome)
        return reply

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        json: object | None,
        form: Mapping[str, str] | None,
        params: Mapping[str, str] | None,
    ) -> ProviderReply:
        wait_s = self._circuit.wait_s()
        if wait_s is not None:
            return ProviderReply(code=GATEWAY_UNAVAILABLE, did_not_leave=True, retry_after_s=wait_s)
        self._circuit.begin()
        try:
            request = self._client.build_request(
                method,
                self._base_url + path,
                headers=dict(headers),
                json=json,
                data=form,
                params=params,
                timeout=self._timeout,
            )
            status, reply_headers, body = await self._send(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol):
            self._circuit.failed()
            return ProviderReply(code=GATEWAY_UNAVAILABLE, did_not_leave=True)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            self._circuit.failed()
            return ProviderReply(code=NO_ANSWER_FROM_GATEWAY)
        except BaseException:
            self._circuit.abandoned()
            raise
        retry_after_s = _retry_after_s(reply_headers.get("retry-after"), self._clock.now())
        if status in {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE} and retry_after_s:
            self._circuit.pause(timedelta(seconds=retry_after_s))
        elif status in {401, 403, 502, 503, 504}:
            self._circuit.failed()
        else:
            self._circuit.succeeded()  # also a 500: a lookup of Lipana's is known to answer nothing else
        return ProviderReply(status, reply_headers, body, retry_after_s=retry_after_s)

    async def _send(self, request: httpx.Request) -> tuple[int, Mapping[str, str], bytes]:
        async with asyncio.timeout(self._total_timeout_s):
            response = await self._client.send(request, stream=True, follow_redirects=False)
            try:
                body = bytearray()
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > ANSWER_BYTES_MAX:
                        return response.status_code, response.headers, b""
                return response.status_code, response.headers, bytes(body)
            finally:
                await response.aclose()


def _outcome(reply: ProviderReply) -> str:
    """Return the word under which a reply is counted."""
    if reply.status is not None:
        return f"{reply.status // 100}xx"
    if not reply.did_not_leave:
        return "no_answer"
    return "kept_away" if reply.retry_after_s is not None else "unreachable"


def _retry_after_s(header: str | None, now: datetime) -> int | None:
    """Return the seconds a Retry-After asks for, at most five minutes; None where there is none to be understood."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        seconds = int(text[:9])
    else:
        try:
            at = datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
        except ValueError:
            return None
        seconds = int((at - now).total_seconds())
    return min(max(seconds, 0), RETRY_AFTER_S_MAX) or None
