"""The port of the simulated M-Pesa, whichever provider it plays."""

from contextlib import AsyncExitStack
from typing import TypeVar

from infrastructure.simulator.loopback import LoopbackServer
from interface.bootstrap.settings import Settings, SettingsRefused

ServerT = TypeVar("ServerT", bound=LoopbackServer)


async def listening(server: ServerT, settings: Settings, resources: AsyncExitStack) -> ServerT:
    """Let the simulator listen until `resources` are closed. Raises SettingsRefused where its port is taken."""
    try:
        await resources.enter_async_context(server)
    except OSError as error:
        raise SettingsRefused(
            f"SOKO_SIMULATOR_PORT: cannot listen on 127.0.0.1:{settings.simulator_port};"
            " name another port, or 0: every server and worker has a simulator of its own"
        ) from error
    return server
