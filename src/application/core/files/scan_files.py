"""Let the scanner look at what was received: ready when clean, quarantined when not.

- The scan runs outside any transaction; twice is once.
- A file that the scanner fails on is set aside for some minutes and does not stop the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from application.core.files.ports import FileQueries, FileScanner, FilesUnitOfWork
from application.core.files.storage import ObjectStorage
from application.core.kernel.ports import Clock
from domain.core.files.file import StoredFile
from domain.core.kernel.errors import NotFound, Unavailable

SET_ASIDE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFiles:
    unit_of_work: Callable[[], FilesUnitOfWork]
    queries: FileQueries
    storage: ObjectStorage
    scanner: FileScanner
    clock: Clock

    async def __call__(self, batch_max: int) -> int:
        """Scan waiting files and return how many were looked at. Raises DatabaseUnavailable."""
        files = await self.queries.to_scan(now=self.clock.now(), limit=batch_max)
        for file in files:
            try:
                is_clean = await self.scanner.is_clean(file, self.storage.open(file.key))
            except (Unavailable, NotFound):
                await self.queries.set_aside(file.id, until=self.clock.now() + SET_ASIDE)
            else:
                await self._settle(file, is_clean=is_clean)
        return len(files)

    async def _settle(self, scanned: StoredFile, *, is_clean: bool) -> None:
        async with self.unit_of_work() as uow:
            try:
                file = await uow.files.get(scanned.id)
            except NotFound:  # removed meanwhile
                return
            if file.settle(is_clean=is_clean):
                await uow.commit()
