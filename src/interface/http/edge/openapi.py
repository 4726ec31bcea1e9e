"""The OpenAPI 3.1 document: Litestar's own, with what holds for every operation added in one place."""

from collections.abc import Iterable, Iterator
from typing import Any

from litestar import Litestar
from litestar._openapi.plugin import OpenAPIPlugin
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Tag
from litestar.routes import HTTPRoute

from domain.core.kernel.errors import FAMILIES, DomainError
from interface.http.caller import sometimes_signed_in
from interface.http.errors import CODE_BY_STATUS, PROBLEM_JSON, STATUS_BY_FAMILY, sentence_of_kind, status_of_kind

TITLE, VERSION = "Soko", "0.1.0"
SCHEME = "bearer"
ALWAYS = (400, 422, 429, 503)
WITH_A_BODY = (409, 413, 415)

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "Every refusal and failure (RFC 9457). `code` is stable; `detail` is a sentence for a person.",
    "required": ["type", "title", "status", "detail", "code", "trace_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "code": {"$ref": "#/components/schemas/ErrorCode"},
        "trace_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 255 visible ASCII characters. The same key and request are carried out once within 24 h.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


def api_document(app: Litestar, *, tags: Iterable[str], server: str) -> dict[str, Any]:
    """Return the document of an application."""
    plugin = app.plugins.get(OpenAPIPlugin)
    # set here and not at the application, which would add pages of its own that need the internet
    plugin._openapi_config = OpenAPIConfig(  # noqa: SLF001
        title=TITLE,
        version=VERSION,
        description="An open marketplace backend. Errors are problem documents; lists are pages with cursors.",
        components=Components(
            security_schemes={
                SCHEME: SecurityScheme(
                    type="http", scheme="bearer", bearer_format="JWT", description="The access token of a sign-in."
                )
            }
        ),
        tags=[Tag(name=name) for name in sorted(tags)],
    )
    found: dict[str, Any] = dict(plugin.provide_openapi_schema())
    found["servers"] = [{"url": server}]
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = PROBLEM_SCHEMA
    schemas["ErrorCode"] = {"type": "string", "description": _codes_text(), "examples": sorted(known_codes())[:1]}
    components["responses"] = {str(status): _response(status) for status in sorted(CODE_BY_STATUS)}
    for operation, handler, method in _operations(app, found["paths"]):
        _complete(operation, handler, method)
    return found


def known_codes() -> dict[str, type[DomainError]]:
    """Return every refusal by its code."""
    return {kind.code: kind for kind in refusals(DomainError)}


def refusals(kind: type[DomainError]) -> Iterator[type[DomainError]]:
    """Yield every subclass that can be raised, the families included."""
    for child in kind.__subclasses__():
        yield child
        yield from refusals(child)


def _codes_text() -> str:
    lines = [
        f"- `{code}` ({status_of_kind(kind)}): {sentence_of_kind(kind)}"
        for code, kind in sorted(known_codes().items())
        if issubclass(kind, FAMILIES)
    ]
    return "\n".join(["Public and never renamed.", "", *lines])


def _response(status: int) -> dict[str, Any]:
    families = [family.__name__ for family, its_status in STATUS_BY_FAMILY.items() if its_status == status]
    return {
        "description": f"Refused with {status}{': ' + families[0] if families else ''}.",
        "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _operations(app: Litestar, paths: dict[str, Any]) -> Iterator[tuple[dict[str, Any], HTTPRouteHandler, str]]:
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for method, (handler, _) in route.route_handler_map.items():
            operation = paths.get(route.path_format or "/", {}).get(method.lower())
            if operation is not None:
                yield operation, handler, method


def _complete(operation: dict[str, Any], handler: HTTPRouteHandler, method: str) -> None:
    guards = handler.resolve_guards()
    statuses = set(ALWAYS)
    if guards:
        statuses.add(401)
        operation["security"] = [{SCHEME: []}]
        if list(guards) == [sometimes_signed_in]:
            operation["security"].append({})
    if any(hasattr(guard, "roles") for guard in guards):
        statuses.add(403)
    if any(parameter.get("in") == "path" for parameter in operation.get("parameters", ())):
        statuses.add(404)
    if method != "GET":
        statuses.update(WITH_A_BODY)
        operation["parameters"] = [*operation.get("parameters", ()), KEY_PARAMETER]
    responses = operation.setdefault("responses", {})
    for status in statuses:
        responses[str(status)] = {"$ref": f"#/components/responses/{status}"}
