"""Run migrations over asyncpg. The URL comes from `config.attributes["url"]`, else from DATABASE_URL."""

import asyncio
import importlib
import os
from pathlib import Path

from alembic import context
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine

from infrastructure.postgres.tables import metadata

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
    engine = create_async_engine(url, poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
        await connection.commit()
    await engine.dispose()


load_tables()
asyncio.run(main())
