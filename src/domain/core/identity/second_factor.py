"""A second factor: codes of an authenticator (RFC 6238), and ten recovery codes for whoever has lost it.

What is stored opens nothing by itself: the shared secret is sealed, and of recovery codes only keyed hashes are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.core.identity.events import IdentityEvent, SecondFactorTurnedOff, SecondFactorTurnedOn
from domain.core.identity.roles import Role
from domain.core.kernel.errors import Conflict, Forbidden, Invalid, NotSignedIn
from domain.core.kernel.ids import AccountId

ENROLLMENT_LIFE = timedelta(minutes=15)
"""A secret that was shown and not confirmed is forgotten after this."""
CHALLENGE_LIFE = timedelta(minutes=5)
"""How long after the password the code may come."""
RECOVERY_CODES = 10
NO_STEP = -1
"""Before every step of time."""


class SecondFactorIsOn(Conflict):
    """The second factor is on already; turn it off first to use another authenticator."""

    code = "identity.second_factor_on"


class SecondFactorIsOff(Conflict):
    """The second factor is not on."""

    code = "identity.second_factor_off"


class NothingToConfirm(Conflict):
    """No authenticator waits to be confirmed; begin again."""

    code = "identity.second_factor_not_begun"


class SecondFactorInvalid(Invalid):
    """This code is not valid now; wait for the next one, or use a recovery code."""

    code = "identity.second_factor_invalid"


class SecondFactorNeeded(NotSignedIn):
    """Send a code of your authenticator, or a recovery code, with this challenge."""

    code = "identity.second_factor_needed"


class ChallengeInvalid(NotSignedIn):
    """This challenge is not valid any more; begin with the password again."""

    code = "identity.challenge_invalid"


class SecondFactorRequired(Forbidden):
    """Administrators need a second factor here; turn it on, or prove it for this session."""

    code = "identity.second_factor_required"


class StepUpRequired(Forbidden):
    """This needs a fresh proof of your second factor."""

    code = "identity.step_up_required"


@dataclass(slots=True, kw_only=True)
class SecondFactor:
    """The second factor of an account: begun when the secret was shown, on when a code of it was sent."""

    account_id: AccountId
    sealed_secret: bytes
    begun_at: datetime
    confirmed_at: datetime | None = None
    last_step: int = NO_STEP
    """The newest step of time whose code was accepted; no code of it or of an older one is accepted again."""
    recovery_digests: tuple[bytes, ...] = ()
    """One for each recovery code that was not used."""

    @property
    def is_on(self) -> bool:
        """Whether signing in needs it."""
        return self.confirmed_at is not None

    def begin(self, sealed_secret: bytes, *, now: datetime) -> None:
        """Take another secret in the place of one that was not confirmed. Raises SecondFactorIsOn."""
        if self.is_on:
            raise SecondFactorIsOn
        self.sealed_secret, self.begun_at, self.last_step = sealed_secret, now, NO_STEP

    def check_can_be_confirmed(self, *, now: datetime) -> None:
        """Raise SecondFactorIsOn, or NothingToConfirm when the secret was shown too long ago."""
        if self.is_on:
            raise SecondFactorIsOn
        if now >= self.begun_at + ENROLLMENT_LIFE:
            raise NothingToConfirm

    def confirm(self, step: int | None, digests: Sequence[bytes], *, now: datetime) -> Sequence[IdentityEvent]:
        """Turn it on with the step of a code, or None for a wrong code.

        Raises SecondFactorIsOn, NothingToConfirm, SecondFactorInvalid.
        """
        self.check_can_be_confirmed(now=now)
        self._use_step(step)
        self.confirmed_at, self.recovery_digests = now, tuple(digests)
        return (SecondFactorTurnedOn(account_id=self.account_id),)

    def prove(self, step: int | None, digest: bytes) -> None:
        """Use a code up: the step of time it belongs to, else the recovery code with this digest.

        Raises SecondFactorIsOff, SecondFactorInvalid.
        """
        if not self.is_on:
            raise SecondFactorIsOff
        if step is None and digest in self.recovery_digests:
            self.recovery_digests = tuple(one for one in self.recovery_digests if one != digest)
        else:
            self._use_step(step)

    def renew_recovery(self, digests: Sequence[bytes]) -> None:
        """Put other recovery codes in the place of all that are left."""
        self.recovery_digests = tuple(digests)

    def turned_off(self) -> IdentityEvent:
        """Return what is told when this is taken away."""
        return SecondFactorTurnedOff(account_id=self.account_id)

    def _use_step(self, step: int | None) -> None:
        if step is None or step <= self.last_step:
            raise SecondFactorInvalid
        self.last_step = step


def roles_in_force(roles: frozenset[str], *, proved_at: datetime | None, administrators_prove: bool) -> frozenset[str]:
    """Return the roles that open doors: an administrator's only with a proof, where the setting asks for it."""
    return roles - {Role.ADMIN.value} if administrators_prove and proved_at is None else roles


def check_step_up(
    roles: frozenset[str], *, proved_at: datetime | None, administrators_prove: bool, now: datetime, life: timedelta
) -> None:
    """Let pass who may move money out or change roles (identity.step_up).

    `proved_at` is when this session last proved the second factor. It is None exactly for those who have none: turning
    it on and off ends every other session. They pass as they are, except administrators where the setting asks them
    for a second factor. Raises SecondFactorRequired, StepUpRequired.
    """
    if roles_in_force(roles, proved_at=proved_at, administrators_prove=administrators_prove) != roles:
        raise SecondFactorRequired
    if proved_at is not None and now >= proved_at + life:
        raise StepUpRequired
