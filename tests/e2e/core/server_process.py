"""The server as a process of its own, from outside: what it takes of memory is nobody else's."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.processes import ROOT


@dataclass(frozen=True, slots=True)
class ServerProcess:
    pid: int
    port: int

    def memory_kib(self) -> int:
        """Return what it has of memory now."""
        return self._memory("VmRSS")

    def memory_peak_kib(self) -> int:
        """Return the most it ever had."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
        raise AssertionError("the process has ended")


@asynccontextmanager
async def server_process(database_url: str, folder: Path) -> AsyncIterator[ServerProcess]:
    """Run `socket_process` over a database and a folder for its files while the block runs."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.e2e.core.socket_process", database_url, str(folder),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert running.stdout is not None
    assert running.stdin is not None
    port = await asyncio.wait_for(running.stdout.readline(), 60)
    assert port, "the server did not start"
    try:
        yield ServerProcess(running.pid, int(port))
    finally:
        running.stdin.close()
        await asyncio.wait_for(running.wait(), 20)
