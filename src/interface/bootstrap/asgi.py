"""The ASGI application."""

from litestar import Litestar
from litestar.di import Provide
from litestar.types import ControllerRouterHandler

from interface.bootstrap.container import Server, constant
from interface.http.caller import AUTHENTICATE, caller_from, maybe_caller_from
from interface.http.errors import EXCEPTION_HANDLERS
from interface.http.wire import page_from


def create_app(server: Server) -> Litestar:
    """Return the application over what `build` wired."""
    controllers: list[ControllerRouterHandler] = [one for area in server.areas for one in area.controllers]
    app = Litestar(
        route_handlers=controllers,
        dependencies={
            "caller": Provide(caller_from, sync_to_thread=False),
            "maybe_caller": Provide(maybe_caller_from, sync_to_thread=False),
            "page": Provide(page_from, sync_to_thread=False),
            **{name: constant(use_case) for name, use_case in server.named_use_cases()},
        },
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=None,
        request_max_body_size=52 * 1024 * 1024,
    )
    app.state[AUTHENTICATE] = server.authenticate
    return app
