"""Everything outside that the use cases need, in one place: real ones for the server, fakes for tests."""

from dataclasses import dataclass

from application.core.identity.authenticate import Revocations
from application.core.identity.security import AccessTokens, CodeHasher, PasswordHasher
from application.core.kernel.ports import Clock, IdSource, Policies, Randomness


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    clock: Clock
    ids: IdSource
    randomness: Randomness
    policies: Policies
    passwords: PasswordHasher
    codes: CodeHasher
    access_tokens: AccessTokens
    revocations: Revocations
