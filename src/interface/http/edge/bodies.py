"""Bodies: no more bytes than the limit, and JSON that can be stored, before any handler sees it."""

import re
from typing import Any

from domain.core.kernel.errors import Invalid, Malformed, TooLarge
from interface.http.edge.sending import send_refusal
from interface.http.edge.wire_types import App, Receive, Scope, Send

BODY_BYTES_MAX = 52 * 1024 * 1024
"""Files of one request (50 MB) and the fields around them."""

JSON_BYTES_MAX = 1024 * 1024
"""Far above the longest description."""

DEPTH_MAX = 64
"""No documented body nests deeper than five."""

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)  # possessive: nothing sent makes it go back
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class NulRefused(Invalid):
    """A text must not contain the character NUL."""

    code = "kernel.nul_refused"


class BodyGuard:
    """Counts the bytes of every body, and reads all but forms whole so that they can be looked at."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse its body."""
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self._app(scope, receive, send)
            return
        is_json = not is_form(scope["headers"])
        limit = JSON_BYTES_MAX if is_json else BODY_BYTES_MAX
        try:
            length = _content_length(scope["headers"])
            if length is not None and length > limit:
                raise TooLarge(limit_bytes=limit)
            if is_json:
                receive = replayed(check_json(await read_whole(receive, limit)), receive)
            else:
                receive = _counted(receive, limit)
        except (TooLarge, Malformed, Invalid) as error:
            await send_refusal(send, error)
            return
        except ClientGone:
            return
        await self._app(scope, receive, send)


class ClientGone(Exception):
    """The client hung up before its body was here; nobody waits for a reply."""


async def read_whole(receive: Receive, limit: int) -> bytes:
    """Return the whole body. Raises TooLarge, ClientGone."""
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise TooLarge(limit_bytes=limit)
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body, then whatever the connection says."""
    is_given = False

    async def give() -> Any:
        nonlocal is_given
        if not is_given:
            is_given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return give


def check_json(body: bytes) -> bytes:
    """Return the body when a JSON reader can take it and a database can store its texts. Raises Malformed, Invalid."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed from None
    if body.count(b"[") + body.count(b"{") > DEPTH_MAX and _depth(body) > DEPTH_MAX:
        raise Malformed
    if b"\\u0000" in body and _NUL.search(body):
        raise NulRefused
    return body


def _depth(body: bytes) -> int:
    deepest = depth = 0
    for byte in _STRING.sub(b"", body).translate(None, _NOT_BRACKETS):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def _counted(receive: Receive, limit: int) -> Receive:
    size = 0

    async def count() -> Any:
        nonlocal size
        message = await receive()
        if message["type"] == "http.request":
            size += len(message.get("body", b""))
            if size > limit:
                raise TooLarge(limit_bytes=limit)
        return message

    return count


def is_form(headers: Any) -> bool:
    """Tell whether a body is called a form with files; any other is looked at as JSON, whatever it is called."""
    kinds = [value.partition(b";")[0].strip().lower() for name, value in headers if name == b"content-type"]
    return kinds == [b"multipart/form-data"]


def _content_length(headers: Any) -> int | None:
    length = next((value for name, value in headers if name == b"content-length"), None)
    if length is None:
        return None
    if not length.isdigit() or len(length) > 15:
        raise Malformed
    return int(length)
