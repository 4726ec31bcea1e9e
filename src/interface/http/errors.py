"""One error form for everything: RFC 9457 problem documents, one status per family of refusal."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from application.core.kernel.request_context import current_request
from domain.core.kernel.errors import (
    Conflict,
    DomainError,
    FieldError,
    Forbidden,
    Invalid,
    Malformed,
    NotFound,
    NotSignedIn,
    TooLarge,
    TooOften,
    Unavailable,
)

STATUS_BY_FAMILY: Mapping[type[DomainError], int] = {
    NotSignedIn: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    Malformed: 400,
    Invalid: 422,
    TooOften: 429,
    Unavailable: 503,
}

CODE_BY_STATUS: Mapping[int, str] = {
    400: "kernel.malformed",
    401: "identity.not_signed_in",
    403: "kernel.forbidden",
    404: "kernel.not_found",
    405: "kernel.method_not_allowed",
    413: "kernel.too_large",
    415: "kernel.unsupported_media_type",
    416: "files.range_not_satisfiable",
    422: "kernel.invalid",
    429: "kernel.rate_limited",
    500: "kernel.internal",
    503: "kernel.unavailable",
}

DETAIL_BY_STATUS: Mapping[int, str] = {
    400: "The request cannot be read.",
    401: "Sign in first.",
    403: "This account may not do that.",
    404: "There is no such thing here.",
    405: "This address does not answer that method.",
    413: "The request is larger than the limit.",
    415: "This content type is not accepted here.",
    416: "The file does not have these bytes.",
    422: "A value breaks a rule.",
    429: "Too many requests; wait and try again.",
    500: "Something went wrong on our side; it has been recorded.",
    503: "Something this needs is not available at the moment; try again.",
}
"""Our own sentences for the framework's refusals: its texts can name classes and echo input."""

DOCUMENTATION_PATH = "/api/docs"
PROBLEM_JSON = "application/problem+json"

REFUSAL_CODE = "soko_refusal_code"
"""Where the scope of a request says what was refused, for whoever counts."""

_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
_QUOTING = ("Invalid enum value", "Invalid value")
"""How those of the schema's messages begin that repeat what was sent."""

_NO_BODY = "'data'"
"""All that the framework says where there is no body at all: the name of an argument of ours."""

_log = structlog.get_logger("soko.http")


def document(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[FieldError] = (),
    extra: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Return the members of a problem document."""
    body: dict[str, object] = {
        **(extra or {}),
        "type": f"{DOCUMENTATION_PATH}#{code}",
        "title": code.rpartition(".")[2].replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "trace_id": current_request().trace_id,
    }
    if errors:
        body["errors"] = [{"field": error.field, "message": error.message} for error in errors]
    return body


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[FieldError] = (),
    extra: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response[Any]:
    """Return a problem document as a response."""
    body = document(status, code, detail, errors=errors, extra=extra)
    return Response(body, status_code=status, media_type=PROBLEM_JSON, headers=dict(headers or {}))


def status_of(error: DomainError) -> int:
    """Return the HTTP status of a refusal's family."""
    return status_of_kind(type(error))


def status_of_kind(kind: type[DomainError]) -> int:
    """Return the HTTP status of a kind of refusal; what belongs to no family is no answer to a request."""
    return next((status for family, status in STATUS_BY_FAMILY.items() if issubclass(kind, family)), 500)


def answer_to(error: DomainError) -> tuple[int, dict[str, object], dict[str, str]]:
    """Return status, problem document and headers of a refusal."""
    headers: dict[str, str] = {}
    if isinstance(error, NotSignedIn):
        headers["WWW-Authenticate"] = "Bearer"
    retry_after_s = getattr(error, "retry_after_s", None)  # every TooOften and Unavailable has it, and a few conflicts
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    errors = error.errors if isinstance(error, Invalid) else ()
    status = status_of(error)
    return status, document(status, error.code, error.sentence, errors=errors, extra=error.extra), headers


def refuse(request: Request[Any, Any, Any], error: DomainError) -> Response[Any]:
    """Answer a refusal of the domain."""
    _note(request, error.code)
    status, body, headers = answer_to(error)
    return Response(body, status_code=status, media_type=PROBLEM_JSON, headers=headers)


def _note(request: Request[Any, Any, Any], code: str) -> None:
    request.scope[REFUSAL_CODE] = code  # type: ignore[literal-required]  # ASGI lets everybody add keys


def refuse_input(request: Request[Any, Any, Any], error: ValidationException) -> Response[Any]:
    """Answer input that does not fit its schema: 422 with each field, and nothing of the input echoed."""
    _note(request, "kernel.invalid")
    found = error.extra if isinstance(error.extra, list) else []
    errors = [
        field_error(_place(item), str(item.get("message", "is not valid"))) for item in found if isinstance(item, dict)
    ]
    return problem(422, "kernel.invalid", DETAIL_BY_STATUS[422], errors=errors)


def field_error(place: str, message: str) -> FieldError:
    """Return what the schema's words say of a place, "" for the body, under the name that the client knows it by."""
    if missing := _MISSING.fullmatch(message):
        return FieldError(f"{place}.{missing['name']}".removeprefix("."), "is required")
    if message == _NO_BODY:
        return FieldError("body", "is required")
    if message.startswith(_QUOTING):
        message = "is not one of the accepted values"
    return FieldError(place or "body", message)


def _place(item: Mapping[str, object]) -> str:
    key = str(item.get("key") or "")
    return "" if key == "data" and item.get("source") == "body" else key


def refuse_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """Answer what the framework itself refuses, in our own words."""
    status = error.status_code if error.status_code in DETAIL_BY_STATUS else 400 if error.status_code < 500 else 500
    if status == 500:
        return fail(request, error)
    _note(request, CODE_BY_STATUS[status])
    kept = {name: value for name, value in (error.headers or {}).items() if name.lower() in {"allow", "retry-after"}}
    if status == 401:
        kept["WWW-Authenticate"] = "Bearer"
    return problem(status, CODE_BY_STATUS[status], DETAIL_BY_STATUS[status], headers=kept)


def fail(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Answer a mistake of ours: logged with its trace, told without any of it."""
    _note(request, CODE_BY_STATUS[500])
    _log.error("request_failed", exc_info=error)
    return problem(500, CODE_BY_STATUS[500], DETAIL_BY_STATUS[500])


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    DomainError: refuse,
    ValidationException: refuse_input,
    HTTPException: refuse_http,
    Exception: fail,
}
