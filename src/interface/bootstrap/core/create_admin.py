"""Make an administrator from the command line."""

from uuid import UUID

from application.core.identity.create_administrator import CreateAdministrator
from application.core.identity.register_account import Dialect, RegisterAccountCommand
from application.core.kernel.request_context import RequestContext, request_context
from interface.bootstrap.runtime import open_runtime
from interface.bootstrap.settings import Settings

CLI = "cli"
"""Who acts, as the audit trail names it."""


async def create_admin(settings: Settings, url: str, *, username: str, email: str, password: str) -> UUID:
    """Return the id of the new administrator. Raises UsernameTaken and what else registering refuses."""
    async with open_runtime(settings, url) as runtime:
        await runtime.migrations.upgrade()
        create: CreateAdministrator = runtime.server.use_case("create_administrator")
        command = RegisterAccountCommand(
            dialect=Dialect.ADMINISTRATION, username=username, email=email, password=password
        )
        with request_context(RequestContext(trace_id=CLI, actor_label=CLI)):
            return (await create(command)).id
