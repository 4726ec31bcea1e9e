"""Make and check what a second factor needs: secrets, recovery codes and the codes that are sent."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from application.core.identity.network_limits import FAILURE_WINDOW
from application.core.identity.ports import AttemptCounter
from application.core.identity.security import CodeHasher, OneTimePasswords, Sealer
from application.core.kernel.ports import Clock, Policies, Randomness
from domain.core.identity.policies import SECOND_FACTOR_FAILURES
from domain.core.identity.second_factor import RECOVERY_CODES, SecondFactor, SecondFactorInvalid
from domain.core.kernel.errors import DomainError
from domain.core.kernel.ids import AccountId

SECRET_LENGTH = 32
"""Characters of 32 kinds: 160 bits, as RFC 4226 recommends."""
SECRET_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"  # noqa: S105 - what base32 is written with
RECOVERY_LENGTH = 10
"""Characters of 31 kinds: 49 bits, shown in two halves."""
RECOVERY_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""Without what looks alike: 0 and o, 1, i and l."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactorDesk:
    sealer: Sealer
    one_time_passwords: OneTimePasswords
    attempts: AttemptCounter
    hasher: CodeHasher
    randomness: Randomness
    policies: Policies
    clock: Clock

    def make_secret(self, account_id: AccountId) -> tuple[str, bytes]:
        """Return a new secret in base32, and sealed."""
        secret = self.randomness.letters(SECRET_LENGTH, SECRET_ALPHABET)
        return secret, self.sealer.seal(secret.encode(), owner=str(account_id))

    def make_recovery_codes(self, factor: SecondFactor) -> tuple[Sequence[str], Sequence[bytes]]:
        """Return new recovery codes, and their digests to be kept."""
        secret = self._secret(factor)
        codes = [self.randomness.letters(RECOVERY_LENGTH, RECOVERY_ALPHABET) for _ in range(RECOVERY_CODES)]
        half = RECOVERY_LENGTH // 2
        return [f"{code[:half]}-{code[half:]}" for code in codes], [_recovery_digest(secret, code) for code in codes]

    def step_of(self, factor: SecondFactor, code: str) -> int | None:
        """Return the step of time whose code was sent. Raises SealBroken."""
        return self.one_time_passwords.step_of(self._secret(factor), _folded(code), now=self.clock.now())

    def prove(self, factor: SecondFactor, code: str) -> None:
        """Use up a code of the authenticator or a recovery code.

        Raises SecondFactorIsOff, SecondFactorInvalid, SealBroken.
        """
        factor.prove(self.step_of(factor, code), _recovery_digest(self._secret(factor), _folded(code)))

    @asynccontextmanager
    async def guess(self, account_id: AccountId) -> AsyncIterator[None]:
        """Count a try before it is evaluated, and give it back unless the code was wrong. Raises TooManyAttempts.

        All tries of an account are counted together, so of any number that arrive at once no more than the limit are
        evaluated, and whoever locks the owner out does it for one window of 15 min.
        """
        key = self.hasher.digest("second_factor_failures", str(account_id))
        limit = self.policies.value(SECOND_FACTOR_FAILURES)
        await self.attempts.take(key, limit=limit, window=FAILURE_WINDOW, now=self.clock.now())
        try:
            yield
        except SecondFactorInvalid:
            raise
        except DomainError:
            await self.attempts.give_back(key, now=self.clock.now())
            raise
        await self.attempts.give_back(key, now=self.clock.now())

    def _secret(self, factor: SecondFactor) -> str:
        return self.sealer.open(factor.sealed_secret, owner=str(factor.account_id)).decode()


def _recovery_digest(secret: str, code: str) -> bytes:
    # keyed with the sealed secret: a stolen table says nothing, and sealing it anew under another key changes nothing
    return hmac.digest(secret.encode(), b"recovery:" + code.encode("utf-8", "surrogatepass"), hashlib.sha256)


def _folded(code: str) -> str:
    """Return a code as it is compared: people type spaces, hyphens and capitals."""
    return code.replace(" ", "").replace("-", "").lower()
