"""What proves to Safaricom that a request is ours, and what time it is there."""

import base64
from datetime import datetime, timedelta, timezone
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

EAST_AFRICA: Final = timezone(timedelta(hours=3), "EAT")
"""Safaricom's time; it has no summer time, and is never named in what is sent."""


def timestamp_of(moment: datetime) -> str:
    """Return a moment as Daraja writes it: fourteen digits of East Africa Time."""
    return moment.astimezone(EAST_AFRICA).strftime("%Y%m%d%H%M%S")


def moment_of_timestamp(text: str | None, form: str = "%Y%m%d%H%M%S") -> datetime | None:
    """Return the moment that Daraja wrote, or None where that is none."""
    try:
        return None if text is None else datetime.strptime(text, form).replace(tzinfo=EAST_AFRICA)
    except ValueError:
        return None


def password_of(shortcode: str, passkey: str, timestamp: str) -> str:
    """Return the password of a prompt or of a question about one; the timestamp is sent beside it."""
    return base64.b64encode(f"{shortcode}{passkey}{timestamp}".encode()).decode("ascii")


class InitiatorCredential:
    """The password of the user in whose name money is paid out, as only Safaricom can read it."""

    def __init__(self, password: str, certificate: bytes) -> None:
        """Read Safaricom's certificate, PEM or DER. Raises ValueError where it is none."""
        is_text = b"-----BEGIN" in certificate
        loaded = x509.load_pem_x509_certificate(certificate) if is_text else x509.load_der_x509_certificate(certificate)
        key = loaded.public_key()
        if not isinstance(key, RSAPublicKey):
            raise ValueError("Safaricom's certificate holds an RSA key")
        self._key = key
        self._password = password.encode()

    def sealed(self) -> str:
        """Return the SecurityCredential; it is another one every time."""
        return base64.b64encode(self._key.encrypt(self._password, PKCS1v15())).decode("ascii")
