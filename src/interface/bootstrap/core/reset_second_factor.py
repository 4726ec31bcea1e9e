"""Turn off a second factor from the command line."""

from uuid import UUID

from application.core.identity.end_second_factor import ResetSecondFactor
from application.core.kernel.request_context import RequestContext, request_context
from interface.bootstrap.core.create_admin import CLI
from interface.bootstrap.runtime import open_runtime
from interface.bootstrap.settings import Settings


async def reset_second_factor(settings: Settings, url: str, *, login: str, reason: str) -> UUID:
    """Return whose second factor is off now. Raises UserNotFound, SecondFactorIsOff."""
    async with open_runtime(settings, url) as runtime:
        reset: ResetSecondFactor = runtime.server.use_case("reset_second_factor")
        with request_context(RequestContext(trace_id=CLI, actor_label=CLI)):
            return await reset(login, reason)
