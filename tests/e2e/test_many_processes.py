"""`soko api --processes 2`, two workers and two schedulers on one PostgreSQL and one Valkey, as on one machine."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import asyncpg
import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from infrastructure.local.postgres import EmbeddedPostgres
from tests.faults.processes import ROOT, free_port
from tests.integration.redis.valkey import Valkey

DATABASE = "soko_many_processes"
WITHIN_S = 60.0
ENDED_WITHIN_S = 30.0
PASSWORD = "Tall-trees-7"
CLIENTS, SOCKETS, JOINERS = 4, 6, 8


async def until(what: str, is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await is_so():  # noqa: ASYNC110 - other processes make it so
            await asyncio.sleep(0.05)


class Town:
    """One machine: its API on a port, and commands beside it."""

    def __init__(self, folder: Path, database: EmbeddedPostgres, valkey: Valkey) -> None:
        self.folder = folder
        self.port = free_port()
        self.dsn = database.asyncpg_dsn(DATABASE)
        self.numbers = count(1)
        self.started: list[subprocess.Popen[bytes]] = []
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("SOKO_", "LIPANA_", "EMAIL_"))
        } | {
            "PYTHONPATH": str(ROOT / "src"),
            "SOKO_ENVIRONMENT": "test",
            "SECRET_KEY": "a secret for tests, 32 bytes or more",
            "DATABASE_URL": self.dsn,
            "REDIS_URL": valkey.url,
            "SOKO_BROKER": "redis",
            "SOKO_REALTIME": "redis",
            "SOKO_DATA_DIR": str(folder / "data"),
            "SOKO_DATABASE_POOL": "4",
            "SOKO_PORT": str(self.port),
            "SOKO_LOG_FORMAT": "json",
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        with (self.folder / "log").open("ab") as log:
            command = [sys.executable, "-m", "interface.bootstrap.cli", *arguments]
            made = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.started.append(made)
        return made

    def log(self) -> str:
        return (self.folder / "log").read_text()[-4_000:]

    async def is_ready(self) -> bool:
        """Tell whether the API answers and everything it needs is there."""
        assert [one.args for one in self.started if one.poll() not in {None, 0, -signal.SIGKILL}] == [], self.log()
        async with httpx.AsyncClient(trust_env=False) as http:
            with contextlib.suppress(httpx.TransportError):
                return (await http.get(f"{self.url}/health/ready")).status_code == 200
        return False

    async def says(self, sql: str) -> bool:
        """Ask the database a question whose answer is yes or no."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return bool(await connection.fetchval(sql))
        finally:
            await connection.close()

    async def join(self, http: httpx.AsyncClient) -> str:
        """Register somebody, and return his name."""
        name = f"joiner-{next(self.numbers)}"
        body = {"username": name, "email": f"{name}@example.test", "password": PASSWORD}
        assert (await http.post("/api/auth/register", json=body)).status_code == 201
        return name


async def two_without(api: "subprocess.Popen[bytes]", former: set[int]) -> bool:
    """Tell whether two processes answer, none of them a former one."""
    found = children(api)
    return len(found) == 2 and not found & former


def children(process: "subprocess.Popen[bytes]") -> set[int]:
    """Return the processes that this one has started and that still live."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return {int(pid) for pid in found}


def alive(processes: set[int]) -> set[int]:
    return {pid for pid in processes if Path(f"/proc/{pid}").exists()}


@pytest.fixture(scope="module")
def town(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[Town]:
    postgres_server.create_database(DATABASE, template=migrated_template)
    with tempfile.TemporaryDirectory(prefix="soko-town-", ignore_cleanup_errors=True) as folder, Valkey() as valkey:
        made = Town(Path(folder), postgres_server, valkey)
        try:
            yield made
        finally:
            for process in made.started:
                process.kill()
                process.wait()
    postgres_server.drop_database(DATABASE)


@pytest.fixture(scope="module")
def api(town: Town) -> "subprocess.Popen[bytes]":
    return town.start("api", "--processes", "2")


@asynccontextmanager
async def traffic(town: Town) -> AsyncIterator[list[str]]:
    """Send requests while the block runs, half of them on connections that are kept; give what went wrong."""
    wrong: list[str] = []
    is_over = asyncio.Event()

    async def send(number: int) -> None:
        limits = httpx.Limits(max_keepalive_connections=1 if number % 2 else 0)
        async with httpx.AsyncClient(base_url=town.url, limits=limits, trust_env=False, timeout=30) as http:
            while not is_over.is_set():
                try:
                    reply = await http.get("/api/services")
                    if reply.status_code != 200:
                        wrong.append(reply.text)
                except httpx.HTTPError as error:
                    wrong.append(repr(error))
                await asyncio.sleep(0.05)

    sending = [asyncio.create_task(send(number)) for number in range(CLIENTS)]
    try:
        yield wrong
    finally:
        is_over.set()
        await asyncio.gather(*sending)


async def test_processes_are_replaced_one_after_the_other_without_a_failed_request(
    town: Town, api: "subprocess.Popen[bytes]"
) -> None:
    await until("the API is ready", town.is_ready)
    await until("there are two", lambda: two_without(api, set()))
    before = children(api)
    async with httpx.AsyncClient(base_url=town.url, trust_env=False) as http:
        known = {"username": await town.join(http), "password": PASSWORD}
        token = (await http.post("/api/auth/login", json=known)).json()["access"]
    address = f"ws://127.0.0.1:{town.port}/ws/notifications?token={token}"
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(connect(address, proxy=None)) for _ in range(SOCKETS)]
        async with traffic(town) as wrong:
            api.send_signal(signal.SIGHUP)
            await until("both are new", lambda: two_without(api, before))
        assert wrong == []
        assert {await closing_code(socket) for socket in sockets} == {1012}


async def closing_code(socket: ClientConnection) -> int | None:
    """Return the code with which the server has closed a socket."""
    async with asyncio.timeout(WITHIN_S):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None


async def test_two_of_each_deliver_every_event_once_though_a_worker_is_killed_and_all_stop_when_told(
    town: Town, api: "subprocess.Popen[bytes]"
) -> None:
    workers, schedulers = [town.start("worker") for _ in range(2)], [town.start("scheduler") for _ in range(2)]
    await until("the API is ready", town.is_ready)
    await until("jobs run", lambda: town.says("SELECT count(*) > 2 FROM job_runs WHERE finished_at IS NOT NULL"))
    async with httpx.AsyncClient(base_url=town.url, trust_env=False, timeout=30) as http:
        await asyncio.gather(*(town.join(http) for _ in range(JOINERS)))
        workers[0].kill()
        await asyncio.gather(*(town.join(http) for _ in range(JOINERS)))
    await until("all is delivered", lambda: town.says("SELECT bool_and(done_at IS NOT NULL) FROM outbox_messages"))
    assert await town.says("SELECT count(*) = 0 FROM outbox_messages WHERE dead_at IS NOT NULL")
    assert await town.says("SELECT count(*) = (SELECT count(*) FROM accounts) FROM mail_queue")  # each his one code

    told = [api, workers[1], *schedulers]
    answering = children(api)
    for process in told:
        process.send_signal(signal.SIGTERM)
    assert [await asyncio.to_thread(process.wait, ENDED_WITHIN_S) for process in told] == [0, 0, 0, 0]
    assert alive(answering) == set()
