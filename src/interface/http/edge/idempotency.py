"""Requests that may arrive twice: an Idempotency-Key is carried out once and answered as often as it comes."""

import asyncio
import contextlib
import hashlib
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from tempfile import SpooledTemporaryFile
from types import MappingProxyType
from typing import Any
from uuid import UUID

import structlog

from application.core.identity.authenticate import Caller
from application.core.kernel.receipts import Receipts, StoredReply
from application.core.kernel.request_context import RequestKey, current_request, enter_request
from domain.core.kernel.errors import DomainError, Malformed, Unavailable
from interface.http.caller import authorization_in, bearer_token
from interface.http.edge.bodies import ClientGone, is_form
from interface.http.edge.sending import send_refusal
from interface.http.edge.wire_types import App, Message, Receive, Scope, Send

HEADER = b"idempotency-key"
KEYED_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})

SECRET_REPLY = "secret_reply"  # noqa: S105 - the name of a mark
SECRET_REPLIES: Mapping[str, Any] = MappingProxyType({SECRET_REPLY: True})
"""`opt = SECRET_REPLIES` marks controllers whose replies hold tokens or the like, which must not be stored."""

REPLY_BYTES_MAX = 1024 * 1024
SPOOL_BYTES = 1024 * 1024
CHUNK_BYTES = 64 * 1024
CLOSED_WITHIN_S = 0.5
CLOSED_AGAIN_AFTER_S = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Waits between the tries to close a receipt while the database is away; together less than its lease."""

FAILED, UNAVAILABLE = 500, 503
DOUBTFUL: bytes = f'"code":"{Unavailable.code}"'.encode()
KEPT_HEADERS = frozenset({b"content-type", b"location", b"retry-after", b"www-authenticate", b"allow"})

_KEY = re.compile(rb"[\x21-\x7e]{1,255}")

_BOUNDARY = re.compile(rb';\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)

_log = structlog.get_logger("soko.http")


class KeyMalformed(Malformed):
    """An Idempotency-Key has 1 to 255 visible ASCII characters."""

    code = "kernel.key_malformed"


class Idempotency:
    """Runs a request with a key under a receipt, or answers what was answered before.

    The key belongs to the account of the token, or to the network address where nobody is signed in. A token that is
    not valid is left to the application to refuse, and so are the forms of strangers: put aside, they would fill the
    disk before anybody asks who sends them.
    """

    def __init__(
        self,
        app: App,
        *,
        receipts: Receipts,
        authenticate: Callable[[str], Caller],
        sealed: Callable[[bytes], bytes],
        closed_again_after_s: Sequence[float] = CLOSED_AGAIN_AFTER_S,
    ) -> None:
        """`sealed` makes of a digest one that only this server can make: a body may hold a card or a password, and who
        reads the receipts could find it by trying all there are.
        """
        self._app = app
        self._sealed = sealed
        self._receipts = receipts
        self._authenticate = authenticate
        self._closed_again_after_s = closed_again_after_s
        self._closings: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, run it under its key, or replay."""
        if scope["type"] != "http" or scope["method"] not in KEYED_METHODS:
            await self._app(scope, receive, send)
            return
        keys = [value for name, value in scope["headers"] if name == HEADER]
        if not keys:
            await self._app(scope, receive, send)
            return
        try:
            if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
                raise KeyMalformed
            owner = self._owner(scope)
            if owner is None:
                await self._app(scope, receive, send)
                return
            with SpooledTemporaryFile(max_size=SPOOL_BYTES) as body:
                fingerprint = self._sealed(await _keep_body(scope, receive, body))
                opened = await self._receipts.open(owner, keys[0].decode("ascii"), fingerprint)
                if isinstance(opened, StoredReply):
                    await _replay(opened, send)
                else:
                    await self._run(opened, scope, _given(body, receive), send)
        except DomainError as error:
            await send_refusal(send, error)
        except ClientGone:
            return

    def _owner(self, scope: Any) -> str | None:
        authorization = authorization_in(scope["headers"])
        if authorization is None:
            return None if is_form(scope["headers"]) else f"address:{current_request().ip}"
        token = bearer_token(authorization)
        if token is None:
            return None
        try:
            caller = self._authenticate(token)
        except DomainError:
            return None
        scope["user"] = caller  # a replay never reaches the guard, and is logged as this account's all the same
        return f"account:{caller.account_id}"

    async def _run(self, receipt_id: UUID, scope: Any, receive: Receive, send: Send) -> None:
        enter_request(replace(current_request(), key=RequestKey(receipt_id)))
        reply = _Reply()
        try:
            await self._app(scope, receive, reply.take)
        except BaseException:
            # free, unless its effect was committed; whoever gave the request up does not wait for long
            await asyncio.wait({self._closing(receipt_id, None, is_refusal=True)}, timeout=CLOSED_WITHIN_S)
            raise
        handler = scope.get("route_handler")
        is_secret = bool(handler is not None and handler.opt.get(SECRET_REPLY))
        kept = None if is_secret or reply.is_doubtful else reply.stored()
        await asyncio.shield(self._closing(receipt_id, kept, is_refusal=reply.status >= 400))
        await reply.send_on(send)

    def _closing(self, receipt_id: UUID, reply: StoredReply | None, *, is_refusal: bool) -> "asyncio.Task[None]":
        """Begin to close a receipt; that goes on whatever becomes of the request."""
        return self._beside(self._close(receipt_id, reply, is_refusal=is_refusal))

    def _beside(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._closings.add(task)
        task.add_done_callback(self._closings.discard)
        return task

    async def _close(self, receipt_id: UUID, reply: StoredReply | None, *, is_refusal: bool) -> None:
        try:
            await self._receipts.close(receipt_id, reply, is_refusal=is_refusal)
        except Unavailable as error:
            # the effect, if any, is marked in its own transaction; repeats are told so once the lease is over at latest
            _log.warning("receipt_not_closed", exc_info=error)
            self._beside(self._close_again(receipt_id, reply, is_refusal=is_refusal))

    async def _close_again(self, receipt_id: UUID, reply: StoredReply | None, *, is_refusal: bool) -> None:
        """Close a receipt once the database is back, so that repeats need not wait for the end of its lease."""
        for wait_s in self._closed_again_after_s:
            await asyncio.sleep(wait_s)
            with contextlib.suppress(Unavailable):
                await self._receipts.close(receipt_id, reply, is_refusal=is_refusal)
                return


class _Reply:
    """The reply of the application, held back until it is stored."""

    def __init__(self) -> None:
        self.status = 0
        self._messages: list[Message] = []
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()

    async def take(self, message: Message) -> None:
        self._messages.append(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._headers = [(name.lower(), value) for name, value in message["headers"]]
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")

    @property
    def is_doubtful(self) -> bool:
        """Whether it says no more than that something was away, or went wrong, and so not what was done before."""
        return self.status == FAILED or (self.status == UNAVAILABLE and DOUBTFUL in self._body)

    def stored(self) -> StoredReply | None:
        """Return what to keep; None for a reply that is too large to be kept."""
        if len(self._body) > REPLY_BYTES_MAX:
            return None
        kept = {name.decode(): value.decode("latin-1") for name, value in self._headers if name in KEPT_HEADERS}
        return StoredReply(self.status, kept, bytes(self._body))

    async def send_on(self, send: Send) -> None:
        for message in self._messages:
            await send(message)


async def _replay(reply: StoredReply, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()]
    headers += [(b"content-length", b"%d" % len(reply.body)), (b"idempotency-replayed", b"true")]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body, "more_body": False})


async def _keep_body(scope: Any, receive: Receive, body: "SpooledTemporaryFile[bytes]") -> bytes:
    """Put the body aside and return a digest of the request. Raises ClientGone, TooLarge.

    What stands between the parts of a form is left out: browsers make it up anew each time they send the same form.
    """
    digest = hashlib.sha256()
    for part in (scope["method"].encode(), scope.get("raw_path") or scope["path"].encode(), scope["query_string"]):
        digest.update(b"%d:" % len(part) + part)
    boundary = _boundary(scope["headers"])
    seen = b""
    while True:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        seen = _without(boundary, seen + chunk, digest.update)
        await asyncio.to_thread(body.write, chunk) if len(chunk) + body.tell() > SPOOL_BYTES else body.write(chunk)
        if not message.get("more_body"):
            digest.update(seen)
            body.seek(0)
            return digest.digest()


def _boundary(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return what separates the parts of a form, empty for any other body."""
    content_type = next((value for name, value in headers if name == b"content-type"), b"")
    found = _BOUNDARY.search(content_type) if content_type[:10].lower() == b"multipart/" else None
    return b"" if found is None else b"--" + (found[1] or found[2])


def _without(boundary: bytes, seen: bytes, update: Callable[[bytes], None]) -> bytes:
    """Pass on what was seen without its boundaries, and return the end of it, where one may have begun."""
    if not boundary:
        update(seen)
        return b""
    *whole, rest = seen.split(boundary)
    for part in whole:
        update(part + b"--")
    kept = min(len(boundary) - 1, len(rest))
    update(rest[: len(rest) - kept])
    return rest[len(rest) - kept :]


def _given(body: "SpooledTemporaryFile[bytes]", receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was put aside, then whatever the connection says."""
    is_given = False

    async def give() -> Any:
        nonlocal is_given
        if is_given:
            return await receive()
        chunk = body.read(CHUNK_BYTES)
        is_given = len(chunk) < CHUNK_BYTES
        return {"type": "http.request", "body": chunk, "more_body": not is_given}

    return give
