"""Several documented paths for one thing: one handler, and an operation id of its own for each path."""

import re
from collections.abc import Callable

from litestar.handlers.http_handlers import HTTPRouteHandler
from litestar.types import Method
from litestar.types.internal_types import PathParameterDefinition

PathComponents = list[str | PathParameterDefinition]


def operation_ids(name: str, path: str) -> Callable[[HTTPRouteHandler, Method, PathComponents], str]:
    """Return the maker of operation ids of a handler with several paths or methods.

    `path` is the one whose id is `name` itself, written as OpenAPI writes it (`/api/users/{id}`); another path is added
    in words, and so is the method of a handler that answers several.
    """

    def operation_id(handler: HTTPRouteHandler, method: Method, components: PathComponents) -> str:
        words = [part if isinstance(part, str) else f"{{{part.name}}}" for part in components]
        here = "/" + "/".join(word.strip("/") for word in words)
        named = name if len(handler.http_methods) == 1 else f"{name}By{method.capitalize()}"
        if here == path:
            return named
        return f"{named}At{''.join(word.capitalize() for word in re.findall(r'[A-Za-z0-9]+', here))}"

    return operation_id
