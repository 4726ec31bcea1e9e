"""The simulated PayPal's own authority, certificate and key; all made up when it starts, none of it worth anything."""

import base64
import zlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAME: Final = "messageverificationcerts.paypal.com"
VALID_BEFORE: Final = timedelta(days=365)
VALID_AFTER: Final = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Authority:
    """Who vouches for certificates."""

    root: x509.Certificate
    _key: EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def new(cls, now: datetime, name: str = "Soko's simulated authority") -> Self:
        """Make one that is valid for a year around `now`."""
        key = generate_private_key(SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        root = (
            _builder(subject, subject, now)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, SHA256())
        )
        return cls(root, key)

    def certify(self, key: RSAPublicKey, now: datetime, name: str = NAME) -> bytes:
        """Return a certificate for a key, as the text that PayPal serves."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            _builder(subject, self.root.subject, now)
            .public_key(key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(issuer, critical=False)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self._key, SHA256())
        )
        return certificate.public_bytes(Encoding.PEM)


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs callbacks."""

    authority: Authority
    certificate: bytes
    _key: RSAPrivateKey = field(repr=False)

    @classmethod
    def new(cls, now: datetime) -> Self:
        """Make one with an authority of its own."""
        authority, key = Authority.new(now), generate_rsa_key(public_exponent=65537, key_size=2048)
        return cls(authority, authority.certify(key.public_key(), now), key)

    def sign(self, body: bytes, *, transmission_id: str, time: str, webhook_id: str) -> str:
        """Return the signature header of a callback."""
        message = "|".join((transmission_id, time, webhook_id, str(zlib.crc32(body))))
        return base64.b64encode(self._key.sign(message.encode(), PKCS1v15(), SHA256())).decode("ascii")


def _builder(subject: x509.Name, issuer: x509.Name, now: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - VALID_BEFORE)
        .not_valid_after(now + VALID_AFTER)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
