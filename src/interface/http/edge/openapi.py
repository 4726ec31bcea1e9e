"""The OpenAPI 3.1 document: Litestar's own, with what holds for every operation added in one place.

What a handler says of itself: its docstring is the summary and the description, `refuses` names the codes of its own
refusals, `also` its further statuses, `answers` what it writes where its types do not say, `raw_body`,
`signature_header` and `signed_headers` what it reads by itself. Schemas of bodies are drawn by msgspec, which also
checks the bodies: what the document says is what is accepted.
"""

import inspect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from types import NoneType
from typing import Any, get_args, get_origin

import msgspec
from litestar import Litestar, Response
from litestar._openapi.plugin import OpenAPIPlugin
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.routes import HTTPRoute

from domain.core.kernel.errors import FAMILIES, DomainError
from interface.http.caller import recently_proved, recently_proved_for_others, signed_in
from interface.http.edge.api_examples import Examples
from interface.http.edge.api_texts import DESCRIPTION, DONE_BY_STATUS, TAGS
from interface.http.errors import CODE_BY_STATUS, DETAIL_BY_STATUS, PROBLEM_JSON, status_of_kind

TITLE, VERSION = "Soko", "0.1.0"
SCHEME = "bearer"
JSON = "application/json"
SCHEMAS = "#/components/schemas/"

ALWAYS = (
    "kernel.malformed",
    "kernel.address_malformed",
    "kernel.host_refused",
    "kernel.internal",
    "kernel.unavailable",
)
WITH_INPUT = ("kernel.invalid", "kernel.value_not_storable")
WITH_A_BODY = ("kernel.too_large", "kernel.unsupported_media_type", "kernel.nul_refused")
WITH_A_KEY = (
    "kernel.key_in_progress",
    "kernel.key_malformed",
    "kernel.key_reused",
    "kernel.key_taken_over",
    "kernel.reply_lost",
)

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
        "code": {"$ref": f"{SCHEMAS}ErrorCode"},
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


def api_document(app: Litestar, *, server: str) -> dict[str, Any]:
    """Return the document of an application."""
    plugin = app.plugins.get(OpenAPIPlugin)
    # set here and not at the application, which would add pages of its own that need the internet
    plugin._openapi_config = OpenAPIConfig(  # noqa: SLF001
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION,
        components=Components(
            security_schemes={
                SCHEME: SecurityScheme(
                    type="http", scheme="bearer", bearer_format="JWT", description="The access token of a sign-in."
                )
            }
        ),
    )
    found: dict[str, Any] = dict(plugin.provide_openapi_schema())
    found["servers"] = [{"url": server}]
    found["info"]["license"] = {"name": "MIT", "identifier": "MIT"}
    operations = list(_operations(app, found["paths"]))
    schemas = _body_schemas([handler for _, handler, _ in operations])
    examples, known = Examples(schemas.components), known_codes()
    for operation, handler, method in operations:
        _describe(operation, handler)
        _take_bodies(operation, handler, schemas)
        _complete(operation, handler, method, known)
        examples.add_to(operation)
    used = {tag for operation, _, _ in operations for tag in operation["tags"]}
    found["tags"] = [{"name": name, "description": text} for name, text in TAGS.items() if name in used]
    components = found.setdefault("components", {})
    components["responses"] = _share_refusals([operation for operation, _, _ in operations])
    components["schemas"] = {**components.get("schemas", {}), **schemas.components}
    components["schemas"]["Problem"] = PROBLEM_SCHEMA
    components["schemas"]["ErrorCode"] = {"type": "string", "description": _codes_text()}
    components["schemas"] = _reachable(found)
    return found


def known_codes() -> dict[str, tuple[int, str]]:
    """Return status and sentence of every refusal by its code."""
    found = {CODE_BY_STATUS[status]: (status, DETAIL_BY_STATUS[status]) for status in CODE_BY_STATUS}
    for kind in refusals(DomainError):
        if issubclass(kind, FAMILIES):  # a class that narrows another's sentence and keeps its code comes later
            found.setdefault(kind.code, (status_of_kind(kind), kind.meaning()))
    return found


def refusals(kind: type[DomainError]) -> Iterator[type[DomainError]]:
    """Yield every subclass that can be raised, the families included."""
    for child in kind.__subclasses__():
        yield child
        yield from refusals(child)


def _codes_text() -> str:
    lines = [f"- `{code}` ({status}): {sentence}" for code, (status, sentence) in sorted(known_codes().items())]
    return "\n".join(["Public and never renamed.", "", *lines])


def _operations(app: Litestar, paths: dict[str, Any]) -> Iterator[tuple[dict[str, Any], HTTPRouteHandler, str]]:
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for method, (handler, _) in route.route_handler_map.items():
            operation = paths.get(route.path_format or "/", {}).get(method.lower())
            if operation is not None:
                yield operation, handler, method


def _describe(operation: dict[str, Any], handler: HTTPRouteHandler) -> None:
    """Put the docstring in: its first paragraph is the summary, the others are the description."""
    summary, _, rest = inspect.cleandoc(handler.fn.__doc__ or "").partition("\n\n")
    roles = [role for guard in handler.resolve_guards() for role in getattr(guard, "roles", ())]
    needed = f"Needs the role {' or '.join(f'`{role}`' for role in roles)}." if roles else ""
    operation["summary"] = " ".join(summary.split()).rstrip(".")
    if described := "\n\n".join(text for text in (rest, needed) if text):
        operation["description"] = described
    operation.pop("deprecated", None)
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _without_null(parameter["schema"])
        for name in ("deprecated", "allowEmptyValue", "allowReserved"):
            parameter.pop(name, None)


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter, which is left out rather than null."""
    kinds = [kind for kind in schema.get("oneOf", ()) if kind.get("type") != "null"]
    if len(kinds) != 1:
        return schema
    return {**kinds[0], **{name: value for name, value in schema.items() if name != "oneOf"}}


class _BodySchemas:
    """The schemas of all bodies, each by the type that a handler names."""

    def __init__(self, types: Sequence[Any]) -> None:
        schemas, self.components = msgspec.json.schema_components(
            types, schema_hook=_schema_of_anything, ref_template=f"{SCHEMAS}{{name}}"
        )
        for struct in _structs(msgspec.inspect.multi_type_info(types)):
            _mark_times(self.components.get(struct.cls.__name__, {}), struct)
        self._by_type = {repr(kind): schema for kind, schema in zip(types, schemas, strict=True)}

    def of(self, kind: Any) -> dict[str, Any] | None:
        """Return the schema of a type; None for one that is no JSON of ours."""
        return self._by_type.get(repr(kind))


def _structs(infos: Iterable[msgspec.inspect.Type]) -> Iterator[msgspec.inspect.StructType]:
    """Yield the structs in some types, at any depth, each once."""
    waiting: list[Any] = list(infos)
    seen: set[type] = set()
    while waiting:
        info = waiting.pop()
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in seen:
                continue
            seen.add(info.cls)
            yield info
            waiting.extend(field.type for field in info.fields)
        for name in ("type", "types", "item_type", "value_type"):
            found = getattr(info, name, ())
            waiting.extend(found if isinstance(found, tuple) else (found,))


def _mark_times(schema: dict[str, Any], struct: msgspec.inspect.StructType) -> None:
    """Say of times that they are times: msgspec leaves that out where a type would take one without a zone."""
    for field in struct.fields:
        kinds = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        if any(isinstance(kind, msgspec.inspect.DateTimeType) for kind in kinds):
            found = schema.get("properties", {}).get(field.encode_name, {})
            for text in found.get("anyOf", [found]):
                if text.get("type") == "string":
                    text["format"] = "date-time"


def _schema_of_anything(kind: type) -> dict[str, Any]:
    if kind is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError


def _body_schemas(handlers: Iterable[HTTPRouteHandler]) -> _BodySchemas:
    kinds = [kind for handler in handlers for kind in (_request_type(handler), *_reply_types(handler))]
    return _BodySchemas(list({repr(kind): kind for kind in kinds if _is_ours(kind)}.values()))


def _is_ours(kind: Any) -> bool:
    if isinstance(kind, type) and get_origin(kind) is None:
        return issubclass(kind, msgspec.Struct)
    parts = (get_origin(kind), *get_args(kind))
    return any(_is_ours(part) for part in parts if part not in {None, NoneType})


def _request_type(handler: HTTPRouteHandler) -> Any:
    raw_body = handler.opt.get("raw_body")
    if raw_body is not None:
        return raw_body
    field = handler.parsed_data_field
    return None if field is None else field.annotation


def _reply_types(handler: HTTPRouteHandler) -> tuple[Any, ...]:
    if "answers" in handler.opt:
        return tuple(handler.opt["answers"])
    kind = handler.parsed_fn_signature.return_type.annotation
    is_wrapped = isinstance(get_origin(kind), type) and issubclass(get_origin(kind), Response)
    return (get_args(kind)[0] if is_wrapped else kind,)


def _take_bodies(operation: dict[str, Any], handler: HTTPRouteHandler, schemas: _BodySchemas) -> None:
    asked = schemas.of(_request_type(handler))
    answered = [schema for schema in map(schemas.of, _reply_types(handler)) if schema is not None]
    if asked is not None:
        takes_null = "null" in {kind.get("type") for kind in asked.get("anyOf", ())}
        operation["requestBody"] = {"content": {JSON: {"schema": asked}}, "required": not takes_null}
    replies = {status: reply for status, reply in operation["responses"].items() if int(status) < 300}
    for status, reply in replies.items():
        reply.pop("headers", None)
        reply["description"] = DONE_BY_STATUS[int(status)]
        for media in reply.get("content", {}).values():
            if media["schema"] == {}:  # a stream of bytes
                media["schema"] = {"type": "string", "format": "binary"}
            if answered:
                media["schema"] = {"anyOf": answered} if len(answered) > 1 else answered[0]
    for status in operation["responses"].keys() - replies.keys():
        del operation["responses"][status]  # the framework's own refusals, which are never sent
    for status, text in handler.opt.get("also", {}).items():
        operation["responses"][str(status)] = {**next(iter(replies.values())), "description": text}


def _complete(
    operation: dict[str, Any], handler: HTTPRouteHandler, method: str, known: Mapping[str, tuple[int, str]]
) -> None:
    """Add what surrounds a handler: who may call it, its key, its signature and its refusals."""
    codes = {*ALWAYS, *handler.opt.get("refuses", ())}
    guards = handler.resolve_guards()
    if guards:
        codes.add("identity.not_signed_in")
        is_needed = any(guard is signed_in or hasattr(guard, "roles") for guard in guards)
        operation["security"] = [{SCHEME: []}] if is_needed else [{SCHEME: []}, {}]
    if any(hasattr(guard, "roles") for guard in guards):
        codes.add("identity.role_required")
    if any("admin" in getattr(guard, "roles", ()) for guard in guards):
        codes.add("identity.second_factor_required")
    if recently_proved in guards or recently_proved_for_others in guards:
        codes.update(("identity.second_factor_required", "identity.step_up_required"))
    parameters = operation.get("parameters", [])
    if parameters or "requestBody" in operation:
        codes.update(WITH_INPUT)
    if any(parameter["in"] == "path" for parameter in parameters):
        codes.add("kernel.not_found")
    if method != "GET":
        codes.update(WITH_A_BODY)
        codes.update(WITH_A_KEY)
        parameters = [*parameters, KEY_PARAMETER]
    if header := handler.opt.get("signature_header"):
        parameters = [*parameters, _signature_parameter(header)]
    for header, about in handler.opt.get("signed_headers", {}).items():
        parameters = [*parameters, _signed_header(header, about)]
    if parameters:
        operation["parameters"] = parameters
    by_status: defaultdict[int, list[str]] = defaultdict(list)
    for code in sorted(codes):
        by_status[known[code][0]].append(code)
    for status, its_codes in sorted(by_status.items()):
        operation["responses"].setdefault(str(status), _refusal(status, its_codes, known))
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _signature_parameter(header: str) -> dict[str, Any]:
    return {
        "name": header,
        "in": "header",
        "required": True,
        "description": "Lower-case hex of HMAC-SHA256 over the bytes of the body, under the shared secret;"
        " `sha256=` may stand before it.",
        "schema": {"type": "string", "pattern": "^(sha256=)?[0-9a-fA-F]{64}$"},
        "example": "sha256=" + "0f" * 32,
    }


def _signed_header(name: str, about: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "description": about, "schema": {"type": "string"}}


def _refusal(status: int, codes: Sequence[str], known: Mapping[str, tuple[int, str]]) -> dict[str, Any]:
    lines = [f"- `{code}`: {known[code][1]}" for code in codes]
    schema = {"allOf": [{"$ref": f"{SCHEMAS}Problem"}, {"properties": {"code": {"enum": list(codes)}}}]}
    example = {
        "type": f"/api/docs#{codes[0]}",
        "title": codes[0].rpartition(".")[2].replace("_", " ").capitalize(),
        "status": status,
        "detail": known[codes[0]][1],
        "code": codes[0],
        "trace_id": "0195f3a07c007000800000000000abcd",
    }
    return {"description": "\n".join(lines), "content": {PROBLEM_JSON: {"schema": schema, "example": example}}}


def _share_refusals(operations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Replace refusals by references and return what they refer to: most are the same at many operations."""
    shared: dict[str, Any] = {}
    for operation in operations:
        for status, reply in operation["responses"].items():
            if PROBLEM_JSON in reply.get("content", {}):
                name = f"{status}-{sha256(reply['description'].encode()).hexdigest()[:8]}"
                shared[name] = reply
                operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
    return dict(sorted(shared.items()))


def _reachable(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schemas that something refers to: Litestar draws those of bodies as well, less exactly."""
    schemas = document["components"]["schemas"]
    kept: set[str] = {"ErrorCode", "Problem"}
    waiting: list[Any] = [document["paths"], document["components"]["responses"], *(schemas[name] for name in kept)]
    while waiting:
        at = waiting.pop()
        if isinstance(at, list):
            waiting.extend(at)
        elif isinstance(at, Mapping):
            waiting.extend(at.values())
            name = str(at.get("$ref", "")).removeprefix(SCHEMAS)
            if name in schemas and name not in kept:
                kept.add(name)
                waiting.append(schemas[name])
    return {name: schema for name, schema in sorted(schemas.items()) if name in kept}
