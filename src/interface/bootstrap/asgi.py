"""The ASGI application, and the edge around it."""

import inspect
from collections.abc import Iterable, Mapping

from litestar import Litestar
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler
from litestar.types import ControllerRouterHandler

from interface.bootstrap.container import Server
from interface.http.caller import AUTHENTICATE, caller_from, maybe_caller_from
from interface.http.direct import Direct, constant
from interface.http.edge.bodies import BODY_BYTES_MAX, BodyGuard
from interface.http.edge.cors import Cors
from interface.http.edge.crowd import AT_ONCE_MAX, Crowd
from interface.http.edge.deadline import Deadline
from interface.http.edge.documentation import ApiDocument, DocumentationController
from interface.http.edge.idempotency import Idempotency
from interface.http.edge.meter import HttpMeter
from interface.http.edge.openapi import api_document
from interface.http.edge.options import Options
from interface.http.edge.request_edge import RequestEdge
from interface.http.edge.wire_types import App
from interface.http.errors import EXCEPTION_HANDLERS
from interface.http.metrics import MetricsPage
from interface.http.wire import page_from


def create_app(server: Server, *, metrics: MetricsPage | None = None, address: str = "/") -> Litestar:
    """Return the application over what `build` wired; `address` is where the API document says it is."""
    use_cases = {name: constant(use_case) for name, use_case in server.named_use_cases()}
    controllers: list[ControllerRouterHandler] = []
    asked_by_handlers: dict[str, Provide] = {}
    for one in (one for area in server.areas for one in area.controllers):
        # Litestar compares each dependency of a handler with each other: everything for everybody is half of a start
        asked = _asked_by(one, use_cases)
        if isinstance(one, type):
            controllers.append(type(one.__name__, (one,), {"dependencies": asked}))
        else:
            controllers.append(one)
            asked_by_handlers |= asked
    document = ApiDocument(lambda: api_document(app, server=address))
    app = Litestar(
        route_handlers=[*controllers, DocumentationController],
        dependencies={
            "api_document": constant(document),
            "caller": Provide(caller_from, sync_to_thread=False),
            "metrics_page": constant(metrics or MetricsPage(server.adapters.figures, server.adapters.vitals)),
            "maybe_caller": Provide(maybe_caller_from, sync_to_thread=False),
            "page": Provide(page_from, sync_to_thread=False),
            **asked_by_handlers,
        },
        exception_handlers=EXCEPTION_HANDLERS,
        middleware=[Direct],
        logging_config=None,  # the log is configured once, for everything that runs in the process
        openapi_config=None,
        request_max_body_size=BODY_BYTES_MAX,
    )
    app.state[AUTHENTICATE] = server.authenticate
    return app


def _asked_by(one: ControllerRouterHandler, offered: Mapping[str, Provide]) -> dict[str, Provide]:
    """Return what the handlers of a controller, or a single handler, name as arguments."""
    members = [one] if isinstance(one, BaseRouteHandler) else [member for _, member in inspect.getmembers(one)]
    handlers = [member for member in members if isinstance(member, BaseRouteHandler)]
    names = {name for handler in handlers for name in inspect.signature(handler.fn).parameters}
    return {name: provide for name, provide in offered.items() if name in names}


def create_edge(
    server: Server,
    *,
    address: str = "/",
    is_production: bool = False,
    trusted_proxies: Iterable[str] = (),
    allowed_hosts: Iterable[str] = (),
    allowed_origins: Iterable[str] = (),
    metrics: MetricsPage | None = None,
    at_once_max: int = AT_ONCE_MAX,
) -> App:
    """Return what is served: the application behind everything that holds for every request.

    From outside in: trace, log, headers and addresses; front ends; bodies; keys; the application.
    """
    app: App = Options(create_app(server, metrics=metrics, address=address))
    app = Idempotency(
        app,
        receipts=server.adapters.receipts,
        authenticate=server.authenticate,
        sealed=lambda digest: server.adapters.codes.digest("requests", digest.hex()),
    )
    app = Crowd(Deadline(BodyGuard(app)), at_once_max=at_once_max)
    app = Cors(app, allowed_origins=allowed_origins, allow_local=not is_production)
    return RequestEdge(
        app,
        ids=server.adapters.ids,
        meter=HttpMeter(server.adapters.figures),
        trusted_proxies=trusted_proxies,
        allowed_hosts=allowed_hosts,
        is_https=is_production,
        tracing=server.adapters.tracing,
    )
