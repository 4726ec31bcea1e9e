"""The payment provider in a process of its own, so that its books outlive whatever happens to the server."""

import asyncio
import signal
import sys
from datetime import timedelta
from pathlib import Path

import httpx

from infrastructure.simulator.lipana import LipanaSimulator, SimulatorSettings
from infrastructure.simulator.server import LipanaSimulatorServer
from infrastructure.system.clock import SystemClock

API_KEY = "lip_sk_test_of_the_drills_0123456789abcdef"
WEBHOOK_SECRET = "whsec_of_the_drills_0123456789abcdef0123456789"
CONTROL_KEY = "control_of_the_drills_0123456789"
PAYER_TAKES = timedelta(milliseconds=300)


async def main(books: Path, port: int, callback_url: str) -> None:
    """Answer on the port until SIGTERM, and post callbacks by itself."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings = SimulatorSettings(
        api_key=API_KEY,
        webhook_secret=WEBHOOK_SECRET,
        control_key=CONTROL_KEY,
        callback_url=callback_url,
        is_automatic=True,
        settles_after=PAYER_TAKES,
    )
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        simulator = LipanaSimulator(settings, SystemClock(), client, state_file=books)
        async with LipanaSimulatorServer(simulator, port=port):
            await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
