"""A real S3 server for tests: it checks signatures and expiry of what is signed in an address, and sizes of forms.

It keeps everything in memory. Other conditions of a form (key, type) it takes as read, so tests read them themselves.
"""

import socket
import subprocess
import sys
import time
from types import TracebackType
from typing import Self

from infrastructure.s3.connection import S3Bucket
from tests.faults.processes import free_port, kill

READY_WITHIN_S = 20.0
KEY_ID, SECRET = "test", "test"  # the only ones it verifies signatures for


class Ministack:
    """`with Ministack() as server:` runs a server until the block ends; `server.url` is its endpoint."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def bucket(self, name: str, *, prefix: str = "files/", public_url: str | None = None) -> S3Bucket:
        """Describe a bucket of this server, which exists once `make_bucket` was called."""
        return S3Bucket(
            name=name,
            prefix=prefix,
            region="us-east-1",
            access_key_id=KEY_ID,
            secret_access_key=SECRET,
            endpoint_url=self.url,
            public_url=public_url,
        )

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            env={
                "PATH": "/usr/bin:/bin",
                "BIND_HOST": "127.0.0.1",
                "IOT_MTLS_ENABLED": "0",
                "GATEWAY_PORT": str(self.port),
                "S3_PERSIST": "0",
            },
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + READY_WITHIN_S
        while not self._answers():
            assert self._process.poll() is None, "the server ended at once"
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """Kill the server; nothing is kept."""
        if self._process is not None:
            kill(self._process)
            self._process = None

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
