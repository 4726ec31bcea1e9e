"""What an address answers: OPTIONS names every method of it.

The framework's own answer names the methods of whichever controller was the first at a path. Its refusal of an unknown
method is right, so that is asked for and told as an answer.
"""

from interface.http.edge.wire_types import App, Message, Receive, Scope, Send

NO_ROUTE_HAS_IT = "TRACE"


class Options:
    """Answers OPTIONS; a preflight is answered further out."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer OPTIONS, or pass a request on."""
        if scope["type"] != "http" or scope["method"] != "OPTIONS":
            await self._app(scope, receive, send)
            return
        is_known = False

        async def send_methods(message: Message) -> None:
            nonlocal is_known
            if message["type"] == "http.response.start" and message["status"] == 405:
                is_known = True
                allow = next(value for name, value in message["headers"] if name.lower() == b"allow")
                methods = b", ".join(sorted({*allow.replace(b" ", b"").split(b","), b"OPTIONS"}))
                message = {**message, "status": 204, "headers": [(b"allow", methods)]}
            elif is_known:
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": NO_ROUTE_HAS_IT}, receive, send_methods)
