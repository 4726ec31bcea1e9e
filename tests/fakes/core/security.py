"""Secrets without the cost of cryptography. They keep the promises of the ports and none of the strength."""

from datetime import datetime
from uuid import UUID

from application.core.identity.security import AccessClaims, SealBroken
from domain.core.kernel.errors import NotSignedIn


class PlainPasswordHasher:
    """Hashes that can be read. `hashes_computed` counts the work, so that a test can hold `one hash a call`."""

    def __init__(self, version: int = 1) -> None:
        self._version = version
        self.hashes_computed = 0

    async def hash(self, password: str) -> str:
        self.hashes_computed += 1
        return f"$plain$v={self._version}${self.hashes_computed}${password}"

    async def matches(self, password: str, hashed: str | None) -> bool:
        self.hashes_computed += 1
        if hashed is None:
            return False
        _, name, _, _, kept = hashed.split("$", 4)
        return name == "plain" and kept == password

    def is_outdated(self, hashed: str) -> bool:
        return int(hashed.split("$")[2].removeprefix("v=")) < self._version


class PlainCodeHasher:
    """Digests that can be read."""

    def digest(self, purpose: str, value: str) -> bytes:
        return f"{len(purpose)}:{purpose}:{value}".encode("utf-8", "surrogatepass")


class PlainAccessTokens:
    """Tokens that this instance has handed out, and no others, until they expire."""

    def __init__(self) -> None:
        self._issued: dict[str, AccessClaims] = {}

    def issue(self, claims: AccessClaims, *, token_id: UUID, issued_at: datetime) -> str:
        token = f"plain.{token_id}.{issued_at.timestamp():.0f}"
        self._issued[token] = claims
        return token

    def read(self, token: str, *, now: datetime) -> AccessClaims:
        claims = self._issued.get(token)
        if claims is None or claims.expires_at <= now:
            raise NotSignedIn
        return claims


class CountedPasswords:
    """Codes that anybody can compute: the number of the step, six digits long."""

    STEP_S = 30

    def step_of(self, secret: str, code: str, *, now: datetime) -> int | None:
        present = int(now.timestamp()) // self.STEP_S
        return next((step for step in (present + 1, present, present - 1) if self.code_of(step) == code), None)

    def address(self, secret: str, *, name: str) -> str:
        return f"otpauth://totp/Soko:{name}?secret={secret}"

    def code_of(self, step: int) -> str:
        return f"{step % 10**6:06d}"

    def code_at(self, now: datetime) -> str:
        """Return the code that an authenticator would show."""
        return self.code_of(int(now.timestamp()) // self.STEP_S)


class PlainSealer:
    """Seals that can be read, with the name of the key in front."""

    def __init__(self, key: str = "now", *, previous: str | None = None) -> None:
        self.mark = f"{key:>8}".encode()
        self._marks = {self.mark, *([f"{previous:>8}".encode()] if previous else [])}

    def seal(self, plain: bytes, *, owner: str) -> bytes:
        return self.mark + owner.encode() + b":" + plain

    def open(self, sealed: bytes, *, owner: str) -> bytes:
        mark, said = sealed[: len(self.mark)], sealed[len(self.mark) :]
        if mark not in self._marks or not said.startswith(owner.encode() + b":"):
            raise SealBroken(retry_after_s=1)
        return said.removeprefix(owner.encode() + b":")
