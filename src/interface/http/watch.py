"""What a process shows that answers no requests: its health and its figures, on a port of its own."""

import msgspec

from application.core.operations.health import ReadHealth
from domain.core.kernel.errors import DomainError, NotFound
from interface.http.caller import authorization_in
from interface.http.core.health import LiveBody, ReadyBody
from interface.http.edge.sending import send_body, send_refusal
from interface.http.edge.wire_types import Receive, Scope, Send
from interface.http.metrics import CONTENT_TYPE, MetricsPage

JSON = "application/json"


class WatchPage:
    """Three addresses, named as on the server."""

    def __init__(self, read_health: ReadHealth, metrics: MetricsPage) -> None:
        self._read_health = read_health
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "http":
            try:
                status, body, content_type = await self._answer(scope)
                await send_body(send, status, body, {"content-type": content_type})
            except DomainError as error:
                await send_refusal(send, error)

    async def _answer(self, scope: Scope) -> tuple[int, bytes, str]:
        match scope["path"]:
            case "/health/live":
                return 200, msgspec.json.encode(LiveBody("ok")), JSON
            case "/health/ready":
                ready = ReadyBody.of(await self._read_health())
                return ready.http_status, msgspec.json.encode(ready), JSON
            case "/metrics":
                return 200, await self._metrics.read(authorization_in(scope["headers"])), CONTENT_TYPE
            case _:
                raise NotFound
