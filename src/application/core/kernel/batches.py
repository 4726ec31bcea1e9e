"""Work through a batch of things that have nothing to do with each other, each in a transaction of its own."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from domain.core.kernel.errors import Unavailable

Item = TypeVar("Item")

_log = logging.getLogger(__name__)


async def handle_each(
    items: Iterable[Item], handle: Callable[[Item], Awaitable[None]], *, failure: str, named: Callable[[Item], object]
) -> int:
    """Handle each and return how many succeeded; one that fails is logged as `failure` and does not stop the rest.

    Raises Unavailable, since the rest would fare no better.
    """
    handled = 0
    for item in items:
        try:
            await handle(item)
        except Unavailable:
            raise
        except Exception:
            _log.exception(failure, extra={"item": str(named(item))})
        else:
            handled += 1
    return handled
