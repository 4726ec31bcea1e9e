"""Run the simulated Lipana on a port of its own, inside the running event loop."""

import asyncio
from types import TracebackType
from typing import Self

from infrastructure.simulator.app import SimulatorApp
from infrastructure.simulator.lipana import LipanaSimulator
from infrastructure.simulator.loopback import LoopbackServer


class LipanaSimulatorServer(LoopbackServer):
    """`async with LipanaSimulatorServer(simulator) as server:` and Lipana answers at `server.base_url`.

    Leaving the block ends open waits.
    """

    def __init__(
        self, simulator: LipanaSimulator, *, host: str = "127.0.0.1", port: int = 0, stop_within_s: int = 3
    ) -> None:
        super().__init__(SimulatorApp(simulator).route, host=host, port=port, stop_within_s=stop_within_s)
        self.simulator = simulator
        self._running: asyncio.Task[None] | None = None

    @property
    def control_url(self) -> str:
        """Where the control endpoints are."""
        return f"{self.origin}/control"

    @property
    def base_url(self) -> str:
        """What to configure as Lipana's address."""
        return f"{self.origin}/v1"

    async def __aenter__(self) -> Self:
        """Listen, and send what is due by itself."""
        await super().__aenter__()
        self._running = asyncio.create_task(self.simulator.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening, let open requests end, keep the books."""
        self.simulator.stop()
        await super().__aexit__(kind, error, trace)
        if self._running is not None:
            await self._running
        self.simulator.save()
