"""User names: `identity.username_unique`."""

import re

from domain.core.kernel.errors import Conflict, FieldError, Invalid

GENERATED_PREFIX = "user-"
GENERATED_LETTERS = 8
BASE32_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"

_FORM = re.compile(r"[a-z0-9._-]{3,30}", re.ASCII)
_LIKE_A_NUMBER = re.compile(r"[0-9._-]+", re.ASCII)

RESERVED = frozenset({
    "me", "profile", "blocked", "register", "login", "logout", "signup", "verify", "password", "password-reset",
    "password-change", "block", "unblock", "token", "refresh", "roles", "search", "devices", "verify-email",
    "admin", "administrator", "root", "staff", "superuser", "system", "soko", "support", "moderator", "cli",
    "anonymous", "api", "ws", "health", "metrics", "docs", "schema", "null", "none", "undefined", "all",
})  # fmt: skip
"""Literal children of our paths, which win over `{id}`, and words by which a person could pass for the house."""


class UsernameTaken(Conflict):
    """This user name is taken."""

    code = "identity.username_taken"


class UsernameInvalid(Invalid):
    """A user name has 3 to 30 characters of a-z, 0-9, dot, underscore and hyphen, and is no address or number."""

    code = "identity.username_invalid"


class UsernameReserved(Invalid):
    """This user name is reserved."""

    code = "identity.username_reserved"


def read_username(text: str) -> str:
    """Return the user name as it is stored: folded to lower case. Raises UsernameInvalid, UsernameReserved."""
    folded = text.strip().casefold()
    if folded in RESERVED:
        raise UsernameReserved(errors=(FieldError("username", "is reserved"),))
    if _FORM.fullmatch(folded) is None or _LIKE_A_NUMBER.fullmatch(folded) is not None:
        raise UsernameInvalid(errors=(FieldError("username", "must be 3 to 30 of a-z 0-9 . _ - and no number"),))
    return folded
