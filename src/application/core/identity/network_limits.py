"""Limit what one network does without being signed in (`identity.guessing_is_counted`).

The counts are shared by all processes. A network is what one subscriber is sure to have; many people may share it.
"""

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from application.core.identity.ports import AttemptCounter
from application.core.identity.security import CodeHasher
from application.core.kernel.ports import Clock, Policies
from application.core.kernel.request_context import current_request
from domain.core.identity.policies import LOGIN_FAILURES_ADDRESS, MAIL_ASKS_ADDRESS

FAILURE_WINDOW: Final = timedelta(minutes=15)
MAIL_WINDOW: Final = timedelta(hours=1)
SUBSCRIBER_PREFIX: Final = 64
"""Bits of an IPv6 address that name one subscriber's network; the rest of them is his to choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkLimits:
    """Counts what comes from the network of the current request."""

    attempts: AttemptCounter
    hasher: CodeHasher
    policies: Policies
    clock: Clock

    async def check_guesses(self) -> None:
        """Raise TooManyAttempts where too many wrong passwords and codes came from this network lately."""
        limit = self.policies.value(LOGIN_FAILURES_ADDRESS)
        await self.attempts.check(self._key("login_failures_address"), limit=limit, now=self.clock.now())

    async def count_wrong_guess(self) -> None:
        """Count a wrong password or code."""
        key = self._key("login_failures_address")
        await self.attempts.count(key, window=FAILURE_WINDOW, now=self.clock.now())

    async def take_mail(self) -> None:
        """Count what makes us write to an address that a stranger names. Raises TooManyAttempts."""
        limit = self.policies.value(MAIL_ASKS_ADDRESS)
        await self.attempts.take(self._key("mail_asks_address"), limit=limit, window=MAIL_WINDOW, now=self.clock.now())

    def _key(self, purpose: str) -> bytes:
        return self.hasher.digest(purpose, network_of(current_request().ip))


def network_of(ip: str | None) -> str:
    """Return what one subscriber is sure to have: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        address = ip_address(ip or "")
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped or ip_network((address, SUBSCRIBER_PREFIX), strict=False))
    return str(address)
