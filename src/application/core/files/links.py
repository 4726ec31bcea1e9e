"""The port behind which short-lived links to files are signed."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from domain.core.kernel.ids import FileId

LINK_LIFE = timedelta(minutes=5)
"""How long a link works: enough to start a download, too short to be worth passing on."""


@dataclass(frozen=True, slots=True)
class SignedLink:
    """What a link carries beside the file's id: when it ends, in Unix seconds, and the proof."""

    expires: int
    signature: str


class FileLinks(Protocol):
    """Signs links to files. Promises (tests/contract/core/security.py):

    - a link works until LINK_LIFE after it was signed, and no longer;
    - a signature proves one file, one end and one deployment: nothing can be exchanged or extended;
    - `verify` answers False to whatever it is given, and never raises.
    """

    def sign(self, file_id: FileId, *, now: datetime) -> SignedLink:
        """Return a link to a file."""
        ...

    def verify(self, file_id: FileId, expires: int, signature: str, *, now: datetime) -> bool:
        """Tell whether the link was signed here for this file and has not ended."""
        ...
