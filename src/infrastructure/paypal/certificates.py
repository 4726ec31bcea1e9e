"""The certificates under which PayPal signs its callbacks: fetched from PayPal only, checked up to a root, kept.

The address of the certificate comes with the callback, from whoever sent it. So the host is one of an exact list, the
path one of PayPal's, and whatever is found there counts only if a root that we trust vouches for a name of PayPal's.
"""

import asyncio
import re
import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from application.core.kernel.ports import Clock
from application.core.payments.gateway import SignatureInvalid
from domain.core.kernel.errors import Unavailable
from infrastructure.providers.asking import Patience, ProviderClient

DOMAIN: Final = ".paypal.com"
PATH: Final = re.compile(r"/v1/notifications/certs/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}", re.ASCII)
KEPT_MAX: Final = 16
"""PayPal has one or two at a time."""

KEPT_FOR: Final = timedelta(hours=24)
FETCHES_MAX: Final = 10
"""Within `FETCHES_WITHIN`: whoever posts anything names an address, and PayPal would be asked as often as he likes."""

FETCHES_WITHIN: Final = timedelta(minutes=1)
KEY_BITS_MIN: Final = 2048
CHAIN_MAX: Final = 8
"""Certificates read of one file; PayPal's has three."""

_RETRY_AFTER_S: Final = 60


@dataclass(frozen=True, slots=True)
class _Kept:
    key: RSAPublicKey
    usable_from: datetime
    usable_until: datetime


def public_roots() -> list[x509.Certificate]:
    """Return the authorities that web browsers trust, as shipped with the HTTP client."""
    context = httpx.create_ssl_context(trust_env=False)
    roots = []
    for der in context.get_ca_certs(binary_form=True):
        with warnings.catch_warnings():
            warnings.simplefilter("error", CryptographyDeprecationWarning)
            try:
                roots.append(x509.load_der_x509_certificate(der))
            except (ValueError, CryptographyDeprecationWarning):  # an old root with a number that is none
                continue
    return roots


class Certificates:
    """Certificates by address. `origins` are the exact places they may come from, such as `https://api.paypal.com`."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        clock: Clock,
        *,
        origins: frozenset[str],
        roots: Sequence[x509.Certificate],
        patience: Patience,
    ) -> None:
        self._providers = {origin: ProviderClient(client, clock, origin, patience) for origin in origins}
        self._roots = Store(list(roots))
        self._kept: dict[str, _Kept] = {}
        self._fetching = asyncio.Lock()
        self._fetched_at: deque[datetime] = deque(maxlen=FETCHES_MAX)

    async def key_at(self, url: str, *, now: datetime) -> RSAPublicKey:
        """Return the public key of the certificate at an address.

        Raises SignatureInvalid where it is none of PayPal's, and Unavailable where it cannot be had.
        """
        provider, path = self._place_of(url)
        kept = self._usable(url, now)
        if kept is None:
            async with self._fetching:  # one at a time: addresses are made up for nothing
                kept = self._usable(url, now)
                if kept is None:
                    self._count_fetch(now)
                    kept = await self._fetch(provider, path, now=now)
                    self._keep(url, kept)
        return kept.key

    def _count_fetch(self, now: datetime) -> None:
        """Let a fetch pass while there were few lately. Raises Unavailable: PayPal sends again."""
        if len(self._fetched_at) == FETCHES_MAX and now < self._fetched_at[0] + FETCHES_WITHIN:
            raise Unavailable("Too many certificates were asked for.", retry_after_s=_RETRY_AFTER_S)
        self._fetched_at.append(now)

    def _place_of(self, url: str) -> tuple[ProviderClient, str]:
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise SignatureInvalid from error
        provider = self._providers.get(f"{parts.scheme}://{parts.netloc}")
        if provider is None or parts.query or parts.fragment or PATH.fullmatch(parts.path) is None:
            raise SignatureInvalid
        return provider, parts.path

    def _usable(self, url: str, now: datetime) -> _Kept | None:
        kept = self._kept.get(url)
        return kept if kept is not None and kept.usable_from <= now < kept.usable_until else None

    def _keep(self, url: str, kept: _Kept) -> None:
        self._kept.pop(url, None)
        while len(self._kept) >= KEPT_MAX:
            del self._kept[next(iter(self._kept))]
        self._kept[url] = kept

    async def _fetch(self, provider: ProviderClient, path: str, *, now: datetime) -> _Kept:
        reply = await provider.ask("GET", path, headers={"accept": "application/x-pem-file, */*"})
        if reply.status in {httpx.codes.NOT_FOUND, httpx.codes.GONE}:
            raise SignatureInvalid
        if reply.status != httpx.codes.OK:
            raise Unavailable(
                "PayPal's certificate cannot be had.", retry_after_s=reply.retry_after_s or _RETRY_AFTER_S
            )
        try:
            first, *others = x509.load_pem_x509_certificates(reply.body)[:CHAIN_MAX]
        except ValueError as error:  # a page in its place, or half of it: nobody can say whether the sender lied
            raise Unavailable("PayPal's certificate cannot be read.", retry_after_s=_RETRY_AFTER_S) from error
        key = self._vouched_key(first, others, now=now)
        return _Kept(key, now, min(first.not_valid_after_utc, now + KEPT_FOR))

    def _vouched_key(
        self, first: x509.Certificate, others: Sequence[x509.Certificate], *, now: datetime
    ) -> RSAPublicKey:
        """Return the key of a certificate of PayPal's that leads to a root now. Raises SignatureInvalid."""
        try:
            names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            name = next((one for one in names.get_values_for_type(x509.DNSName) if _is_of_paypal(one)), None)
            if name is None:
                raise SignatureInvalid
            policy = PolicyBuilder().store(self._roots).time(now)
            policy.build_server_verifier(x509.DNSName(name)).verify(first, list(others))
        except (VerificationError, x509.ExtensionNotFound, ValueError) as error:
            raise SignatureInvalid from error
        key = first.public_key()
        if not isinstance(key, RSAPublicKey) or key.key_size < KEY_BITS_MIN:
            raise SignatureInvalid
        return key


def _is_of_paypal(name: str) -> bool:
    return name.lower().endswith(DOMAIN) and "*" not in name
