"""Answer before, or instead of, the application."""

import msgspec

from domain.core.kernel.errors import DomainError
from interface.http.edge.wire_types import Send
from interface.http.errors import PROBLEM_JSON, answer_to


async def send_refusal(send: Send, error: DomainError) -> None:
    """Send a refusal as a problem document."""
    status, body, headers = answer_to(error)
    await send_body(send, status, msgspec.json.encode(body), {"content-type": PROBLEM_JSON, **headers})


async def send_body(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    """Send a whole response."""
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    encoded.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def refuse_socket(send: Send) -> None:
    """Refuse to open a socket: its client gets 403."""
    await send({"type": "websocket.close", "code": 1008, "reason": ""})
