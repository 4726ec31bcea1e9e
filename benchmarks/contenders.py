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
from urllib.parse import parse_qs, unquote, urlsplit

from benchmarks.flow import Market

ROOT = Path(__file__).resolve().parents[1]
POOL_SIZE = 10
"""Connections of each server to PostgreSQL: soko's default."""
PEERS_PYTHON = ROOT / ".tools/peers/bin/python"
START_S_MAX = 180.0
"""The first start after a clone also compiles all modules."""
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
        """Return what the process and its children have used."""
        assert self._process is not None
        return usage_of(self._process.pid)

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


def usage_of(process_id: int) -> Usage:
    """Return what a process and its children have used; memory that they share counts in each."""
    ticks = pages = 0
    try:
        for pid in _family(process_id):
            folder = Path("/proc") / str(pid)
            numbers = (folder / "stat").read_text().rpartition(")")[2].split()
            ticks += int(numbers[11]) + int(numbers[12])
            pages += int((folder / "statm").read_text().split()[1])
    except FileNotFoundError:
        return Usage(None, None)
    return Usage(ticks / TICKS_PER_S, pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


def _family(pid: int) -> list[int]:
    """Return a process and all below it. Raises FileNotFoundError where Linux is not there."""
    children = (Path("/proc") / str(pid) / "task" / str(pid) / "children").read_text().split()
    return [pid, *(each for child in children for each in _family(int(child)))]


def soko(database_url: str, market: Market, folder: Path, *, pool_size: int = POOL_SIZE) -> Contender:
    """Return the real server with its production settings; worker and scheduler run elsewhere, as deployed."""
    port = free_port()
    environment = {
        "SOKO_ENVIRONMENT": "production",
        "SOKO_PORT": str(port),
        "SOKO_PUBLIC_URL": market.issuer,
        "SOKO_DATA_DIR": str(folder / "soko"),
        "SOKO_DATABASE_POOL": str(pool_size),
        "SOKO_LOG_FORMAT": "json",
        "ALLOWED_HOSTS": "127.0.0.1",
        "DATABASE_URL": database_url,
        "SECRET_KEY": market.secret,
        "LIPANA_BASE_URL": "https://lipana.example",
        "LIPANA_API_KEY": "lip_sk_live_benchmark",
        "LIPANA_CALLBACK_SECRET": market.callback_secret,
        "EMAIL_HOST": "mail.example",
        "SOKO_ADMIN_SECOND_FACTOR": "no",  # the load's tokens are made without signing in
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


def drf(dsn: str, market: Market) -> Contender:
    """Return Django REST framework behind gunicorn."""
    address = urlsplit(dsn)
    place = parse_qs(address.query)
    environment = {
        "PEER_DATABASE_HOST": place.get("host", [address.hostname or ""])[0],
        "PEER_DATABASE_PORT": place.get("port", [str(address.port or "")])[0],
        "PEER_DATABASE_NAME": address.path.lstrip("/"),
        "PEER_DATABASE_USER": unquote(address.username or ""),
        "PEER_DATABASE_PASSWORD": unquote(address.password or ""),
    }
    settings = "python:benchmarks.peers.drf.gunicorn_conf"
    return _peer("drf", ["-m", "gunicorn", "-c", settings, "benchmarks.peers.drf.wsgi"], environment, market)


def fastapi(dsn: str, market: Market) -> Contender:
    """Return FastAPI with SQLAlchemy's ORM behind uvicorn."""
    environment = {
        "PEER_DATABASE_URL": dsn.replace("postgresql://", "postgresql+asyncpg://", 1),
        "PEER_POOL": str(POOL_SIZE),
    }
    command = ["-m", "uvicorn", "benchmarks.peers.fastapi.app:app", "--no-access-log", "--log-level", "warning"]
    return _peer("fastapi", command, environment, market)


def _peer(name: str, command: Sequence[str], environment: Mapping[str, str], market: Market) -> Contender:
    """Return a server that runs from the peers' own environment. Raises ServerFailed where that is missing."""
    if not PEERS_PYTHON.exists():
        raise ServerFailed(f"{name} is not installed: `python3 scripts/bootstrap.py peers` brings it")
    port = free_port()
    told = {
        "PEER_PORT": str(port),
        "PEER_SECRET": market.secret,
        "PEER_ISSUER": market.issuer,
        "PEER_CALLBACK_SECRET": market.callback_secret,
    }
    where = ["--port", str(port)] if name == "fastapi" else []
    return Contender(name, [str(PEERS_PYTHON), *command, *where], {**environment, **told}, port)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
