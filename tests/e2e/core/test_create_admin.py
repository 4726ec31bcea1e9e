"""`soko create-admin`, as an operator runs it."""

import subprocess
import sys
from pathlib import Path
from uuid import UUID

import asyncpg

ROOT = Path(__file__).parents[3]


def create_admin(database_url: str, data_dir: Path, username: str) -> subprocess.CompletedProcess[str]:
    arguments = ["create-admin", "--username", username, "--email", f"{username}@example.test", "--password-stdin"]
    return subprocess.run(
        [sys.executable, "-m", "interface.bootstrap.cli", *arguments],
        input="Tall-trees-7\n",
        env={
            "PYTHONPATH": str(ROOT / "src"),
            "DATABASE_URL": database_url,
            "SOKO_DATA_DIR": str(data_dir),
            "SOKO_ENVIRONMENT": "test",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_the_command_prints_the_id_and_exits_2_when_the_name_is_taken(
    database_url: str, database_dsn: str, tmp_path: Path
) -> None:
    first = create_admin(database_url, tmp_path, "boss")
    assert first.returncode == 0, first.stderr
    account_id = UUID(first.stdout.strip().splitlines()[-1])
    second = create_admin(database_url, tmp_path, "Boss")
    assert second.returncode == 2
    connection = await asyncpg.connect(database_dsn)
    try:
        rows = await connection.fetch("SELECT id, roles FROM accounts")
        assert [(row["id"], row["roles"]) for row in rows] == [(account_id, ["admin"])]
        labels = await connection.fetch("SELECT actor_label FROM audit_entries WHERE action = 'register'")
        assert [row["actor_label"] for row in labels] == ["cli"]
    finally:
        await connection.close()
