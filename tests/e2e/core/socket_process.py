"""The server of these tests as a process of its own, with its sockets and loops: its memory is nobody else's."""

import asyncio
import os
import sys
from pathlib import Path

import uvloop

from interface.bootstrap.logs import configure_logs
from interface.bootstrap.settings import read_settings
from tests.e2e.core.sockets import socketed
from tests.e2e.market import open_market


async def main(url: str, folder: Path) -> None:
    async with open_market(url, folder) as market, socketed(market) as server:
        print(server.served.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)  # until the test hangs up


if __name__ == "__main__":
    with Path(os.devnull).open("w") as log:
        configure_logs(read_settings({"SOKO_ENVIRONMENT": "test"}), log)
        uvloop.run(main(sys.argv[1], Path(sys.argv[2])))
