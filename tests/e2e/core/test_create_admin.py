"""`soko create-admin` and `soko reset-second-factor`, as an operator runs them."""

import subprocess
import sys
from pathlib import Path
from uuid import UUID

import asyncpg

ROOT = Path(__file__).parents[3]


def create_admin(database_url: str, data_dir: Path, username: str) -> subprocess.CompletedProcess[str]:
    arguments = ["create-admin", "--username", username, "--email", f"{username}@example.test", "--password-stdin"]
    return soko(database_url, data_dir, *arguments)


def soko(database_url: str, data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
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


async def test_an_administrator_is_made_once_and_his_lost_second_factor_is_reset_once(
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
        await connection.execute(
            "INSERT INTO second_factors"
            " (account_id, sealed_secret, begun_at, confirmed_at, last_step, recovery_digests)"
            " VALUES ($1, 'sealed', now(), now(), 1, '{}')",
            account_id,
        )
        reset = soko(database_url, tmp_path, "reset-second-factor", "boss", "--reason", "came with an identity card")
        assert (reset.returncode, reset.stdout.strip().splitlines()[-1]) == (0, str(account_id)), reset.stderr
        entries = await connection.fetch(
            "SELECT actor_label, target, reason FROM audit_entries WHERE action = 'second_factor_reset'"
        )
        assert [tuple(entry) for entry in entries] == [("cli", f"account:{account_id}", "came with an identity card")]
    finally:
        await connection.close()


async def test_a_database_that_does_not_let_us_in_is_said_and_a_proof_in_a_log_is_its_words_alone(
    database_url: str, tmp_path: Path
) -> None:
    migrated = soko(database_url.replace("?", "_none?"), tmp_path, "migrate")
    said = '" does not exist\n`soko doctor` says what to do.\n'
    assert (migrated.returncode, migrated.stdout) == (2, "")
    assert migrated.stderr.startswith('The database says: database "')
    assert migrated.stderr.endswith(said)
    proven = soko(database_url, tmp_path, "ledger", "verify")
    assert (proven.returncode, proven.stdout, proven.stderr) == (0, "The books are sound.\n", "")
