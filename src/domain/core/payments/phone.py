"""Phones that can be prompted for M-Pesa: Kenyan mobile numbers, kept in E.164."""

import re

from domain.core.kernel.errors import FieldError, Invalid

_KENYAN_MOBILE = re.compile(r"(?:\+?254|0)([17][0-9]{8})", re.ASCII)
_BETWEEN_DIGITS = str.maketrans("", "", " -")


class PhoneInvalid(Invalid):
    """This is not a Kenyan mobile number."""

    code = "payments.phone_invalid"


def prompted_phone(text: str) -> str:
    """Return the number as `+2547…` or `+2541…`. Raises PhoneInvalid."""
    found = _KENYAN_MOBILE.fullmatch(text.translate(_BETWEEN_DIGITS))
    if found is None:
        raise PhoneInvalid(errors=(FieldError("phone", "is not a Kenyan mobile number"),))
    return f"+254{found[1]}"


def is_other_phone(prompted: str | None, told: str | None) -> bool:
    """Tell whether a provider names another phone than the prompted one; masked numbers tell nothing."""
    return prompted is not None and told is not None and _KENYAN_MOBILE.fullmatch(told) is not None and told != prompted
