"""What `soko doctor` finds at a real database, and around it."""

import asyncio
from pathlib import Path

import asyncpg

from application.core.operations.doctor import Finding, Verdict
from infrastructure.postgres.doctor import CONNECT_ADVICE
from interface.bootstrap.doctor import examine
from interface.bootstrap.settings import examine_settings
from tests.faults.processes import free_port


async def findings(tmp_path: Path, url: str | None, **environment: str) -> dict[str, Finding]:
    environment = {
        "SOKO_DATA_DIR": str(tmp_path),
        "SOKO_PORT": str(free_port()),
        "SOKO_MAIL_CATCHER_PORT": str(free_port()),
    } | environment
    settings, wrong = examine_settings(environment)
    found = await examine(settings, wrong, environment, url=url, no_database="none")
    return {one.name: one for one in found if not (one.name == "settings" and one.found == "see above")}


async def test_a_migrated_database_without_a_worker_is_well_but_for_that(tmp_path: Path, database_url: str) -> None:
    found = await findings(tmp_path, database_url)
    verdicts = {name: one.verdict for name, one in found.items() if name not in {"data folder", "open files"}}
    assert {name for name, verdict in verdicts.items() if verdict is Verdict.FAILED} == set()
    assert {name for name, verdict in verdicts.items() if verdict is Verdict.WARNING} == {
        "worker",
        "ledger",
        "public address",
    }
    assert all(one.advice for one in found.values() if one.verdict in {Verdict.WARNING, Verdict.FAILED})


async def test_what_is_wrong_with_a_database_is_named(tmp_path: Path, database_url: str, database_dsn: str) -> None:
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("GRANT UPDATE ON audit_entries TO soko_runtime")
    await connection.execute("UPDATE alembic_version SET version_num = '0001'")
    await connection.close()
    found = await findings(tmp_path, database_url, SOKO_DATABASE_POOL="1000")
    assert found["database schema"].verdict is Verdict.FAILED
    assert found["database role"].found == "soko_runtime may change history: audit_entries"
    assert found["database connections"].verdict is Verdict.FAILED
    assert found["worker"].verdict is Verdict.SKIPPED


async def test_nothing_that_answers_wrongly_stops_the_rest_or_has_its_key_told(tmp_path: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    closed = free_port()
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        found = await findings(
            tmp_path,
            f"postgresql+asyncpg://soko:the-password@127.0.0.1:{closed}/soko",
            DATABASE_REPLICA_URL=f"postgresql://soko:the-password@127.0.0.1:{closed}/soko",
            EMAIL_HOST="127.0.0.1",
            EMAIL_PORT=str(closed),
            STRIPE_SECRET_KEY="sk_test_the-password",
            STRIPE_WEBHOOK_SECRET="whsec_of_a_test_server",
            STRIPE_BASE_URL=f"http://127.0.0.1:{port}",
            LIPANA_BASE_URL=f"http://127.0.0.1:{closed}",
            REDIS_URL=f"redis://:the-password@127.0.0.1:{closed}/0",
            SOKO_STORAGE="s3",
            AWS_STORAGE_BUCKET_NAME="soko",
            AWS_ACCESS_KEY_ID="soko",
            AWS_SECRET_ACCESS_KEY="the-password",
            AWS_S3_ENDPOINT_URL=f"http://127.0.0.1:{closed}",
            ALLOWED_HOSTS="other.example",
            CORS_ALLOWED_ORIGINS="https://front.example/app",
            SOKO_PUBLIC_URL="https://soko.invalid",
            SOKO_DATABSE_POOL="3",
        )
    failed = {name for name, one in found.items() if one.verdict is Verdict.FAILED}
    assert failed >= {"database", "replica", "mail", "stripe", "lipana", "allowed hosts", "browser origins"}
    assert found["stripe"] == Finding(
        "stripe", Verdict.FAILED, "127.0.0.1 does not accept the keys (401)", "correct STRIPE_SECRET_KEY"
    )
    assert found["replica"].advice == "set DATABASE_REPLICA_URL to a replica that runs, or leave it empty"
    assert found["lipana"].advice == f"open the way to 127.0.0.1:{closed}"
    assert found["bucket"].advice.endswith("or start the store")
    assert found["redis"].verdict is Verdict.WARNING
    assert found["names of settings"].advice == "do you mean SOKO_DATABASE_POOL?"
    assert "the-password" not in repr(found)


DATABASE = ("database", "database connections", "database clock", "database schema", "database role")
WORK = ("worker", "outbox", "jobs", "ledger")


async def test_a_database_that_cannot_be_reached_is_said_once_and_the_rest_about_it_is_not_looked_at(
    tmp_path: Path,
) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    closed = free_port()
    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        silent = server.sockets[0].getsockname()[1]
        refused, mute = await asyncio.gather(
            findings(tmp_path, f"postgresql+asyncpg://soko@127.0.0.1:{closed}/soko"),
            findings(tmp_path, f"postgresql+asyncpg://soko@127.0.0.1:{silent}/soko"),
        )
    assert refused["database"].found == "no connection: [Errno 111] Connection refused"
    assert mute["database"].found == "no connection within 4 s"
    for found in (refused, mute):
        assert (found["database"].verdict, found["database"].advice) == (Verdict.FAILED, CONNECT_ADVICE)
        for name in (*DATABASE[1:], *WORK):
            assert found[name] == Finding(name, Verdict.SKIPPED, "not looked at: the database cannot be reached")


async def test_in_production_everything_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    environment = {"SOKO_ENVIRONMENT": "production", "SOKO_DATA_DIR": str(tmp_path), "SOKO_PORT": "0"}
    settings, wrong = examine_settings(environment)
    found = await examine(settings, wrong, environment, url=None, no_database="none")
    named = {one.found.split(":")[0].split(",")[0] for one in found if one.name == "settings"}
    assert named >= {"SECRET_KEY", "DATABASE_URL", "EMAIL_HOST", "SOKO_PUBLIC_URL", "ALLOWED_HOSTS", "LIPANA_BASE_URL"}
    assert {one.verdict for one in found if one.name == "python"} == {Verdict.OK}
