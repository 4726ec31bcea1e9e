"""Addresses and phone numbers: claimed by whoever types them, held by who has proved them."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.core.kernel.errors import Conflict, FieldError, Invalid

EMAIL_LENGTH_MAX = 254
"""Characters; SMTP's own limit of a path."""

_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = re.compile(rf"(?=[^@]{{1,64}}@){_LOCAL}@(?:{_LABEL}\.)+[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]")


class EmailInvalid(Invalid):
    """This is not an e-mail address."""

    code = "identity.email_invalid"


class AddressVerifiedElsewhere(Conflict):
    """Another account has proved that it holds this address."""

    code = "identity.address_verified_elsewhere"


class ContactKind(StrEnum):
    """What kind of address a contact is."""

    EMAIL = "email"
    PHONE = "phone"


@dataclass(frozen=True, slots=True)
class Contact:
    """An address that an account claims, or holds when verified (identity.address_is_a_claim)."""

    kind: ContactKind
    address: str
    is_verified: bool
    claimed_at: datetime


def read_email(text: str, *, field: str = "email") -> str:
    """Return the address as it is stored and compared: trimmed, in lower case. Raises EmailInvalid."""
    folded = text.strip().lower()
    if len(folded) > EMAIL_LENGTH_MAX or _EMAIL.fullmatch(folded) is None:
        raise EmailInvalid(errors=(FieldError(field, "is not an e-mail address"),))
    return folded
