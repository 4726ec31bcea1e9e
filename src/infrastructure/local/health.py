"""How the local disk is."""

import asyncio
from pathlib import Path


class FolderCheck:
    """Whether files can be stored on the local disk."""

    name = "storage"
    is_needed = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def check(self) -> str:
        await asyncio.to_thread(self._write)
        return "writable"

    def _write(self) -> None:
        probe = self._folder / ".probe"
        probe.write_bytes(b"")
        probe.unlink(missing_ok=True)
