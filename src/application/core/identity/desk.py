"""Make and read what a person is handed: access and refresh tokens, codes and link tokens.

Refresh tokens, codes and link tokens are keyed functions of the row they belong to. Nothing that could be stolen from
the tables opens anything, and a handler that runs later can write the same code into its mail.
"""

import binascii
import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from application.core.identity.security import AccessClaims, AccessTokens, CodeHasher
from application.core.kernel.ports import IdSource, Policies
from application.core.kernel.request_context import current_request
from domain.core.identity import policies as rules
from domain.core.identity.account import Account
from domain.core.identity.codes import CodeInvalid, CodePurpose, OneTimeCode
from domain.core.identity.second_factor import CHALLENGE_LIFE, ChallengeInvalid
from domain.core.identity.sign_ins import Refresh, SignIn
from domain.core.kernel.ids import AccountId

_ID_BYTES, _GENERATION_BYTES, _PROOF_BYTES, _LINK_PROOF_BYTES = 16, 4, 32, 20
_TIME_BYTES = 8
REFRESH_LENGTH = 70
CHALLENGE_LENGTH = 80
LINK_LENGTH = 48
CODE_DIGITS = 6


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a sign-in hands out."""

    access: str
    refresh: str


@dataclass(frozen=True, slots=True)
class Challenge:
    """Who has sent the right password, in which epoch of his account; he owes a code yet."""

    account_id: AccountId
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenDesk:
    """Makes and reads the tokens of a sign-in."""

    access_tokens: AccessTokens
    hasher: CodeHasher
    ids: IdSource
    policies: Policies

    def start(self, account_id: AccountId, *, now: datetime, proved_at: datetime | None = None) -> SignIn:
        """Return a new sign-in of the device that sends this request."""
        request = current_request()
        return SignIn.start(
            self.ids.new(),
            account_id,
            now=now,
            refresh_life=timedelta(days=self.policies.value(rules.REFRESH_LIFE)),
            sign_in_life=timedelta(days=self.policies.value(rules.SIGN_IN_LIFE)),
            user_agent=request.user_agent,
            ip=request.ip,
            proved_at=proved_at,
        )

    def refresh(self, sign_in: SignIn, generation: int, *, now: datetime) -> Refresh:
        """Use a refresh token by the settings in force."""
        return sign_in.refresh(
            generation,
            now=now,
            life=timedelta(days=self.policies.value(rules.REFRESH_LIFE)),
            grace=timedelta(seconds=self.policies.value(rules.REFRESH_GRACE)),
        )

    def pair(self, account: Account, sign_in: SignIn, *, now: datetime) -> TokenPair:
        """Return a fresh access token and the live refresh token."""
        claims = AccessClaims(
            account_id=account.id,
            family_id=sign_in.id,
            epoch=account.epoch,
            roles=account.active_roles,
            expires_at=now + timedelta(minutes=self.policies.value(rules.ACCESS_LIFE)),
            proved_at=sign_in.proved_at,
        )
        return TokenPair(
            self.access_tokens.issue(claims, token_id=self.ids.new(), issued_at=now),
            self._refresh_token(sign_in.id, sign_in.generation),
        )

    def challenge(self, account: Account, *, now: datetime) -> str:
        """Return what stands for the right password until the code is sent; no access token, and good for nothing else.

        Whatever ends the account's access tokens ends it as well, since it names the epoch.
        """
        ends_at = int((now + CHALLENGE_LIFE).timestamp())
        named = account.id.bytes + account.epoch.to_bytes(_GENERATION_BYTES) + ends_at.to_bytes(_TIME_BYTES)
        return _encoded(named + self._challenge_proof(named))

    def read_challenge(self, token: str, *, now: datetime) -> Challenge:
        """Return what a challenge of ours says. Raises ChallengeInvalid."""
        raw = _decoded(token, CHALLENGE_LENGTH)
        if raw is None:
            raise ChallengeInvalid
        named, proof = raw[:-_PROOF_BYTES], raw[-_PROOF_BYTES:]
        ends_at = int.from_bytes(named[-_TIME_BYTES:])
        if not hmac.compare_digest(self._challenge_proof(named), proof) or now.timestamp() >= ends_at:
            raise ChallengeInvalid
        epoch = int.from_bytes(named[_ID_BYTES:-_TIME_BYTES])
        return Challenge(AccountId(UUID(bytes=named[:_ID_BYTES])), epoch)

    def _challenge_proof(self, named: bytes) -> bytes:
        return _proof(self.hasher, "challenge", named.hex())

    def read_refresh(self, token: str) -> tuple[UUID, int] | None:
        """Return the family and the generation of a refresh token of ours, or None for any other text."""
        raw = _decoded(token, REFRESH_LENGTH)
        if raw is None:
            return None
        family_id = UUID(bytes=raw[:_ID_BYTES])
        generation = int.from_bytes(raw[_ID_BYTES : _ID_BYTES + _GENERATION_BYTES])
        is_ours = hmac.compare_digest(token.encode(), self._refresh_token(family_id, generation).encode())
        return (family_id, generation) if is_ours else None

    def _refresh_token(self, family_id: UUID, generation: int) -> str:
        number = generation.to_bytes(_GENERATION_BYTES)
        proof = _proof(self.hasher, "refresh", f"{family_id}:{generation}")[:_PROOF_BYTES]
        return _encoded(family_id.bytes + number + proof)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeDesk:
    """Makes and reads codes."""

    hasher: CodeHasher
    ids: IdSource
    policies: Policies

    def make(
        self,
        account_id: AccountId | None,
        purpose: CodePurpose,
        address: str,
        *,
        now: datetime,
        is_tutoring: bool = False,
    ) -> OneTimeCode:
        """Return a new code; the mails of tutoring live shorter."""
        if is_tutoring:
            life = timedelta(minutes=self.policies.value(rules.TUTORING_MAIL_LIFE))
        elif purpose is CodePurpose.RESET:
            life = timedelta(hours=self.policies.value(rules.RESET_LIFE))
        else:
            life = timedelta(hours=self.policies.value(rules.VERIFY_LIFE))
        return OneTimeCode(
            id=self.ids.new(),
            account_id=account_id,
            purpose=purpose,
            address=address,
            created_at=now,
            expires_at=now + life,
        )

    def digits(self, code: OneTimeCode) -> str:
        """Return the six digits of a code."""
        number = int.from_bytes(_proof(self.hasher, f"digits:{code.purpose}", _bound(code)))
        return f"{number % 10**CODE_DIGITS:0{CODE_DIGITS}d}"

    def link_token(self, code: OneTimeCode) -> str:
        """Return the 48 characters that a link carries."""
        proof = _proof(self.hasher, f"link:{code.purpose}", _bound(code))[:_LINK_PROOF_BYTES]
        return _encoded(code.id.bytes + proof)

    def named_by(self, token: str) -> UUID:
        """Return the id of the code that a link token names; it proves nothing yet. Raises CodeInvalid."""
        raw = _decoded(token, LINK_LENGTH)
        if raw is None:
            raise CodeInvalid
        return UUID(bytes=raw[:_ID_BYTES])

    def has_digits(self, code: OneTimeCode, digits: str) -> bool:
        """Tell, at the same cost for every input, whether these are the digits."""
        return hmac.compare_digest(self.digits(code).encode(), digits.strip().encode("utf-8", "surrogatepass"))

    def has_link_token(self, code: OneTimeCode, token: str) -> bool:
        """Tell whether this is the link token."""
        return hmac.compare_digest(self.link_token(code).encode(), token.encode("utf-8", "surrogatepass"))


def _bound(code: OneTimeCode) -> str:
    return f"{code.id}:{code.account_id}:{code.address}"


def _proof(hasher: CodeHasher, purpose: str, value: str) -> bytes:
    # hashed once more to a fixed length, whatever length the port's digests have
    return hashlib.sha256(hasher.digest(purpose, value)).digest()


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str, length: int) -> bytes | None:
    """Return the bytes of a token of this length, or None for anything else, another spelling of it included."""
    if len(text) != length or not text.isascii():
        return None
    try:
        raw = urlsafe_b64decode(text + "=" * (-length % 4))
    except (ValueError, binascii.Error):
        return None
    return raw if _encoded(raw) == text else None
