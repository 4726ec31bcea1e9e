"""What M-Pesa says, whoever passes it on: its result codes, and the forms of a Kenyan number."""

import re
from typing import Final

WORD_BY_RESULT_CODE: Final = {
    "1": "INSUFFICIENT_FUNDS", "2": "BELOW_MINIMUM", "3": "ABOVE_MAXIMUM", "4": "DAILY_LIMIT", "8": "RECEIVER_LIMIT",
    "17": "RULE_LIMITED", "26": "BUSY", "1001": "BUSY", "1019": "PROMPT_EXPIRED", "1025": "PROMPT_NOT_SENT",
    "9999": "PROMPT_NOT_SENT", "1032": "CANCELLED_BY_PAYER", "1037": "NO_ANSWER", "2001": "WRONG_PIN",
}  # fmt: skip
"""M-Pesa's numbers for how a prompt ended, in words; a number that is not here stays a number."""

CANCELLED_BY_PAYER: Final = "CANCELLED_BY_PAYER"

_E164_KENYA = re.compile(r"\+254[17][0-9]{8}", re.ASCII)
_KENYAN_MOBILE = re.compile(r"(?:\+?254|0)([17][0-9]{8})", re.ASCII)


def code_of(code: str | None) -> str | None:
    """Return a provider's code in upper case, M-Pesa's known numbers as words."""
    return None if code is None else WORD_BY_RESULT_CODE.get(code, code.upper())


def phone_of(text: str | None) -> str | None:
    """Return a Kenyan mobile number in E.164; anything else, a masked number for example, as it came."""
    if text is None:
        return None
    found = _KENYAN_MOBILE.fullmatch(text.replace(" ", "").replace("-", ""))
    return f"+254{found[1]}" if found else text


def mobile_of(phone: str | None) -> str:
    """Return a Kenyan mobile number in E.164; anything else is a mistake of the caller's."""
    known = phone_of(phone) or ""
    assert _E164_KENYA.fullmatch(known), "a Kenyan mobile number is needed, see capabilities"
    return known
