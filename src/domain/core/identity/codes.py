"""One-time codes: six digits to type, and a link token of 48 characters, that prove a contact or reset a password.

A code is a keyed function of its row, so it is stored nowhere: see docs/adr for the decision.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.core.identity.contacts import ContactKind
from domain.core.kernel.errors import Invalid, TooOften
from domain.core.kernel.ids import AccountId


class CodeInvalid(Invalid):
    """This code is not valid; ask for a new one."""

    code = "identity.code_invalid"


class AddressRequired(Invalid):
    """A code without its address could be anybody's; send the address as well."""

    code = "identity.address_required"


class NoAddress(Invalid):
    """There is nothing to verify: the profile has no such contact."""

    code = "identity.no_address"


class TooManyCodes(TooOften):
    """Too many codes were asked for; wait before the next one."""

    code = "identity.too_many_codes"


class CodePurpose(StrEnum):
    """What a code is good for."""

    VERIFY_EMAIL = "verify_email"
    VERIFY_PHONE = "verify_phone"
    RESET = "reset"


VERIFIES = {ContactKind.EMAIL: CodePurpose.VERIFY_EMAIL, ContactKind.PHONE: CodePurpose.VERIFY_PHONE}


@dataclass(slots=True, kw_only=True)
class OneTimeCode:
    """A code of one account, one address and one purpose (identity.code_is_bound).

    `account_id` is None for a decoy: what is asked for an unknown address leaves the same trace and opens nothing.
    """

    id: UUID
    account_id: AccountId | None
    purpose: CodePurpose
    address: str
    created_at: datetime
    expires_at: datetime
    tries: int = 0
    used_at: datetime | None = None

    def is_alive(self, *, now: datetime) -> bool:
        """Tell whether the link could still be used."""
        return self.account_id is not None and self.used_at is None and now < self.expires_at

    def is_open(self, *, now: datetime, tries_max: int) -> bool:
        """Tell whether the digits could still be used."""
        return self.is_alive(now=now) and self.tries < tries_max

    def attempt(self, *, is_right: bool, now: datetime, tries_max: int, is_link: bool = False) -> bool:
        """Count a try (identity.code_burns) and use the code up when it is right. Return whether it was accepted.

        Digits can be guessed, so wrong ones void them. A link cannot, so it outlives them: whoever knows an address
        could keep its owner from a new password for ever.
        """
        if not (self.is_alive(now=now) if is_link and is_right else self.is_open(now=now, tries_max=tries_max)):
            return False
        if not is_right:
            self.tries += 1
            return False
        self.used_at = now
        return True
