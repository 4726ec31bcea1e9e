"""Whether payment providers can be reached and know our keys, for `soko doctor`; nothing is bought or changed."""

from collections.abc import Mapping
from http import HTTPStatus

import httpx

from application.core.operations.doctor import Trouble

TIMEOUT_S = 4.0
HTTP_PORT = 80
HTTPS_PORT = 443


async def look_at_keys(
    method: str,
    url: str,
    *,
    settings: str,
    headers: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    refused: frozenset[int] = frozenset({HTTPStatus.UNAUTHORIZED}),
) -> str:
    """Ask one harmless question. `settings` names what to correct, `refused` the statuses of keys that are not known.

    Raises Trouble.
    """
    address = httpx.URL(url)
    host, port = address.host, address.port or (HTTP_PORT if address.scheme == "http" else HTTPS_PORT)
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
            reply = await client.request(
                method, url, headers=dict(headers or {}), auth=auth or httpx.USE_CLIENT_DEFAULT, data=dict(form or {})
            )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Trouble(f"{host} cannot be reached ({type(error).__name__})", f"open the way to {host}:{port}") from error
    if reply.status_code in refused:
        raise Trouble(f"{host} does not accept the keys ({reply.status_code})", f"correct {settings}")
    if reply.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Trouble(f"{host} answers {reply.status_code}", "nothing here: look at the provider's status page")
    return f"{host} accepts the keys"
