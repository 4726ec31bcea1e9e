"""The ASGI application, and the edge around it."""

from collections.abc import Iterable

from litestar import Litestar
from litestar.di import Provide
from litestar.types import ControllerRouterHandler

from interface.bootstrap.container import Server
from interface.http.caller import AUTHENTICATE, caller_from, maybe_caller_from
from interface.http.direct import Direct, constant
from interface.http.edge.bodies import BODY_BYTES_MAX, BodyGuard
from interface.http.edge.cors import Cors
from interface.http.edge.documentation import ApiDocument, DocumentationController
from interface.http.edge.idempotency import Idempotency
from interface.http.edge.meter import HttpMeter
from interface.http.edge.openapi import api_document
from interface.http.edge.options import Options
from interface.http.edge.request_edge import RequestEdge
from interface.http.edge.wire_types import App
from interface.http.errors import EXCEPTION_HANDLERS
from interface.http.wire import page_from


def create_app(server: Server, *, http_meter: HttpMeter | None = None, address: str = "/") -> Litestar:
    """Return the application over what `build` wired; `address` is where the API document says it is."""
    controllers: list[ControllerRouterHandler] = [one for area in server.areas for one in area.controllers]
    document = ApiDocument(lambda: api_document(app, server=address))
    app = Litestar(
        route_handlers=[*controllers, DocumentationController],
        dependencies={
            "api_document": constant(document),
            "caller": Provide(caller_from, sync_to_thread=False),
            "http_meter": constant(http_meter or HttpMeter()),
            "maybe_caller": Provide(maybe_caller_from, sync_to_thread=False),
            "page": Provide(page_from, sync_to_thread=False),
            **{name: constant(use_case) for name, use_case in server.named_use_cases()},
        },
        exception_handlers=EXCEPTION_HANDLERS,
        middleware=[Direct],
        logging_config=None,  # the log is configured once, for everything that runs in the process
        openapi_config=None,
        request_max_body_size=BODY_BYTES_MAX,
    )
    app.state[AUTHENTICATE] = server.authenticate
    return app


def create_edge(
    server: Server,
    *,
    address: str = "/",
    is_production: bool = False,
    trusted_proxies: Iterable[str] = (),
    allowed_hosts: Iterable[str] = (),
    allowed_origins: Iterable[str] = (),
) -> App:
    """Return what is served: the application behind everything that holds for every request.

    From outside in: trace, log, headers and addresses; front ends; bodies; keys; the application.
    """
    meter = HttpMeter()
    app: App = Options(create_app(server, http_meter=meter, address=address))
    app = Idempotency(
        app,
        receipts=server.adapters.receipts,
        authenticate=server.authenticate,
        sealed=lambda digest: server.adapters.codes.digest("requests", digest.hex()),
    )
    app = BodyGuard(app)
    app = Cors(app, allowed_origins=allowed_origins, allow_local=not is_production)
    return RequestEdge(
        app,
        ids=server.adapters.ids,
        meter=meter,
        trusted_proxies=trusted_proxies,
        allowed_hosts=allowed_hosts,
        is_https=is_production,
    )
