"""Remove stored bytes that no row claims.

- Only what is older than a day: a request that is still running claims what it stored long before that. It runs every
  six hours, so an orphan lives for thirty hours at most while workers run.
- Left over are bytes of requests that failed or crashed, and those of removed files (files.no_orphans).
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

from application.core.files.ports import FileQueries
from application.core.files.storage import ObjectStorage
from application.core.kernel.ports import Clock

ORPHAN_AGE = timedelta(hours=24)

CHECKED_AT_ONCE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanOrphans:
    queries: FileQueries
    storage: ObjectStorage
    clock: Clock

    async def __call__(self, batch_max: int) -> int:
        """Remove up to `batch_max` orphans and return how many. Raises Unavailable."""
        removed = 0
        async for keys in self._old_keys():
            claimed = await self.queries.claimed(keys)
            for key in keys:
                if key in claimed:
                    continue
                await self.storage.delete(key)
                removed += 1
                if removed == batch_max:
                    return removed
        return removed

    async def _old_keys(self) -> AsyncIterator[list[str]]:
        keys: list[str] = []
        async for key in self.storage.keys(older_than=self.clock.now() - ORPHAN_AGE):
            keys.append(key)
            if len(keys) == CHECKED_AT_ONCE:
                yield keys
                keys = []
        if keys:
            yield keys
