"""The ports behind which secrets are made, hashed and signed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.core.kernel.errors import Unavailable
from domain.core.kernel.ids import AccountId


class PasswordHasher(Protocol):
    """Hashes passwords. Promises: Argon2id; off the event loop, a few at once; one hash a call, also for a decoy. One
    takes long, and anybody may ask for it: when too many wait already, the next is refused before anything is done.
    """

    async def hash(self, password: str) -> str:
        """Return a salted hash that carries its own parameters. Raises Unavailable."""
        ...

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Tell whether the password belongs to the hash; with None compute one hash all the same and answer False.

        Raises Unavailable.
        """
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
    proved_at: datetime | None = None
    """When the session last proved the second factor; None without one."""


class AccessTokens(Protocol):
    """Signs and reads access tokens. Promises: one fixed algorithm; aud, iss, exp, iat, jti and sub are required."""

    def issue(self, claims: AccessClaims, *, token_id: UUID, issued_at: datetime) -> str:
        """Return a signed JWT."""
        ...

    def read(self, token: str, *, now: datetime) -> AccessClaims:
        """Return what a valid token says. Raises NotSignedIn."""
        ...


class OneTimePasswords(Protocol):
    """Codes of an authenticator. Promises: RFC 6238 with HMAC-SHA-1, six digits and steps of 30 s, which every
    authenticator knows; comparing takes the same time for every code.
    """

    def step_of(self, secret: str, code: str, *, now: datetime) -> int | None:
        """Return the step of time whose code this is: the present one or a neighbour, the newest that fits."""
        ...

    def address(self, secret: str, *, name: str) -> str:
        """Return the `otpauth:` address that an authenticator reads; `name` is shown there."""
        ...


class SealBroken(Unavailable):
    """The second factor cannot be read with the server's key; whoever runs the server has to look into it."""

    code = "identity.second_factor_unreadable"


class Sealer(Protocol):
    """Seals what must be read back. Promises: without the server's secret nobody reads it, changes it, or uses it for
    another owner; what was sealed with the previous secret is opened too.
    """

    @property
    def mark(self) -> bytes:
        """How everything begins that is sealed with the present secret."""
        ...

    def seal(self, plain: bytes, *, owner: str) -> bytes: ...

    def open(self, sealed: bytes, *, owner: str) -> bytes:
        """Return what was sealed. Raises SealBroken."""
        ...
