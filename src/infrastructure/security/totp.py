"""Codes of an authenticator, as RFC 6238 computes them."""

import hmac
from base64 import b32decode
from datetime import datetime
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.hotp import HOTP

STEP_S = 30
DIGITS = 6
NEIGHBOURS = 1
"""Steps before and after the present one whose codes are accepted: clocks differ, and typing takes time."""


class Rfc6238Passwords:
    """One-time passwords as every authenticator makes them: HMAC-SHA-1, six digits, steps of 30 s."""

    def __init__(self, *, issuer: str) -> None:
        self._issuer = issuer

    def step_of(self, secret: str, code: str, *, now: datetime) -> int | None:
        present = int(now.timestamp()) // STEP_S
        # SHA-1 is what authenticators compute; as a keyed hash it has not been broken
        codes = HOTP(b32decode(secret), DIGITS, SHA1())  # noqa: S303
        sent = code.encode("utf-8", "surrogatepass")
        found: int | None = None
        for step in range(present - NEIGHBOURS, present + NEIGHBOURS + 1):
            if hmac.compare_digest(codes.generate(step), sent):
                found = step
        return found

    def address(self, secret: str, *, name: str) -> str:
        label = quote(f"{self._issuer}:{name}", safe=":")
        said = {"secret": secret, "issuer": self._issuer, "algorithm": "SHA1", "digits": DIGITS, "period": STEP_S}
        return f"otpauth://totp/{label}?{urlencode(said, quote_via=quote)}"
