"""A whole installation of real processes: PostgreSQL with fsync, the provider, the API twice, a worker, a scheduler."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg
import httpx

from infrastructure.local.postgres import PORT, SUPERUSER, EmbeddedPostgres
from tests.drills.provider import API_KEY, CONTROL_KEY, WEBHOOK_SECRET
from tests.drills.proxy import Proxy
from tests.faults.processes import ROOT, free_port

READY_WITHIN_S: Final = 120.0
LOOK_EVERY_S: Final = 0.05
DATABASE: Final = "soko"
ADMIN: Final = "drill-admin"
PASSWORD: Final = "Canary-Tall-trees-7"
"""Made up, and looked for in the logs afterwards."""

SECRET: Final = "canary-secret-key-of-the-drills-0123456789"

API, WORKER, SCHEDULER, PROVIDER = "api", "worker", "scheduler", "provider"


async def until(
    what: str, is_so: Callable[[], Awaitable[bool]], *, within_s: float, every_s: float = LOOK_EVERY_S
) -> float:
    """Look until it is so and return after how many seconds it was. Raises TimeoutError, which says what was not."""
    started_at = time.monotonic()
    while not await is_so():
        if time.monotonic() - started_at > within_s:
            raise TimeoutError(f"not within {within_s:.0f} s: {what}")
        await asyncio.sleep(every_s)
    return time.monotonic() - started_at


@dataclass(slots=True)
class Process:
    """One process, started as often as it dies."""

    name: str
    command: list[str]
    settings: dict[str, str]
    folder: Path
    port: int = 0
    running: "subprocess.Popen[bytes] | None" = None

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def is_up(self) -> bool:
        return self.running is not None and self.running.poll() is None

    def start(self) -> None:
        """Start it, with its output at the end of its log."""
        ours = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SOKO_", "LIPANA_", "EMAIL_", "DATABASE_", "REDIS_", "OTEL_"))
        }
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                [sys.executable, *self.command],
                cwd=self.folder,
                env=ours | {"PYTHONPATH": path} | self.settings,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=log.fileno(),
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        """End it with SIGKILL, and all that it started."""
        if self.running is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.running.pid, signal.SIGKILL)
            self.running.wait()

    def terminate(self) -> None:
        """Ask it to end."""
        if self.is_up and self.running is not None:
            self.running.send_signal(signal.SIGTERM)

    async def ended(self, *, within_s: float) -> float:
        """Wait for its end and return how long that took. Raises TimeoutError."""

        async def is_down() -> bool:
            return not self.is_up

        return await until(f"{self.name} ends", is_down, within_s=within_s)


@dataclass(slots=True)
class Installation:
    """The processes of one drill and the folder that everything is kept in."""

    folder: Path
    postgres: EmbeddedPostgres
    http: httpx.AsyncClient
    """Goes to the balancer."""
    balancer: Proxy
    processes: dict[str, Process] = field(default_factory=dict)
    database_wire: Proxy | None = None
    provider_wire: Proxy | None = None

    @property
    def apis(self) -> list[Process]:
        return [process for name, process in self.processes.items() if name.startswith(API)]

    @property
    def servers(self) -> list[Process]:
        """Every process of the server itself."""
        return [process for name, process in self.processes.items() if name != PROVIDER]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def books(self) -> Path:
        """The provider's own books."""
        return self.folder / "provider.json"

    @property
    def dsn(self) -> str:
        """The database for who may do anything, past every faulty wire."""
        return self.postgres.asyncpg_dsn(DATABASE)

    @asynccontextmanager
    async def superuser(self) -> AsyncIterator[asyncpg.Connection]:
        """Connect to the database itself."""
        connection = await asyncpg.connect(self.dsn, timeout=10)
        try:
            yield connection
        finally:
            await connection.close(timeout=5)

    async def is_ready(self, process: Process) -> bool:
        """Tell whether an API process says that it can serve."""
        try:
            reply = await self.http.get(f"http://127.0.0.1:{process.port}/health/ready", timeout=5)
        except httpx.HTTPError:
            return False
        return reply.status_code == 200

    async def start(self, process: Process) -> float:
        """Start a process and return after how long it is ready; others than the API are ready at once."""
        process.start()
        if not process.port:
            return 0.0

        async def is_ready() -> bool:
            if not process.is_up:
                raise RuntimeError(f"{process.name} ended:\n{process.log.read_text()[-3_000:]}")
            if process.name == PROVIDER:
                return await self._listens(process.port)
            return await self.is_ready(process)

        return await until(f"{process.name} is ready", is_ready, within_s=READY_WITHIN_S)

    async def _listens(self, port: int) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    def kill(self) -> None:
        """End every process."""
        for process in self.processes.values():
            process.kill()

    def logs(self) -> dict[str, bytes]:
        """Return what every process of the server wrote."""
        return {process.name: process.log.read_bytes() for process in self.servers if process.log.exists()}


@asynccontextmanager
async def installed(
    *, apis: int = 2, wires: bool = False, settings: dict[str, str] | None = None
) -> AsyncIterator[Installation]:
    """Install and start everything; `wires` puts a proxy before the database and one before the provider."""
    async with AsyncExitStack() as resources:
        folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="drill-", ignore_cleanup_errors=True)))
        await asyncio.to_thread(folder.chmod, 0o711)  # under root the database is run by nobody, who walks through here
        postgres = EmbeddedPostgres(folder / "postgres", options={"fsync": "on"})
        await asyncio.to_thread(postgres.start)
        resources.callback(postgres.remove)
        postgres.create_database(DATABASE)

        ports = [free_port() for _ in range(apis)]
        balancer = await resources.enter_async_context(Proxy(*ports).listening())
        public = f"http://127.0.0.1:{balancer.port}"
        http = await resources.enter_async_context(
            httpx.AsyncClient(base_url=public, timeout=20, trust_env=False, limits=httpx.Limits(max_connections=200))
        )
        made = Installation(folder, postgres, http, balancer)
        provider_port = free_port()
        url, provider = postgres.url(DATABASE), provider_port
        if wires:
            socket_path = postgres.socket_dir / f".s.PGSQL.{PORT}"
            made.database_wire = await resources.enter_async_context(Proxy(socket_path).listening())
            made.provider_wire = await resources.enter_async_context(Proxy(provider_port).listening())
            url = f"postgresql://{SUPERUSER}@127.0.0.1:{made.database_wire.port}/{DATABASE}"
            provider = made.provider_wire.port
        common = {
            "SOKO_ENVIRONMENT": "test",
            "SOKO_DATA_DIR": str(made.data),
            "SOKO_PUBLIC_URL": public,
            "SECRET_KEY": SECRET,
            "DATABASE_URL": url.replace("postgresql+asyncpg", "postgresql"),
            "LIPANA_BASE_URL": f"http://127.0.0.1:{provider}/v1",
            "LIPANA_API_KEY": API_KEY,
            "LIPANA_CALLBACK_SECRET": WEBHOOK_SECRET,
            "SOKO_LIPANA_PAYOUTS": "yes",
            "SOKO_LOG_FORMAT": "json",
            **(settings or {}),
        }
        callback = f"{public}/api/payments/lipana/callback"
        resources.callback(made.kill)

        def add(name: str, *command: str, port: int = 0) -> Process:
            process = Process(name, list(command), common | {"SOKO_PORT": str(port)}, folder, port)
            made.processes[name] = process
            return process

        soko = ("-m", "interface.bootstrap.cli")
        create = add("create-admin", *soko, "create-admin", "--username", ADMIN, "--email", "canary-admin@example.test")
        create.command.append("--password-stdin")
        await asyncio.to_thread(_create_admin, create)
        del made.processes["create-admin"]
        add(PROVIDER, "-m", "tests.drills.provider", str(made.books), str(provider_port), callback, port=provider_port)
        for number, port in enumerate(ports, 1):
            add(f"{API}-{number}", *soko, "api", port=port)
        add(WORKER, *soko, "worker")
        add(SCHEDULER, *soko, "scheduler")
        await asyncio.gather(*(made.start(process) for process in made.processes.values()))
        yield made


def _create_admin(process: Process) -> None:
    """Migrate and make the first administrator by the command for it."""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    ended = subprocess.run(
        [sys.executable, *process.command],
        cwd=process.folder,
        env={**os.environ, "PYTHONPATH": path, **process.settings},
        input=f"{PASSWORD}\n".encode(),
        check=False,
        capture_output=True,
        timeout=READY_WITHIN_S,
    )
    if ended.returncode != 0:
        raise RuntimeError(ended.stderr.decode()[-3_000:])


__all__ = ["CONTROL_KEY", "Installation", "Process", "installed", "until"]
