"""One secret, many keys."""

import hashlib
import hmac

SECRET_BYTES_MIN = 32
"""A shorter secret can be guessed offline from a single signature."""


def derive_key(secret: bytes, purpose: str) -> bytes:
    """Return the 32-byte key of a purpose (HKDF-SHA256, one block), so that no key says anything about another.

    Raises ValueError when the secret is shorter than 32 bytes.
    """
    if len(secret) < SECRET_BYTES_MIN:
        raise ValueError(f"the secret has {len(secret)} bytes, at least {SECRET_BYTES_MIN} are needed")
    extracted = hmac.digest(b"soko", secret, hashlib.sha256)
    return hmac.digest(extracted, purpose.encode() + b"\x01", hashlib.sha256)
