"""Serve the floor: one process, uvicorn as soko sets it up, no framework."""

import asyncio
import os

import uvicorn
import uvloop

from benchmarks.floor.app import Floor


async def _serve() -> None:
    floor = await Floor.open(
        os.environ["FLOOR_DATABASE"],
        secret=os.environ["FLOOR_SECRET"],
        issuer=os.environ["FLOOR_ISSUER"],
        callback_secret=os.environ["FLOOR_CALLBACK_SECRET"],
        pool_size=int(os.environ["FLOOR_POOL"]),
    )
    config = uvicorn.Config(
        floor,
        host="127.0.0.1",
        port=int(os.environ["FLOOR_PORT"]),
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=1024,
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())
