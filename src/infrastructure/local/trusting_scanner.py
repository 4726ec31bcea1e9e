"""The scanner of a deployment that has none: every file passes."""

from collections.abc import AsyncIterator

from domain.core.files.file import StoredFile


class TrustingScanner:
    """Passes every file at once."""

    @property
    def passes_at_once(self) -> bool:
        return True

    async def is_clean(self, file: StoredFile, chunks: AsyncIterator[bytes]) -> bool:
        return True
