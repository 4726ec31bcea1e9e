"""A PostgreSQL for every test that asks for one, and asyncio (on uvloop, as in production) for every async test."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
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
UNSAFE_AND_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}

MUTANT_SQL = "SOKO_TESTS_MUTANT_SQL"
"""Names the environment variable with what tests.mutants takes out of every test's database."""


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Run async tests and fixtures on asyncio with uvloop; trio is no target."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """Give this pytest process one server of its own; it is gone, with its data, at the end."""
    with tempfile.TemporaryDirectory(prefix="soko-tests-") as folder:
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
def database_numbers() -> Iterator[int]:
    """Number this process's databases."""
    return count(1)


@pytest.fixture
def database_name(
    postgres_server: EmbeddedPostgres, migrated_template: str, database_numbers: Iterator[int]
) -> Iterator[str]:
    """Give the test an empty, migrated database that nobody else sees."""
    name = f"soko_test_{next(database_numbers)}"
    postgres_server.create_database(name, template=migrated_template)
    yield name
    postgres_server.drop_database(name)


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
