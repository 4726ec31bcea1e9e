"""The whole server of these tests as a process of its own, for races between processes; its clock stands still too."""

import asyncio
import sys
from pathlib import Path
from typing import Any, cast

import uvicorn

from interface.bootstrap.asgi import create_edge
from tests.e2e.market import open_market


async def main(url: str, folder: Path, port: int) -> None:
    async with open_market(url, folder) as market:
        app = cast("Any", create_edge(market.server))
        await uvicorn.Server(uvicorn.Config(app, port=port, lifespan="off", log_config=None)).serve()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
