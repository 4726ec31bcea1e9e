"""Seal what must be read back: AES-256-GCM under keys derived from the server's secret."""

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from application.core.identity.security import SealBroken
from infrastructure.security.keys import derive_key

MARK_BYTES = 4
"""Tell which key has sealed; they prove nothing."""
NONCE_BYTES = 12
LOOK_AGAIN_S = 300


class AesGcmSealer:
    """Seals with the key of one secret, and opens what that key or the previous one has sealed.

    The owner's name is bound in, so that what was sealed for one account does not open in the row of another.
    """

    def __init__(self, secret: bytes, *, purpose: str, previous_secret: bytes | None = None) -> None:
        self._key = derive_key(secret, f"seal:{purpose}")
        self.mark = _mark_of(self._key)
        previous = () if previous_secret is None else (derive_key(previous_secret, f"seal:{purpose}"),)
        self._keys = {_mark_of(key): key for key in (*previous, self._key)}

    def seal(self, plain: bytes, *, owner: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return self.mark + nonce + AESGCM(self._key).encrypt(nonce, plain, owner.encode())

    def open(self, sealed: bytes, *, owner: str) -> bytes:
        key = self._keys.get(sealed[:MARK_BYTES])
        if key is None:
            raise SealBroken(retry_after_s=LOOK_AGAIN_S)
        nonce, hidden = sealed[MARK_BYTES : MARK_BYTES + NONCE_BYTES], sealed[MARK_BYTES + NONCE_BYTES :]
        try:
            return AESGCM(key).decrypt(nonce, hidden, owner.encode())
        except (InvalidTag, ValueError) as error:
            raise SealBroken(retry_after_s=LOOK_AGAIN_S) from error


def _mark_of(key: bytes) -> bytes:
    return hmac.digest(key, b"mark", hashlib.sha256)[:MARK_BYTES]
