"""Open a stored file.

- Whoever holds a signed link may, until it ends; so may whoever may see what the file belongs to, and administrators.
- For everybody else it does not exist; who is not signed in is asked to sign in, whether it exists or not.
- Only a file that is ready is served (files.scanned_before_shown).
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from application.core.files.links import LINK_LIFE, FileLinks, SignedLink
from application.core.files.ports import FilePurposes, FileQueries
from application.core.files.storage import ObjectStorage
from application.core.files.transfers import DirectTransfers
from application.core.identity.authenticate import Caller
from application.core.kernel.ports import Clock
from domain.core.files.file import StoredFile
from domain.core.kernel.errors import NotFound, NotSignedIn
from domain.core.kernel.ids import FileId


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFile:
    queries: FileQueries
    purposes: FilePurposes
    links: FileLinks
    storage: ObjectStorage
    clock: Clock

    async def __call__(self, file_id: FileId, *, caller: Caller | None, link: SignedLink | None) -> StoredFile:
        """Return the file if it may be opened. Raises NotFound, NotSignedIn, FileNotReady."""
        has_link = link is not None and self.links.verify(file_id, link.expires, link.signature, now=self.clock.now())
        file = await self.queries.find(file_id)
        if not has_link and not (file is not None and await self._may_see(file, caller)):
            raise NotFound if caller is not None else NotSignedIn
        if file is None:  # it was removed after the link was signed
            raise NotFound
        file.require_ready()
        return file

    def read(self, file: StoredFile, *, start: int = 0) -> AsyncIterator[bytes]:
        """Yield the bytes of a file that was opened, from `start`. Raises NotFound, Unavailable."""
        return self.storage.open(file.key, start=start)

    async def _may_see(self, file: StoredFile, caller: Caller | None) -> bool:
        purpose = self.purposes.named(file.purpose)
        if purpose is not None and purpose.is_public:
            return True
        if caller is None:
            return False
        return caller.is_admin or (purpose is not None and await purpose.subject.may_see(file, caller))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignFile:
    """Signs links to files. Whoever calls it has made sure that the link goes to somebody who may open the file."""

    links: FileLinks
    clock: Clock

    def __call__(self, file_id: FileId) -> SignedLink:
        """Return a link that works for five minutes."""
        return self.links.sign(file_id, now=self.clock.now())


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkToFile:
    """Tells whoever may open a file where to fetch its bytes himself."""

    open_file: OpenFile
    transfers: DirectTransfers
    clock: Clock

    async def __call__(self, file_id: FileId, *, caller: Caller | None) -> tuple[str, datetime]:
        """Return an address, and when it ends. Raises NotFound, NotSignedIn, FileNotReady, Unavailable."""
        file = await self.open_file(file_id, caller=caller, link=None)
        now = self.clock.now()
        return await self.transfers.download_address(file, now=now), now + LINK_LIFE
