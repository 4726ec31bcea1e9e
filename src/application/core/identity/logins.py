"""Read what a person types to say who he is."""

import re
from dataclasses import dataclass

from application.core.identity.ports import Login
from application.core.kernel.ports import PhoneNumbers
from domain.core.identity.contacts import read_email
from domain.core.kernel.errors import Invalid

_LIKE_A_PHONE = re.compile(r"\+?[0-9][0-9 ()-]{6,}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginReader:
    phones: PhoneNumbers

    def __call__(self, text: str) -> Login:
        """Return whom a text means; one that can mean nobody is an unknown user name, so it costs the same."""
        folded = text.strip().casefold()
        try:
            if "@" in folded:
                return Login("email", read_email(folded))
            if _LIKE_A_PHONE.fullmatch(folded):
                return Login("phone", self.phones.parse(folded))
        except Invalid:
            pass
        return Login("username", folded)
