"""Phone numbers, read by Google's metadata."""

import phonenumbers

from domain.core.kernel.errors import FieldError, Invalid

HOME_REGION = "KE"
LENGTH_MAX = 32
"""Characters. The parser is not given more of a stranger's text."""


class PhoneNumberInvalid(Invalid):
    """This is not a phone number."""

    code = "kernel.phone_invalid"


class GooglePhoneNumbers:
    """Reads numbers of all countries; one without a country code is Kenyan."""

    def parse(self, text: str) -> str:
        refused = PhoneNumberInvalid(errors=(FieldError("phone", "is not a phone number"),))
        if len(text) > LENGTH_MAX or not text.isascii():
            raise refused
        try:
            number = phonenumbers.parse(text, HOME_REGION)
        except phonenumbers.NumberParseException as error:
            raise refused from error
        # possible, not valid: lists of assigned ranges age faster than we release
        if not phonenumbers.is_possible_number(number) or number.extension:
            raise refused
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
