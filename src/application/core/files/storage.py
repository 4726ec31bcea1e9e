"""The port behind which files are kept, and the one that looks at their content."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

KEY_LENGTH_MAX = 900
"""Characters; S3 stops at 1,024 bytes."""

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}(?:/[A-Za-z0-9_][A-Za-z0-9._-]{0,199}){0,15}")


def is_key(text: str) -> bool:
    """Tell whether a text can be a key: segments of letters, digits, `.`, `_` and `-`, none starting with a point."""
    return len(text) <= KEY_LENGTH_MAX and _KEY.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """What was really received: its size in bytes, its SHA-256 and the type its content shows."""

    size: int
    sha256: bytes
    content_type: str


class ObjectStorage(Protocol):
    """Keeps bytes under a key. Promises (tests/contract/core/object_storage.py):

    - `put` streams: memory does not grow with the file; it stops reading at `size_max` + 64 KiB, raises FileTooLarge
      and leaves nothing behind, and so does any error of the source;
    - a key is readable only after `put` has returned, and then whole, also after a crash;
    - keys cannot leave the store, whatever they contain: for what `is_key` refuses, `put` raises ValueError and nothing
      is ever there;
    - `delete` of what is not there is no error; `open` of what is not there raises NotFound;
    - `adopt` describes the bytes that stand under the new key: whatever is done to the old one meanwhile or after,
      the new one keeps what was described. What is refused leaves nothing under the new key.
    """

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, size_max: int) -> StoredBytes:
        """Store a file. Raises FileTooLarge, EmptyFile."""
        ...

    def open(self, key: str, *, start: int = 0) -> AsyncIterator[bytes]:
        """Yield the bytes of a file from `start`, in chunks of at most 64 KiB. Raises NotFound."""
        ...

    async def adopt(self, source: str, key: str, *, size_max: int) -> StoredBytes:
        """Copy what a client stored under `source` to a key of ours. Raises NotFound, FileTooLarge, EmptyFile."""
        ...

    async def delete(self, key: str) -> None:
        """Remove a file."""
        ...

    def keys(self, *, older_than: datetime) -> AsyncIterator[str]:
        """Yield the keys stored before an instant, for the sweep of orphans."""
        ...
