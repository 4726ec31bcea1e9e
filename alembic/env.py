"""Run migrations over asyncpg. The URL comes from `config.attributes["url"]`, else from DATABASE_URL."""

import asyncio
import importlib
import os
from pathlib import Path
from typing import Any

from alembic import context
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine

from infrastructure.postgres.database import DRIVER, dsn_of
from infrastructure.postgres.migrations import LOCK_TIMEOUT_MS
from infrastructure.postgres.tables import metadata

CONNECT: dict[str, Any] = {
    "server_settings": {
        "application_name": "soko migrate",
        # whoever waits for a lock makes everybody behind him wait, too; `Migrations` tries again
        "lock_timeout": str(LOCK_TIMEOUT_MS),
        "statement_timeout": "0",  # an index of a large table takes its time, and blocks nobody
    }
}
SOURCE = Path(__file__).resolve().parent.parent / "src"


def load_tables() -> None:
    """Import every module of tables, so that `metadata` knows them all."""
    for path in sorted((SOURCE / "infrastructure" / "postgres").rglob("*tables.py")):
        importlib.import_module(".".join(path.relative_to(SOURCE).with_suffix("").parts))


def migrate(connection: Connection) -> None:
    """Run the migrations on a connection, each in its own transaction."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def main() -> None:
    """Connect and migrate."""
    url = context.config.attributes.get("url") or os.environ["DATABASE_URL"]
    engine = create_async_engine(DRIVER, poolclass=pool.NullPool, connect_args=CONNECT | {"dsn": dsn_of(url)})
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
        await connection.commit()
    await engine.dispose()


load_tables()
asyncio.run(main())
