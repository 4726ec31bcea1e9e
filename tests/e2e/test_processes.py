"""The real command line as real processes: one data folder, killed without mercy, stopped politely, looked into."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.faults.processes import ROOT, free_port

READY_WITHIN_S = 60.0
LOOK_EVERY_S = 0.1
ADMIN, PASSWORD = "first-admin", "Tall-trees-7"


def wait_for(what: str, is_so: Callable[[], bool], *, within_s: float = READY_WITHIN_S) -> None:
    end = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end, f"not within {within_s} s: {what}"
        time.sleep(LOOK_EVERY_S)


@dataclass(slots=True)
class Installation:
    """A data folder, a port, and the commands that are given to them."""

    folder: Path
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(
        self, *arguments: str, output: int | None = None, typed: int = subprocess.DEVNULL, **settings: str
    ) -> "subprocess.Popen[str]":
        """Start `soko` with these arguments, as the leader of a session, like a shell's foreground job."""
        ours = {
            name: value for name, value in os.environ.items() if not name.startswith(("SOKO_", "LIPANA_", "EMAIL_"))
        }
        return subprocess.Popen(
            [sys.executable, "-m", "interface.bootstrap.cli", *arguments],
            cwd=self.folder,
            env=ours
            | {
                "PYTHONPATH": str(ROOT / "src"),
                "SOKO_DATA_DIR": str(self.folder / "data"),
                "SOKO_PORT": str(self.port),
                "SOKO_LOG_FORMAT": "json",
            }
            | settings,
            start_new_session=True,
            stdin=typed,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            text=True,
        )

    def run(self, *arguments: str, typed: str = "", **settings: str) -> tuple[int, str]:
        """Run a command to its end and return its exit status and what it said."""
        process = self.start(*arguments, output=subprocess.PIPE, typed=subprocess.PIPE, **settings)
        said, _ = process.communicate(typed, timeout=READY_WITHIN_S)
        return process.returncode, said

    @contextmanager
    def serving(self) -> Iterator["subprocess.Popen[str]"]:
        """Run the server while the block runs, from the moment it is ready."""
        with (self.folder / "server.log").open("a") as log:
            server = self.start("run", output=log.fileno())
            try:
                wait_for("the server is ready", lambda: self.is_ready(server))
                yield server
            finally:
                if server.poll() is None:
                    os.killpg(server.pid, signal.SIGKILL)
                    server.wait()

    def is_ready(self, server: "subprocess.Popen[str]") -> bool:
        assert server.poll() is None, (self.folder / "server.log").read_text()[-4_000:]
        try:
            return httpx.get(f"{self.url}/health/ready", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def processes(self) -> list[str]:
        """Return the command lines of all processes that belong to this folder."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    facts = (entry / "cmdline").read_bytes() + b"\0" + (entry / "environ").read_bytes()
                except OSError:  # it has just ended
                    continue
                if str(self.folder).encode() in facts:
                    found.append(facts[:200].replace(b"\0", b" ").decode(errors="replace"))
        return found

    def demo(self, market: str = "assignments") -> "subprocess.Popen[str]":
        return self.start(
            "demo", market, "--admin-username", ADMIN, "--admin-password", PASSWORD, output=subprocess.PIPE
        )


@pytest.fixture
def installation() -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="soko-processes-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # under root the database runs as nobody, who must walk through here
        made = Installation(Path(folder))
        yield made
        wait_for("nothing of it runs", lambda: made.processes() == [])


def member(number: int) -> dict[str, str]:
    name = f"member-{number}"
    return {"username": name, "email": f"{name}@example.test", "password": PASSWORD}


def test_what_was_answered_survives_a_kill_and_ctrl_c_leaves_nothing_behind(installation: Installation) -> None:
    with installation.serving() as server:
        create = ("create-admin", "--username", ADMIN, "--email", "first@example.test", "--password-stdin")
        status, said = installation.run(*create, typed=f"{PASSWORD}\n")
        assert (status, len(said.strip())) == (0, 36), said
        for demo in (installation.demo(), installation.demo("gigs")):  # both markets at the same time
            said, _ = demo.communicate(timeout=READY_WITHIN_S)
            assert demo.returncode == 0, said
            assert said.splitlines()[-1] == "All of it is as it should be."

        with httpx.Client(base_url=installation.url, trust_env=False) as client:
            second = installation.demo()
            assert second.stdout is not None
            registered = 0
            for line in second.stdout:  # somebody joins after each step; in the middle of the sixth the power goes
                made = client.post("/api/auth/register", json=member(registered))
                assert made.status_code == 201, made.text
                registered += 1
                if re.match(r" *5\. ", line):
                    break
            server.send_signal(signal.SIGKILL)
            server.wait()
        said = second.stdout.read()
        assert second.wait(READY_WITHIN_S) == 1, said
        assert "Step 6 went wrong." in said
        second.stdout.close()

    with installation.serving() as server, httpx.Client(base_url=installation.url, trust_env=False) as client:
        status, said = installation.run("run")
        lock = f"another server runs on {installation.folder / 'data'}; stop it first, or name another folder"
        assert (status, said) == (2, f"SOKO_DATA_DIR: {lock}\n")
        for number in range(registered):
            known = {"username": f"member-{number}", "password": PASSWORD}
            assert client.post("/api/auth/login", json=known).status_code == 200
        status, said = installation.run("ledger", "verify")
        assert (status, said.splitlines()[-1]) == (0, "The books are sound."), said
        assert installation.run("audit", "verify")[0] == 0
        assert "already at" in installation.run("migrate")[1]

        os.killpg(server.pid, signal.SIGINT)  # Ctrl-C reaches everything in the foreground
        assert server.wait(READY_WITHIN_S) == 0
        wait_for("nothing of it runs", lambda: installation.processes() == [])

    # the same commands on the same folder, with no server: they start the database, and stop it again
    status, said = installation.run("ledger", "verify")
    assert (status, said.splitlines()[-1]) == (0, "The books are sound."), said
    assert installation.run(*create, typed=f"{PASSWORD}\n")[0] == 2
    assert installation.processes() == []
    assert_logs_are_traced_and_tell_no_secret((installation.folder / "server.log").read_text())


def assert_logs_are_traced_and_tell_no_secret(log: str) -> None:
    """Check every line of JSON; the others are what is shown to the person who starts the server."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert len([line for line in lines if line["event"] == "answered"]) > 50
    assert all(re.fullmatch(r"none|seed|cli|[A-Za-z0-9._-]{8,64}", line["trace_id"]) for line in lines)
    assert all(line["trace_id"] != "none" for line in lines if line["event"] == "answered")
    told = "\n".join(line for line in log.splitlines() if line.startswith("{"))
    for secret in (PASSWORD, "member-0", "@example.test", "eyJ", "Bearer"):
        assert secret not in told
    assert "Traceback" not in log


def test_a_port_that_is_taken_a_folder_that_cannot_be_written_and_wrong_settings_are_one_line_each(
    installation: Installation,
) -> None:
    with socket.create_server(("127.0.0.1", installation.port)):
        taken = f"cannot listen on 127.0.0.1:{installation.port} (Address already in use); name another port"
        assert installation.run("run") == (2, f"SOKO_PORT: {taken}\n")
    file = installation.folder / "file"
    file.touch()
    nowhere = installation.run("run", SOKO_DATA_DIR=str(file / "data"))
    assert nowhere == (
        2,
        f"SOKO_DATA_DIR: cannot write to {file / 'data'} (Not a directory); name another folder\n",
    )
    status, said = installation.run("run", SOKO_ENVIRONMENT="production", SOKO_PORT="many", DEBUG="on")
    assert status == 2
    assert [line.partition(":")[0] for line in said.splitlines()] == [
        "SOKO_PORT",
        "SECRET_KEY",
        "DEBUG",
        "DATABASE_URL",
        "LIPANA_BASE_URL, LIPANA_API_KEY, LIPANA_CALLBACK_SECRET",
        "EMAIL_HOST",
        "SOKO_PUBLIC_URL",
        "ALLOWED_HOSTS",
    ]
