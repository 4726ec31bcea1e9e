"""The outermost layer: who asks from where under which trace, the log line, the headers of every reply, and HEAD."""

import ipaddress
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Protocol, TypeAlias
from urllib.parse import unquote_to_bytes

import msgspec
import structlog

from application.core.identity.authenticate import Caller
from application.core.kernel.ports import IdSource
from application.core.kernel.request_context import RequestContext, enter_request
from application.core.kernel.tracing import NO_TRACING, SpanKind, Tracing
from domain.core.kernel.errors import DomainError, Malformed
from interface.http.edge.meter import known_method
from interface.http.edge.sending import refuse_socket, send_body, send_refusal
from interface.http.edge.wire_types import App, Message, Receive, Scope, Send
from interface.http.errors import CODE_BY_STATUS, DETAIL_BY_STATUS, PROBLEM_JSON, REFUSAL_CODE, document

USER_AGENT_LENGTH_MAX = 300
PATH_LENGTH_MAX = 2_048
QUERY_LENGTH_MAX = 8_192
FORWARDED_HOPS_MAX = 10
ADDRESSES_REMEMBERED_MAX = 4_096
"""Parsed addresses kept in memory."""

ANONYMOUS = "anonymous"

HEALTH_PATHS = "/health/"
"""Probes come by address, not by name."""

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}", re.ASCII)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_log = structlog.get_logger("soko.access")


class HostRefused(Malformed):
    """This server does not answer to that host name."""

    code = "kernel.host_refused"


class AddressMalformed(Malformed):
    """The address of the request cannot be read."""

    code = "kernel.address_malformed"


class RequestMeter(Protocol):
    """Counts what was answered, and the sockets that are open."""

    def begun(self) -> None: ...

    def answered(self, method: str, route: str, status: int, seconds: float, code: str | None) -> None: ...

    def socket_opened(self, route: str) -> None: ...

    def socket_closed(self, route: str) -> None: ...


class RequestEdge:
    """Wraps the whole application. Nothing that fails inside leaves without a reply in our own form."""

    def __init__(
        self,
        app: App,
        *,
        ids: IdSource,
        meter: RequestMeter,
        trusted_proxies: Iterable[str] = (),
        allowed_hosts: Iterable[str] = (),
        is_https: bool = False,
        tracing: Tracing = NO_TRACING,
        elapsed: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._app = app
        self._ids = ids
        self._meter = meter
        self._trusted = tuple(ipaddress.ip_network(each, strict=False) for each in trusted_proxies)
        self._hosts = frozenset(host.lower() for host in allowed_hosts)
        self._tracing = tracing
        self._is_traced = tracing is not NO_TRACING
        self._elapsed = elapsed
        self._reply_headers = [
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cache-control", b"no-store"),
            (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
        ]
        if is_https:
            self._reply_headers.append((b"strict-transport-security", b"max-age=31536000; includeSubDomains"))
        self._reply_names = frozenset(name for name, _ in self._reply_headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers: list[tuple[bytes, bytes]] = list(scope["headers"])
        context = self._context(scope, headers)
        enter_request(context)
        if scope["type"] == "websocket":
            await self._hold(scope, receive, send, headers)
            return
        if self._is_traced:
            await self._record(scope, receive, send, headers, context)
        else:
            await self._answer(scope, receive, send, headers, context.trace_id)

    async def _record(
        self, scope: Any, receive: Receive, send: Send, headers: list[tuple[bytes, bytes]], context: RequestContext
    ) -> None:
        """Answer a request, and record that as a span: its route and its status, and nothing of who or what."""
        begun = self._tracing.span(
            "request", kind=SpanKind.SERVER, trace_id=context.trace_id, parent_id=context.span_id
        )
        with begun as span:
            enter_request(replace(context, span_id=span.id))
            method = known_method(scope["method"])
            span.note("http.request.method", method)
            inner, status = await self._answer(scope, receive, send, headers, context.trace_id)
            span.rename(f"{method} {_route(inner)}")
            span.note("http.route", _route(inner))
            span.note("http.response.status_code", status)
            if status >= 500:
                span.failed(str(inner.get(REFUSAL_CODE) or status))

    async def _answer(
        self, scope: Any, receive: Receive, send: Send, headers: list[tuple[bytes, bytes]], trace_id: str
    ) -> tuple[Any, int]:
        """Return the scope that the application saw, and the status."""
        started_at, status, is_head = self._elapsed(), 0, scope["method"] == "HEAD"
        method: str = scope["method"]
        self._meter.begun()

        async def send_dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = self._dressed(list(message["headers"]), trace_id)
            elif is_head and message["type"] == "http.response.body":
                if message.get("more_body"):
                    return
                message["body"] = b""
            await send(message)

        inner = {**scope, "method": "GET"} if is_head else scope  # routes know GET only; the body is left out above
        try:
            self._check(scope, headers)
            await self._app(inner, receive, send_dressed)
        except DomainError as error:
            if status:
                raise
            inner[REFUSAL_CODE] = error.code
            await send_refusal(send_dressed, error)
        except Exception as error:
            _log.error("request_failed", exc_info=error)
            if status:
                raise  # the head of a reply is out already: cutting the connection is all that is left
            body = msgspec.json.encode(document(500, CODE_BY_STATUS[500], DETAIL_BY_STATUS[500]))
            await send_body(send_dressed, 500, body, {"content-type": PROBLEM_JSON})
        finally:
            seconds = self._elapsed() - started_at
            self._meter.answered(method, _route(inner), status, seconds, inner.get(REFUSAL_CODE))
            _log.info(
                "answered",
                method=method,
                route=_route(inner),
                status=status,
                ms=round(seconds * 1000, 1),
                actor=_actor(inner),
            )
        return inner, status

    async def _hold(self, scope: Any, receive: Receive, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        """Let a socket be opened, and count and log it; never its address, which may hold a token."""
        started_at, is_open, code = self._elapsed(), False, 0

        async def send_noted(message: Message) -> None:
            nonlocal is_open, code
            if message["type"] == "websocket.accept":
                is_open = True
                self._meter.socket_opened(_route(scope))
            elif message["type"] == "websocket.close":
                code = message["code"]
            await send(message)

        async def receive_noted() -> Message:
            nonlocal code
            message = await receive()
            if message["type"] == "websocket.disconnect":
                code = code or message.get("code") or 0
            return message

        try:
            self._check(scope, headers)
            await self._app(scope, receive_noted, send_noted)
        except DomainError:
            await refuse_socket(send)
        finally:
            if is_open:
                self._meter.socket_closed(_route(scope))
            seconds = round(self._elapsed() - started_at, 1)
            event = "socket_closed" if is_open else "socket_refused"
            _log.info(event, route=_route(scope), code=code, seconds=seconds, actor=_actor(scope))

    def _dressed(self, headers: list[tuple[bytes, bytes]], trace_id: str) -> list[tuple[bytes, bytes]]:
        present = {name.lower() for name, _ in headers}
        if b"allow" in present:
            headers = [(name, _with_head(value) if name.lower() == b"allow" else value) for name, value in headers]
        if present.isdisjoint(self._reply_names):
            headers += self._reply_headers
        else:
            headers += [each for each in self._reply_headers if each[0] not in present]
        headers.append((b"x-request-id", trace_id.encode("ascii")))
        return headers

    def _check(self, scope: Any, headers: list[tuple[bytes, bytes]]) -> None:
        """Raise what is wrong with the address of a request, whatever its route."""
        path, query = scope["path"], scope["query_string"]
        if len(path) > PATH_LENGTH_MAX or len(query) > QUERY_LENGTH_MAX:
            raise AddressMalformed("The address is too long.")
        raw_path = scope.get("raw_path") or b""
        if "\x00" in path or b"%" in raw_path:
            _require_text(raw_path)
        if query:
            _require_text(query)
        if self._hosts and not path.startswith(HEALTH_PATHS):
            hosts = [value for name, value in headers if name == b"host"]
            if len(hosts) != 1 or _host_name(hosts[0]) not in self._hosts:
                raise HostRefused

    def _context(self, scope: Any, headers: Sequence[tuple[bytes, bytes]]) -> RequestContext:
        parent = asked = agent = b""
        for name, value in headers:
            if name == b"user-agent":
                agent = value
            elif name == b"traceparent":
                parent = value
            elif name == b"x-request-id":
                asked = value
        trace_id, span_id = self._trace(parent, asked)
        return RequestContext(
            trace_id=trace_id,
            span_id=span_id,
            actor_label=ANONYMOUS,
            ip=self._client(scope, headers),
            user_agent=_plain(agent)[:USER_AGENT_LENGTH_MAX] if agent else None,
        )

    def _trace(self, parent: bytes, asked: bytes) -> tuple[str, str | None]:
        """Return the trace that a request belongs to, and the span of its sender, if that is known.

        Everybody may name them: they are for finding, and nothing is decided by them.
        """
        if parent:
            found = _TRACEPARENT.fullmatch(_plain(parent))
            if found is not None and found[1].strip("0") and found[2].strip("0"):
                return found[1], found[2]
        if asked and _REQUEST_ID.fullmatch(name := _plain(asked)):
            return name, None
        return self._ids.new().hex, None

    def _client(self, scope: Any, headers: Sequence[tuple[bytes, bytes]]) -> str | None:
        """Return the address of the nearest peer that is no proxy of ours; what is further away can be made up."""
        peer = scope.get("client")
        address = _address(peer[0]) if peer else None
        if address is None or not self._is_trusted(address):
            return None if address is None else str(address)
        hops = ",".join(_plain(value) for name, value in headers if name == b"x-forwarded-for").split(",")
        for hop in reversed(hops[-FORWARDED_HOPS_MAX:]):
            named = _address(hop.strip())
            if named is None:
                break
            address = named
            if not self._is_trusted(named):
                break
        return str(address)

    def _is_trusted(self, address: IpAddress) -> bool:
        return any(address in network for network in self._trusted)


def _route(scope: Any) -> str:
    return scope.get("path_template") or "unmatched"


def _actor(scope: Any) -> str:
    """Return the account id of who asked, for the log; never a name or an address.

    It is read from the scope, which everything further in shares with us: what a handler enters into the request's
    context is gone once the framework has left the context that it ran the handler in.
    """
    caller = scope.get("user")
    return str(caller.account_id) if isinstance(caller, Caller) else ANONYMOUS


def _with_head(allow: bytes) -> bytes:
    methods = {*allow.replace(b" ", b"").split(b",")}
    return b", ".join(sorted(methods | {b"HEAD"} if b"GET" in methods else methods))


def _plain(value: bytes) -> str:
    return _CONTROL.sub("", value.decode("latin-1"))


@lru_cache(maxsize=ADDRESSES_REMEMBERED_MAX)
def _address(text: str) -> IpAddress | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _host_name(value: bytes) -> str:
    host = value.decode("latin-1").lower()
    if host.startswith("["):
        return host.partition("]")[0].lstrip("[")
    return host.partition(":")[0].rstrip(".")


def _require_text(raw: bytes) -> None:
    decoded = unquote_to_bytes(raw)
    if b"\x00" in decoded:
        raise AddressMalformed
    try:
        decoded.decode("utf-8")
    except UnicodeDecodeError:
        raise AddressMalformed from None
