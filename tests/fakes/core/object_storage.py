"""Files in memory."""

import hashlib
from collections.abc import AsyncIterator
from datetime import datetime

from application.core.files.storage import StoredBytes, is_key
from application.core.kernel.ports import Clock
from domain.core.files.file import EmptyFile, FileTooLarge
from domain.core.kernel.errors import NotFound

CHUNK_BYTES = 64 * 1024
SIGNATURES = {b"%PDF-": "application/pdf", b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


class InMemoryObjectStorage:
    """Keeps whole files, each with the instant it was stored at. Knows the types of PDF, PNG, JPEG and plain text."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._objects: dict[str, tuple[bytes, datetime]] = {}

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, size_max: int) -> StoredBytes:
        if not is_key(key):
            raise ValueError(f"not a storage key: {key!r:.200}")
        received = bytearray()
        async for chunk in chunks:
            received += chunk
            if len(received) > size_max:
                raise FileTooLarge(limit=size_max)
        if not received:
            raise EmptyFile
        content = bytes(received)
        self._objects[key] = content, self._clock.now()
        return StoredBytes(len(content), hashlib.sha256(content).digest(), _content_type(content))

    async def open(self, key: str, *, start: int = 0) -> AsyncIterator[bytes]:
        if key not in self._objects:
            raise NotFound
        content, _ = self._objects[key]
        for at in range(start, len(content), CHUNK_BYTES):
            yield content[at : at + CHUNK_BYTES]

    async def adopt(self, source: str, key: str, *, size_max: int) -> StoredBytes:
        return await self.put(key, self.open(source), size_max=size_max)

    async def delete(self, key: str) -> None:
        self._objects.pop(key, None)

    async def keys(self, *, older_than: datetime) -> AsyncIterator[str]:
        for key, (_, stored_at) in list(self._objects.items()):
            if stored_at < older_than:
                yield key


def _content_type(content: bytes) -> str:
    for signature, content_type in SIGNATURES.items():
        if content.startswith(signature):
            return content_type
    try:
        content.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "application/octet-stream" if b"\0" in content else "text/plain"
