"""Run the simulated provider on a port of its own, inside the running event loop."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from infrastructure.simulator.app import SimulatorApp
from infrastructure.simulator.lipana import LipanaSimulator


class LipanaSimulatorServer:
    """`async with LipanaSimulatorServer(simulator) as server:` and Lipana answers at `server.base_url`.

    Port 0 takes a free one. Leaving the block ends open waits and stops within `stop_within_s` seconds.
    """

    def __init__(
        self, simulator: LipanaSimulator, *, host: str = "127.0.0.1", port: int = 0, stop_within_s: int = 3
    ) -> None:
        self.simulator = simulator
        self._host = host
        self._port = port
        app: Any = SimulatorApp(simulator, self._drop)
        config = uvicorn.Config(
            app,
            host=host,
            http=H11Protocol,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_graceful_shutdown=stop_within_s,
        )
        self._server = _QuietServer(config)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def control_url(self) -> str:
        """Where the control endpoints are."""
        return f"http://{self._host}:{self._port}/control"

    @property
    def base_url(self) -> str:
        """What to configure as Lipana's address."""
        return f"http://{self._host}:{self._port}/v1"

    async def __aenter__(self) -> Self:
        """Listen; a connection made from now on is answered."""
        listener = socket.create_server((self._host, self._port))
        listener.setblocking(False)
        self._port = listener.getsockname()[1]
        self._tasks = [
            asyncio.create_task(self._server.serve(sockets=[listener])),
            asyncio.create_task(self.simulator.run()),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening, let open requests end, keep the books."""
        self.simulator.stop()
        self._server.should_exit = True
        await asyncio.gather(*self._tasks)
        self.simulator.save()

    def _drop(self, scope: dict[str, Any]) -> None:
        """Cut the connection on which this request came, without an answer."""
        for connection in list(self._server.server_state.connections):
            if isinstance(connection, H11Protocol) and connection.client == scope["client"]:
                connection.transport.abort()


class _QuietServer(uvicorn.Server):
    """A server that leaves the signals to the program around it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
