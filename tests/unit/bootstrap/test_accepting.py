"""A crowd of new connections is taken at once, however much a turn of the loop has to do."""

import asyncio
import socket
from contextlib import ExitStack
from typing import Any

from interface.bootstrap.serving import Serving

CROWD, TURNS_MAX = 64, 12


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """Answer the lifespan; connections that only stand there ask for nothing."""
    assert scope["type"] == "lifespan"
    for word in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{word}.complete"})


async def test_new_connections_are_taken_many_in_a_turn_of_the_loop() -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.setblocking(False)
    serving, started = Serving(nothing, listener), asyncio.Event()
    running = asyncio.create_task(serving.run(on_start=started.set))
    async with asyncio.timeout(10):
        await started.wait()
    with ExitStack() as crowd:
        for _ in range(CROWD):  # the system takes them; the loop has not turned meanwhile
            crowd.enter_context(socket.create_connection(listener.getsockname(), timeout=5))
        turns = 0
        while len(serving._server.server_state.connections) < CROWD:
            await asyncio.sleep(0)
            turns += 1
    serving.stop()
    async with asyncio.timeout(10):
        await running
    assert turns <= TURNS_MAX
