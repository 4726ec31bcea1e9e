"""A real S3 server for tests: SeaweedFS, which holds addresses and forms to all that is signed in them."""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from infrastructure.s3.connection import S3Bucket
from tests.faults.processes import free_port, kill

READY_WITHIN_S = 30.0
KEY_ID, SECRET = "test", "a secret of the tests"
PARTS = ("master", "volume", "filer", "admin")
"""The processes in the process that have ports of their own; each has a second one for gRPC."""


class Seaweed:
    """`with Seaweed() as server:` runs a server until the block ends; `server.url` is its endpoint."""

    def __init__(self) -> None:
        self.port = free_port()
        self._folder: Path | None = None
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
        self._folder = Path(tempfile.mkdtemp(prefix="soko-seaweed-"))
        ports = [f"-{part}.port{kind}={free_port()}" for part in PARTS for kind in ("", ".grpc")]
        self._process = subprocess.Popen(
            [
                *(Path(sys.executable).with_name("weed"), "mini", f"-dir={self._folder}"),
                *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port={self.port}", f"-s3.port.grpc={free_port()}"),
                *("-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false", *ports),
            ],
            env={"PATH": "/usr/bin:/bin", "AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET},
            cwd=self._folder,
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
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=1).is_success
        except httpx.HTTPError:
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
