"""Call handlers with what is known about them since the start, and ask for nothing again at every request.

Litestar finds the route, has worked out each handler's parameters, checks them, and answers what goes wrong; all that
stays. At every request it also looks through its layers for hooks, copies the handler for each guard, starts a task
for each dependency although nearly all are constants, and builds two response objects around one JSON document: more
than half of what a short request costs. This middleware stands where Litestar would begin with that, and leaves to it
every handler that uses what is not repeated here: hooks, forms, files, DTOs, cached replies.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, WebSocket
from litestar.di import Provide
from litestar.enums import MediaType
from litestar.exceptions import ClientException, SerializationException
from litestar.handlers import HTTPRouteHandler, WebsocketRouteHandler
from litestar.routes import HTTPRoute
from litestar.serialization import get_serializer
from litestar.types import ASGIApp, Receive, Scope, Send
from litestar.types.empty import Empty

from interface.http.edge.bodies import is_form

Asked = Request[Any, Any, Any]


def constant(value: object) -> Provide:
    """Return a dependency that is always the same object."""
    provide = Provide(lambda: value, use_cache=True, sync_to_thread=False)
    provide.value = value
    return provide


class Direct:
    """The innermost middleware: one for each handler on each route, made by Litestar."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._is_read = False
        self._call: Call | SocketCall | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if not self._is_read:  # the routes are complete only after all middleware was made
            self._call, self._is_read = _call_of(scope) or _socket_call_of(scope), True
        if self._call is None:
            await self._app(scope, receive, send)
        else:
            await self._call.answer(scope, receive, send)


@dataclass(frozen=True, slots=True)
class Dependency:
    """A dependency that has to be made at each request."""

    name: str
    make: Callable[..., Any]
    is_waited_for: bool
    model: Any
    """Litestar's signature model, where it has parameters beside the request; else None."""
    takes_request: bool

    async def of(self, request: Asked, values: dict[str, Any]) -> Any:
        """Make it. Raises ValidationException."""
        if self.model is not None:
            made = self.make(**self.model.parse_values_from_connection_kwargs(connection=request, kwargs=values))
        else:
            made = self.make(request) if self.takes_request else self.make()
        return await made if self.is_waited_for else made


@dataclass(frozen=True, slots=True)
class Call:
    """How one handler is called on one route."""

    handler: HTTPRouteHandler
    guards: Sequence[Callable[..., Any]]
    extractors: Sequence[Callable[..., Any]]
    constants: Mapping[str, object]
    dependencies: Sequence[Dependency]
    names: Sequence[str]
    """The handler's parameters."""
    is_parsed: bool
    """Whether any of them comes from the client, and so has to be checked against its type."""
    takes_json: bool
    function: Callable[..., Any]
    encode: Callable[[Any], bytes] | None
    """Writes its reply; None where the handler has a say in more than the document."""

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. What the guards, the input or the handler refuse is raised."""
        handler = self.handler
        request: Asked = Request(scope, receive, send)
        for guard in self.guards:
            await guard(request, handler)
        if self.takes_json and is_form(request.scope["headers"]):
            raise ClientException(status_code=415)  # the edge has not looked at it, as it does at JSON
        values: dict[str, Any] = dict(self.constants)
        try:
            for extractor in self.extractors:
                await extractor(values, request)
        except SerializationException as error:
            raise ClientException(str(error)) from error
        if values.get("data") is Empty:
            del values["data"]
        for each in self.dependencies:
            values[each.name] = await each.of(request, values)
        if self.is_parsed:
            arguments = handler.signature_model.parse_values_from_connection_kwargs(connection=request, kwargs=values)
        else:
            arguments = {name: values[name] for name in self.names}
        said = self.function(**arguments)
        data = said if handler.has_sync_callable else await said
        if self.encode is None or isinstance(data, Response):
            response = await handler.to_response(app=request.app, data=data, request=request)
            await response(request.scope, request.receive, send)
            return
        body = self.encode(data)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": handler.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


@dataclass(frozen=True, slots=True)
class SocketCall:
    """How the handler of a socket is called."""

    function: Callable[..., Any]
    constants: Mapping[str, object]

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket."""
        await self.function(socket=WebSocket(scope, receive, send), **self.constants)


def _socket_call_of(scope: Scope) -> SocketCall | None:
    """Return how the handler of a socket is called that asks for nothing but what is always the same."""
    handler = scope["route_handler"]
    if not isinstance(handler, WebsocketRouteHandler) or handler.resolve_guards():
        return None
    provided = handler.resolve_dependencies()
    wanted = [name for name in handler.parsed_fn_signature.parameters if name != "socket"]
    if not all(name in provided and _is_constant(provided[name]) for name in wanted):
        return None
    return SocketCall(handler.fn, {name: provided[name].value for name in wanted})


def _call_of(scope: Scope) -> Call | None:
    """Return how the handler of a request is called, or None if that is left to Litestar."""
    handler = scope["route_handler"]
    if not isinstance(handler, HTTPRouteHandler):
        return None
    app: Litestar = scope["litestar_app"]
    model = next(
        known
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path_format == scope["path_template"]
        for each, known in route.route_handler_map.values()
        if each is handler
    )
    provided = [each for batch in model.dependency_batches for each in batch]
    if (
        handler.resolve_before_request()
        or handler.resolve_after_response()
        or any(layer.after_request for layer in handler.ownership_layers if not isinstance(layer, HTTPRouteHandler))
        or handler.after_request
        or handler.cache
        or handler.resolve_return_dto()
        or model.expected_form_data
        or model.expected_msgpack_data
        or model.expected_data_dto
        or any(each.provide.has_sync_generator_dependency for each in provided)
        or any(each.provide.has_async_generator_dependency for each in provided)
    ):
        return None
    names = tuple(handler.parsed_fn_signature.parameters)
    ours = {"request", *(each.key for each in provided)}
    return Call(
        handler=handler,
        guards=handler.resolve_guards(),
        extractors=model.extractors,
        constants={each.key: each.provide.value for each in provided if _is_constant(each.provide)},
        dependencies=[_dependency(each.key, each.provide) for each in provided if not _is_constant(each.provide)],
        names=names,
        is_parsed=not ours.issuperset(names),
        takes_json="data" in names,
        function=handler.fn,
        encode=_encoder(handler),
    )


def _is_constant(provide: Provide) -> bool:
    return provide.use_cache and provide.value is not Empty


def _dependency(name: str, provide: Provide) -> Dependency:
    wanted = set(provide.signature_model._fields)
    return Dependency(
        name=name,
        make=provide.dependency,
        is_waited_for=not provide.has_sync_callable,
        model=provide.signature_model if wanted - {"request"} else None,
        takes_request=wanted == {"request"},
    )


def _encoder(handler: HTTPRouteHandler) -> Callable[[Any], bytes] | None:
    """Return what writes a handler's reply, if it always is a JSON document and nothing else is said with it."""
    returned = handler.parsed_fn_signature.return_type
    if (
        handler.media_type not in {MediaType.JSON, MediaType.JSON.value}
        or returned.is_subclass_of((Response, str, bytes))
        or returned.annotation is None
        or handler.resolve_response_headers()
        or handler.resolve_response_cookies()
        or handler.background
        or handler.status_code < 200
        or handler.status_code in {204, 304}
    ):
        return None
    return msgspec.json.Encoder(enc_hook=get_serializer(handler.resolve_type_encoders())).encode
