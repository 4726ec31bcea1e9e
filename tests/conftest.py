"""A PostgreSQL for every test that asks for one, and asyncio (on uvloop, as in production) for every async test."""

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path

import alembic.command
import alembic.config
import asyncpg
import pytest

from infrastructure.local.postgres import EmbeddedPostgres

ROOT = Path(__file__).parents[1]
TEMPLATE = "soko_template"
# durability is not under test here, speed is; the tests that kill servers start their own
UNSAFE_AND_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_wal_size": "128MB",
}

IN_MEMORY = Path("/dev/shm")
IN_MEMORY_FREE_BYTES_MIN = 4 * 2**30
"""Each process of the tests needs some 300 MiB of it."""

MUTANT_SQL = "SOKO_TESTS_MUTANT_SQL"
"""Names the environment variable with what tests.mutants takes out of every test's database."""


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Run async tests and fixtures on asyncio with uvloop; trio is no target."""
    return "asyncio", {"use_uvloop": True}


def folder_for_databases() -> str | None:
    """Return a folder in memory where there is plenty of it, else None: the usual one for what is temporary.

    A database is a thousand small files. ext4 does not give away an inode that was freed in the last minutes, and looks
    through all of these for one to give: a copy that takes 0.07 s at first takes 0.5 s after some hundred tests.
    """
    if IN_MEMORY.is_dir() and os.access(IN_MEMORY, os.W_OK | os.X_OK):
        told = re.search(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
        memory_bytes = int(told[1]) * 1024 if told else 0
        if min(shutil.disk_usage(IN_MEMORY).free, memory_bytes) >= IN_MEMORY_FREE_BYTES_MIN:
            return str(IN_MEMORY)
    return None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """Give this pytest process one server of its own; it is gone, with its data, at the end."""
    with tempfile.TemporaryDirectory(prefix="soko-tests-", dir=folder_for_databases()) as folder:
        Path(folder).chmod(0o711)  # under root the server runs as nobody, who must walk through here
        server = EmbeddedPostgres(Path(folder) / "postgres", options=UNSAFE_AND_FAST)
        server.start()
        yield server
        server.remove()


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedPostgres) -> str:
    """Make a database with every migration applied, once a session, and return its name."""
    postgres_server.create_database(TEMPLATE)
    config = alembic.config.Config(ROOT / "alembic.ini")
    config.set_main_option("script_location", str(ROOT / "alembic"))
    config.attributes["url"] = postgres_server.url(TEMPLATE)
    alembic.command.upgrade(config, "head")
    if mutation := os.environ.get(MUTANT_SQL):
        asyncio.run(_execute(postgres_server.asyncpg_dsn(TEMPLATE), mutation))
    return TEMPLATE


async def _execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def maintain(postgres_server: EmbeddedPostgres) -> Iterator[Callable[[str], object]]:
    """Run statements on one connection that stays open: psql takes longer to start than a database to be copied."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(postgres_server.asyncpg_dsn("postgres")))
        yield lambda sql: runner.run(connection.execute(sql))
        runner.run(connection.close())


@pytest.fixture(scope="session")
def database_numbers() -> Iterator[int]:
    """Number this process's databases."""
    return count(1)


@pytest.fixture
def database_name(
    maintain: Callable[[str], object], migrated_template: str, database_numbers: Iterator[int]
) -> Iterator[str]:
    """Give the test an empty, migrated database that nobody else sees."""
    name = f"soko_test_{next(database_numbers)}"
    maintain(f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
    yield name
    maintain(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def database_url(postgres_server: EmbeddedPostgres, database_name: str) -> str:
    """Return the SQLAlchemy URL of the test's own database."""
    return postgres_server.url(database_name)


@pytest.fixture
def database_dsn(postgres_server: EmbeddedPostgres, database_name: str) -> str:
    """Return the asyncpg DSN of the same database."""
    return postgres_server.asyncpg_dsn(database_name)


@pytest.fixture
async def superuser(database_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect as somebody who can do anything, triggers off."""
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("SET session_replication_role = replica")
    yield connection
    await connection.close()
