"""Access tokens as signed JWTs, read strictly.

The server writes exactly one header, so a token whose first part is not that header, byte for byte, is refused before
anything in it is parsed. That leaves no room for another `alg` or `typ`, for `crit`, `kid`, `jku` or `x5u`, or for a
name said twice.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jwt.algorithms import Algorithm, HMACAlgorithm, OKPAlgorithm
from jwt.exceptions import InvalidKeyError

from application.core.identity.security import AccessClaims
from domain.core.kernel.errors import NotSignedIn
from domain.core.kernel.ids import AccountId
from infrastructure.security.keys import SECRET_BYTES_MIN

SigningAlgorithm = Literal["HS256", "EdDSA"]

TOKEN_LENGTH_MAX = 4096
"""Characters. Ours have some 450; a longer one is not decoded at all."""
ISSUED_AHEAD_MAX_S = 30
"""Seconds by which another server's clock may run ahead of ours."""
REMEMBERED_MAX = 4096
"""Verified tokens kept in memory, some 1 KiB each: one of them is read in 1 us, not in 50 (HS256) or 285 (EdDSA)."""

_STRINGS = ("sub", "aud", "iss", "jti", "fam")
_INTEGERS = ("exp", "iat", "ver")


class JwtAccessTokens:
    """Signs access tokens with one key and one algorithm, and reads those signed with it or with the previous key.

    `key` is text of at least 32 bytes (HS256) or an Ed25519 private key in PEM (EdDSA); `previous_key` is the one that
    was in use before a rotation (for EdDSA its public half is enough). To be used from one thread, the event loop's.
    Raises ValueError for a key that does not fit the algorithm.
    """

    def __init__(
        self,
        *,
        algorithm: SigningAlgorithm,
        key: str,
        issuer: str,
        audience: str,
        previous_key: str | None = None,
        remembered_max: int = REMEMBERED_MAX,
    ) -> None:
        self._algorithm: Algorithm = HMACAlgorithm(HMACAlgorithm.SHA256) if algorithm == "HS256" else OKPAlgorithm()
        self._signing_key = self._prepared(key)
        if algorithm == "EdDSA" and not isinstance(self._signing_key, Ed25519PrivateKey):
            raise ValueError("EdDSA needs an Ed25519 private key to sign with")
        self._reading_keys: Sequence[Any] = [
            self._signing_key,
            *([self._prepared(previous_key)] if previous_key else ()),
        ]
        self._header = _encoded(_json({"alg": algorithm, "typ": "JWT"}))
        self._issuer = issuer
        self._audience = audience
        self._remembered: dict[str, tuple[AccessClaims, int]] = {}
        self._remembered_max = remembered_max

    def issue(self, claims: AccessClaims, *, token_id: UUID, issued_at: datetime) -> str:
        payload: dict[str, object] = {
            "sub": str(claims.account_id),
            "aud": self._audience,
            "iss": self._issuer,
            "exp": int(claims.expires_at.timestamp()),
            "iat": int(issued_at.timestamp()),
            "jti": str(token_id),
            "fam": str(claims.family_id),
            "ver": claims.epoch,
            "roles": sorted(claims.roles),
        }
        if claims.proved_at is not None:
            payload["mfa"] = int(claims.proved_at.timestamp())
        signed = f"{self._header}.{_encoded(_json(payload))}"
        return f"{signed}.{_encoded(self._algorithm.sign(signed.encode(), self._signing_key))}"

    def read(self, token: str, *, now: datetime) -> AccessClaims:
        remembered = self._remembered.get(token)
        if remembered is None:
            remembered = self._verified(token)
        claims, valid_from = remembered
        if claims.expires_at <= now or valid_from > now.timestamp() + ISSUED_AHEAD_MAX_S:
            self._remembered.pop(token, None)
            raise NotSignedIn
        return claims

    def _verified(self, token: str) -> tuple[AccessClaims, int]:
        """Return what a token with a right signature says, and the instant from which on it may be used."""
        if len(token) > TOKEN_LENGTH_MAX or not token.isascii():
            raise NotSignedIn
        signed, _, signature = token.rpartition(".")
        header, _, payload = signed.partition(".")
        if header != self._header or not self._is_ours(signed.encode(), signature):
            raise NotSignedIn
        try:
            said = _checked(json.loads(_decoded(payload), object_pairs_hook=_without_repetition))
            if said["iss"] != self._issuer or said["aud"] != self._audience:
                raise NotSignedIn
            claims = AccessClaims(
                account_id=AccountId(UUID(said["sub"])),
                family_id=UUID(said["fam"]),
                epoch=said["ver"],
                roles=frozenset(said["roles"]),
                expires_at=datetime.fromtimestamp(said["exp"], UTC),
                proved_at=datetime.fromtimestamp(said["mfa"], UTC) if "mfa" in said else None,
            )
            UUID(said["jti"])
        except (ValueError, OverflowError, OSError, RecursionError) as error:
            raise NotSignedIn from error
        while len(self._remembered) >= self._remembered_max > 0:
            del self._remembered[next(iter(self._remembered))]
        verified = claims, max(said["iat"], said.get("nbf", 0))
        if self._remembered_max > 0:
            self._remembered[token] = verified
        return verified

    def _is_ours(self, signed: bytes, signature: str) -> bool:
        try:
            sent = _decoded(signature)
        except ValueError:
            return False
        if _encoded(sent) != signature:  # another spelling of the same bytes would be a second token
            return False
        return any(self._algorithm.verify(signed, key, sent) for key in self._reading_keys)

    def _prepared(self, key: str) -> Any:
        try:
            prepared = self._algorithm.prepare_key(key)
        except InvalidKeyError as error:
            raise ValueError(f"not a key for this algorithm: {error}") from error
        if isinstance(prepared, bytes):
            if len(prepared) < SECRET_BYTES_MIN:
                raise ValueError(f"the signing key has {len(prepared)} bytes, at least {SECRET_BYTES_MIN} are needed")
        elif not isinstance(prepared, Ed25519PrivateKey | Ed25519PublicKey):
            raise ValueError("EdDSA is used with Ed25519 keys only")
        return prepared


def _checked(said: Any) -> dict[str, Any]:
    """Return the claims if each has the type we write, or raise ValueError. An unknown claim is let be."""
    if type(said) is not dict:
        raise ValueError("not an object")
    if not all(type(said.get(name)) is str for name in _STRINGS):
        raise ValueError("a text claim is missing or of another type")
    if not all(type(said.get(name)) is int for name in _INTEGERS) or type(said.get("nbf", 0)) is not int:
        raise ValueError("a number claim is missing or of another type")
    if type(said.get("mfa", 0)) is not int:
        raise ValueError("the time of the second factor is no number")
    roles = said.get("roles")
    if type(roles) is not list or not all(type(role) is str for role in roles):
        raise ValueError("roles are not a list of texts")
    return said


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) != len(pairs):
        raise ValueError("a claim is said twice")
    return named


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    """Return the bytes of unpadded base64url. Raises ValueError."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
