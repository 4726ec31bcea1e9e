"""Sign-in at the door: a guard reads the bearer token before anything of the body is read.

Guards are coroutines although they wait for nothing: Litestar runs others in a thread, where what they enter into the
request's context would be lost.
"""

from collections.abc import Iterable
from typing import Any, cast

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.types import Guard

from application.core.identity.authenticate import ADMIN, Authenticate, Caller
from application.core.kernel.request_context import current_request, enter_request
from domain.core.kernel.errors import NotSignedIn

BEARER = "bearer "
AUTHENTICATE = "authenticate"
"""Name under which the application's state holds the use case."""


async def signed_in(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let pass who is signed in. Raises NotSignedIn."""
    token = bearer_token(authorization_in(connection.scope["headers"]))
    if token is None:
        raise NotSignedIn
    caller = cast("Authenticate", connection.app.state[AUTHENTICATE])(token)
    connection.scope["user"] = caller
    enter_request(current_request().of_account(caller.account_id))


async def sometimes_signed_in(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let everybody pass, and know who sent a token. Raises NotSignedIn for a token that is not valid."""
    if authorization_in(connection.scope["headers"]) is not None:
        await signed_in(connection, handler)


def authorization_in(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the header, looked for in what was sent: the framework would decode all headers to find it."""
    for name, value in headers:
        if name == b"authorization":
            return value.decode("latin-1")
    return None


def bearer_token(authorization: str | None) -> str | None:
    """Return the token that the header holds; None where there is no header, or another kind of it."""
    if authorization is None or authorization[: len(BEARER)].lower() != BEARER:
        return None
    return authorization[len(BEARER) :].strip()


def has_role(*roles: str) -> Guard:
    """Return a guard that lets pass who is signed in with one of the roles. It raises NotSignedIn, RoleRequired."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        await signed_in(connection, handler)
        cast("Caller", connection.scope["user"]).require(*roles)

    guard.roles = roles  # type: ignore[attr-defined]  # read by the authorization matrix and the API document
    return guard


is_admin = has_role(ADMIN)


async def recently_proved(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let pass who has proved his second factor lately, or has none; it stands behind the guards that say who he is.

    Raises StepUpRequired, SecondFactorRequired.
    """
    cast("Authenticate", connection.app.state[AUTHENTICATE]).require_step_up(cast("Caller", connection.scope["user"]))


async def recently_proved_for_others(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let pass who changes himself; for the `id` of somebody else it is `recently_proved`.

    Whoever sets the address of an account can have its password reset, and so pay its wallet out.
    """
    if connection.path_params["id"] != cast("Caller", connection.scope["user"]).account_id:
        await recently_proved(connection, handler)


def caller_from(request: Request[Any, Any, Any]) -> Caller:
    """Return who passed the guard; the dependency `caller`."""
    return cast("Caller", request.scope["user"])


def maybe_caller_from(request: Request[Any, Any, Any]) -> Caller | None:
    """Return who passed `sometimes_signed_in`, if anybody; the dependency `maybe_caller`."""
    return cast("Caller | None", request.scope.get("user"))
