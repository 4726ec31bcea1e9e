"""Links to files that can be read by eye."""

from datetime import datetime

from application.core.files.links import LINK_LIFE, SignedLink
from domain.core.kernel.ids import FileId


class PlainFileLinks:
    """Links that this instance has signed, and no others, until they end."""

    def __init__(self) -> None:
        self._signed: set[tuple[FileId, int, str]] = set()

    def sign(self, file_id: FileId, *, now: datetime) -> SignedLink:
        expires = int((now + LINK_LIFE).timestamp())
        signature = f"plain-{file_id}-{expires}"
        self._signed.add((file_id, expires, signature))
        return SignedLink(expires, signature)

    def verify(self, file_id: FileId, expires: int, signature: str, *, now: datetime) -> bool:
        return (file_id, expires, signature) in self._signed and now.timestamp() < expires
