"""How good a password has to be: `identity.password_strength`."""

from collections.abc import Iterable

from domain.core.identity.common_passwords import COMMON_PASSWORDS
from domain.core.kernel.errors import FieldError, Invalid

LENGTH_MIN = 8
LENGTH_MAX = 128
"""Characters. Longer ones only cost hashing."""

PART_LENGTH_MIN = 4
"""A shorter part of an address would forbid half the language."""


class PasswordWeak(Invalid):
    """This password is too easy to guess."""

    code = "identity.password_weak"


class PasswordsDiffer(Invalid):
    """The two passwords differ."""

    code = "identity.passwords_differ"


def check_password(password: str, *, about: Iterable[str] = (), field: str = "password") -> None:
    """Let pass a password of 8 to 128 characters that is not common and contains none of `about`.

    `about` is the user name and the address; of an address its local part counts too. Raises PasswordWeak.
    """
    folded = password.casefold()
    problem = None
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        problem = f"must have {LENGTH_MIN} to {LENGTH_MAX} characters"
    elif folded in COMMON_PASSWORDS:
        problem = "is one of the most common passwords"
    elif any(part in folded for part in _parts(about)):
        problem = "must not contain your user name or address"
    if problem is not None:
        raise PasswordWeak(f"The password {problem}.", errors=(FieldError(field, problem),))


def check_repeat(password: str, repeat: str | None, *, field: str) -> None:
    """Let pass a repeated password that is missing or equal (identity.repeat_must_match). Raises PasswordsDiffer."""
    if repeat is not None and repeat != password:
        raise PasswordsDiffer(errors=(FieldError(field, "differs from the password"),))


def _parts(about: Iterable[str]) -> Iterable[str]:
    for text in about:
        folded = text.casefold()
        for part in (folded, folded.partition("@")[0]):
            if len(part) >= PART_LENGTH_MIN:
                yield part
