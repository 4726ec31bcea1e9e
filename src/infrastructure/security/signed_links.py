"""Links to files, signed with HMAC-SHA256."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from datetime import datetime

from application.core.files.links import LINK_LIFE, SignedLink
from domain.core.kernel.ids import FileId
from infrastructure.security.keys import derive_key

_END_MAX = 1 << 63
"""A number with thousands of digits is not written out to be signed."""


class HmacFileLinks:
    """Signs file links. `audience` is the deployment they are good for, such as its public address."""

    def __init__(self, secret: bytes, *, audience: str) -> None:
        self._key = derive_key(secret, f"file-links:{audience}")

    def sign(self, file_id: FileId, *, now: datetime) -> SignedLink:
        expires = int((now + LINK_LIFE).timestamp())
        return SignedLink(expires, self._signature(file_id, expires))

    def verify(self, file_id: FileId, expires: int, signature: str, *, now: datetime) -> bool:
        if not int(now.timestamp()) < expires < _END_MAX:
            return False
        sent = signature.encode("utf-8", "surrogatepass")  # comparing bytes: text outside ASCII would raise
        return hmac.compare_digest(self._signature(file_id, expires).encode(), sent)

    def _signature(self, file_id: FileId, expires: int) -> str:
        message = b"%s:%d" % (file_id.bytes, expires)
        return urlsafe_b64encode(hmac.digest(self._key, message, hashlib.sha256)).rstrip(b"=").decode()
