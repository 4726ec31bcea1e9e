"""The ports behind which secrets are made, hashed and signed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.core.kernel.ids import AccountId


class PasswordHasher(Protocol):
    """Hashes passwords. Promises: Argon2id; off the event loop, a few at once; one hash a call, also for a decoy."""

    async def hash(self, password: str) -> str:
        """Return a salted hash that carries its own parameters."""
        ...

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Tell whether the password belongs to the hash; with None compute one hash all the same and answer False."""
        ...

    def is_outdated(self, hashed: str) -> bool:
        """Tell whether the hash was made with weaker parameters than today's."""
        ...


class CodeHasher(Protocol):
    """Hashes short codes and link tokens. Promises: keyed (HMAC-SHA256 with a key derived from the secret), so that a
    stolen table of hashes of six digits is worth nothing.
    """

    def digest(self, purpose: str, value: str) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessClaims:
    """What an access token says. `family` is the sign-in it belongs to; `epoch` the account's count of revocations."""

    account_id: AccountId
    family_id: UUID
    epoch: int
    roles: frozenset[str]
    expires_at: datetime


class AccessTokens(Protocol):
    """Signs and reads access tokens. Promises: one fixed algorithm; aud, iss, exp, iat, jti and sub are required."""

    def issue(self, claims: AccessClaims, *, token_id: UUID, issued_at: datetime) -> str:
        """Return a signed JWT."""
        ...

    def read(self, token: str, *, now: datetime) -> AccessClaims:
        """Return what a valid token says. Raises NotSignedIn."""
        ...
