"""A sign-in: the family of refresh tokens that one login has started."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from domain.core.kernel.errors import NotFound, NotSignedIn
from domain.core.kernel.ids import AccountId

ROTATIONS_MAX = 16
"""Rotations remembered; more do not happen within a grace of seconds."""


class RefreshInvalid(NotSignedIn):
    """This refresh token is not valid; sign in again."""

    code = "identity.refresh_invalid"


class RefreshReused(NotSignedIn):
    """This refresh token was used before, so its sign-in has ended; sign in again."""

    code = "identity.refresh_reused"


class DeviceNotFound(NotFound):
    """There is no such sign-in."""

    code = "identity.device_not_found"


class EndReason(StrEnum):
    """Why a sign-in ended."""

    LOGOUT = "logout"
    REUSE = "reuse"
    PASSWORD = "password"  # noqa: S105  # a word, not a secret
    SUSPENDED = "suspended"
    SECOND_FACTOR = "second_factor"
    RESTORED = "restored"
    """It came out of a backup, and nobody knows whether it was ended since."""


class Refresh(StrEnum):
    """What became of a refresh token that was presented."""

    ROTATED = "rotated"
    REPEATED = "repeated"
    REUSED = "reused"
    INVALID = "invalid"


@dataclass(slots=True, kw_only=True)
class SignIn:
    """A family of refresh tokens; exactly one generation of them is live at any time."""

    id: UUID
    account_id: AccountId
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    """When the live refresh token ends, if it is not used before."""
    ends_at: datetime
    """When the whole family ends, however often it is refreshed."""
    generation: int = 0
    rotations: tuple[datetime, ...] = ()
    """When the generations before the live one were used, the latest last."""
    user_agent: str | None = None
    ip: str | None = None
    proved_at: datetime | None = None
    """When the second factor was last proved here; None without one."""
    ended_at: datetime | None = None
    end_reason: EndReason | None = None

    @classmethod
    def start(
        cls,
        id: UUID,
        account_id: AccountId,
        *,
        now: datetime,
        refresh_life: timedelta,
        sign_in_life: timedelta,
        user_agent: str | None,
        ip: str | None,
        proved_at: datetime | None = None,
    ) -> "SignIn":
        """Return a new family."""
        return cls(
            id=id,
            account_id=account_id,
            created_at=now,
            last_used_at=now,
            expires_at=now + min(refresh_life, sign_in_life),
            ends_at=now + sign_in_life,
            user_agent=user_agent,
            ip=ip,
            proved_at=proved_at,
        )

    @property
    def has_ended(self) -> bool:
        """Whether it lets nobody in any more."""
        return self.ended_at is not None

    def refresh(self, generation: int, *, now: datetime, life: timedelta, grace: timedelta) -> Refresh:
        """Use a refresh token of the family.

        The live one is rotated (identity.refresh_rotates); one used within the grace is answered with the live one; an
        older one ends the family (identity.reuse_ends_family).
        """
        behind = self.generation - generation
        if self.has_ended or behind < 0:
            return Refresh.REUSED if self.end_reason is EndReason.REUSE and behind > 0 else Refresh.INVALID
        if behind == 0:
            if now >= self.expires_at:
                return Refresh.INVALID
            self.rotate(now=now, life=life)
            return Refresh.ROTATED
        if behind <= len(self.rotations) and now - self.rotations[-behind] <= grace:
            return Refresh.REPEATED if now < self.expires_at else Refresh.INVALID
        self.end(EndReason.REUSE, now=now)
        return Refresh.REUSED

    def rotate(self, *, now: datetime, life: timedelta) -> None:
        """Make the next generation the live one."""
        self.generation += 1
        self.rotations = (*self.rotations, now)[-ROTATIONS_MAX:]
        self.last_used_at = now
        self.expires_at = min(now + life, self.ends_at)

    def end(self, reason: EndReason, *, now: datetime) -> None:
        """End the family. Repeating changes nothing."""
        if not self.has_ended:
            self.ended_at, self.end_reason = now, reason
