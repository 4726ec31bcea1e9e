"""The token that every request to some providers carries: fetched once, shared, and renewed before it ends."""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from application.core.kernel.ports import Clock
from infrastructure.providers.asking import ProviderClient, ProviderReply
from infrastructure.providers.fields import NotAnObject, read_object, text_at

TOKEN_LENGTH_MAX: Final = 8192
LIFE_MAX: Final = timedelta(hours=9)
"""A longer one is not believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """How a provider is asked for a token."""

    method: str
    path: str
    user: str
    secret: str = field(repr=False)
    form: Mapping[str, str] | None = None
    params: Mapping[str, str] | None = None
    renewed_early: timedelta


class AccessToken:
    """One token in memory. Whoever comes while it is being fetched waits for that one."""

    def __init__(self, provider: ProviderClient, clock: Clock, request: TokenRequest) -> None:
        self._provider = provider
        self._clock = clock
        self._request = request
        basic = base64.b64encode(f"{request.user}:{request.secret}".encode()).decode("ascii")
        self._headers = {"authorization": f"Basic {basic}", "accept": "application/json"}
        self._fetching = asyncio.Lock()
        self._token: str | None = None
        self._renewed_from: datetime = clock.now()

    async def get(self) -> str | ProviderReply:
        """Return the token, or the answer to the request that brought none."""
        async with self._fetching:
            if self._token is not None and self._clock.now() < self._renewed_from:
                return self._token
            request = self._request
            reply = await self._provider.ask(
                request.method, request.path, headers=self._headers, form=request.form, params=request.params
            )
            token, life = _read(reply)
            if token is None:
                return reply
            self._token = token
            self._renewed_from = self._clock.now() + life - min(request.renewed_early, life / 10)
            return token

    def drop(self, token: str) -> None:
        """Forget a token that the provider refused, unless it was renewed meanwhile."""
        if self._token == token:
            self._token = None


def _read(reply: ProviderReply) -> tuple[str | None, timedelta]:
    """Return the token and how long it lives."""
    if reply.status is None or not 200 <= reply.status < 300:
        return None, timedelta(0)
    try:
        fields = read_object(reply.body)
    except NotAnObject:
        return None, timedelta(0)
    token = text_at(fields, "access_token", length_max=TOKEN_LENGTH_MAX)
    seconds = text_at(fields, "expires_in", length_max=9) or ""
    if token is None or not token.isascii() or not token.isprintable():
        return None, timedelta(0)
    life = timedelta(seconds=int(seconds)) if seconds.isascii() and seconds.isdigit() else timedelta(minutes=1)
    return token, min(life, LIFE_MAX)
