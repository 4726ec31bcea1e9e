"""The servers under test, each one process on a port of its own, and what they take from the machine."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.flow import Market

ROOT = Path(__file__).resolve().parents[1]
POOL_SIZE = 10
"""Connections of each server to PostgreSQL: soko's default."""
START_S_MAX = 60.0
STOP_S_MAX = 20.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class ServerFailed(Exception):
    """A server did not start, or ended; the message is the end of its log."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used: seconds of CPU since its start, and MiB of memory now. None where Linux is not there."""

    cpu_s: float | None
    rss_mib: float | None


class Contender:
    """A server that can be started, asked and stopped."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], port: int) -> None:
        self.name = name
        self.address = f"127.0.0.1:{port}"
        self.start_s = 0.0
        self._command = command
        self._environment = environment
        self._port = port
        self._process: asyncio.subprocess.Process | None = None
        self._log: Path | None = None

    async def start(self, folder: Path) -> None:
        """Start, and wait until requests are answered. Raises ServerFailed."""
        self._log = folder / f"{self.name}.log"
        began = time.monotonic()
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env={**kept, **self._environment},
                cwd=ROOT,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        while not await self._answers():
            if self._process.returncode is not None or time.monotonic() - began > START_S_MAX:
                raise ServerFailed(f"{self.name} did not start:\n{self.log_tail()}")
            await asyncio.sleep(0.02)
        self.start_s = time.monotonic() - began

    async def stop(self) -> None:
        """End the process."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(STOP_S_MAX):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def usage(self) -> Usage:
        """Return what the process has used."""
        assert self._process is not None
        folder = Path("/proc") / str(self._process.pid)
        try:
            numbers = (folder / "stat").read_text().rpartition(")")[2].split()
            pages = int((folder / "statm").read_text().split()[1])
        except FileNotFoundError:
            return Usage(None, None)
        ticks = int(numbers[11]) + int(numbers[12])
        return Usage(ticks / TICKS_PER_S, pages * os.sysconf("SC_PAGE_SIZE") / 2**20)

    def log_tail(self) -> str:
        """Return the end of what it wrote."""
        assert self._log is not None
        return self._log.read_text(errors="replace")[-3_000:]

    async def _answers(self) -> bool:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                writer.write(f"GET /health/live HTTP/1.1\r\nHost: {self.address}\r\n\r\n".encode())
                return (await reader.read(5)) == b"HTTP/"
            finally:
                writer.close()
        return False


def soko(database_url: str, market: Market, folder: Path) -> Contender:
    """Return the real server with its production settings; worker and scheduler run elsewhere, as deployed."""
    port = free_port()
    environment = {
        "SOKO_ENVIRONMENT": "production",
        "SOKO_PORT": str(port),
        "SOKO_PUBLIC_URL": market.issuer,
        "SOKO_DATA_DIR": str(folder / "soko"),
        "SOKO_DATABASE_POOL": str(POOL_SIZE),
        "SOKO_LOG_FORMAT": "json",
        "ALLOWED_HOSTS": "127.0.0.1",
        "DATABASE_URL": database_url,
        "SECRET_KEY": market.secret,
        "LIPANA_BASE_URL": "https://lipana.example",
        "LIPANA_API_KEY": "lip_sk_live_benchmark",
        "LIPANA_CALLBACK_SECRET": market.callback_secret,
        "EMAIL_HOST": "mail.example",
    }
    return Contender("soko", [sys.executable, "-m", "interface.bootstrap.cli", "api"], environment, port)


def floor(dsn: str, market: Market) -> Contender:
    """Return the bare ASGI function."""
    port = free_port()
    environment = {
        "FLOOR_PORT": str(port),
        "FLOOR_DATABASE": dsn,
        "FLOOR_SECRET": market.secret,
        "FLOOR_ISSUER": market.issuer,
        "FLOOR_CALLBACK_SECRET": market.callback_secret,
        "FLOOR_POOL": str(POOL_SIZE),
    }
    return Contender("floor", [sys.executable, "-m", "benchmarks.floor"], environment, port)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
