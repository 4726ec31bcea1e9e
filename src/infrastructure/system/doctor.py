"""What this machine and its network are like, for `soko doctor`."""

import asyncio
import platform
import resource
import shutil
import socket
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from application.core.operations.doctor import Doubt, NotAsked, Trouble

FREE_BYTES_MIN: Final = 256 * 1024 * 1024
FREE_BYTES_WISHED: Final = 2 * 1024**3
DESCRIPTORS_WISHED: Final = 4096
"""A socket, a request and a file in transit each take one."""
GIB: Final = 1024**3


async def look_at_python() -> str:
    """Return which Python on which system. Raises Trouble, Doubt."""
    found = f"Python {platform.python_version()} on {platform.system()} {platform.release()} ({platform.machine()})"
    if platform.system() not in {"Linux", "Darwin"}:
        raise Doubt(found, "run it on Linux; nothing else is tested")
    return found


async def look_at_folder(folder: Path) -> str:
    """Write into the data folder and measure its room. Raises Trouble, Doubt."""
    probe = folder / ".doctor"
    try:
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(probe.write_bytes, b"doctor")
        await asyncio.to_thread(probe.unlink)
    except OSError as error:
        raise Trouble(
            f"{folder} cannot be written to ({error.strerror})", "give it to the server's user, or set SOKO_DATA_DIR"
        ) from error
    free = shutil.disk_usage(folder).free
    found = f"{folder} can be written to, {free / GIB:.1f} GiB free"
    if free < FREE_BYTES_MIN:
        raise Trouble(found, "make room: uploads and the embedded database stop when the disk is full")
    if free < FREE_BYTES_WISHED:
        raise Doubt(found, "make room soon")
    return found


async def look_at_descriptors() -> str:
    """Return how many files and sockets a process may open. Raises Doubt."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < DESCRIPTORS_WISHED:
        raise Doubt(
            f"a process may open {soft} files and sockets (the system allows {hard})",
            f"raise it to {DESCRIPTORS_WISHED} or more: `ulimit -n`, or LimitNOFILE of systemd",
        )
    return f"a process may open {soft} files and sockets"


async def look_at_port(host: str, port: int, setting: str, *, is_ours: bool) -> str:
    """See whether a port can be listened on. Raises Trouble, Doubt."""
    if port == 0:
        return "any free one"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            if is_ours:
                return f"{host}:{port} is taken by a server that answers as ours does"
            raise Trouble(
                f"{host}:{port} cannot be listened on ({error.strerror})",
                f"stop what listens there, or set {setting}",
            ) from error
    return f"{host}:{port} is free"


async def look_at_name(url: str) -> str:
    """Resolve the host of an address. Raises Trouble."""
    parts = urlsplit(url)
    if not parts.hostname:
        raise NotAsked("no address is set")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, parts.port or 443)
    except OSError as error:
        raise Trouble(
            f"{parts.hostname} has no address ({error.strerror})", "enter the host's name in the DNS, or correct it"
        ) from error
    return f"{parts.hostname} is {found[0][4][0]}"
