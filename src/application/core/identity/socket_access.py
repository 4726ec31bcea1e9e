"""Who may open a socket, and when his access ends while it is open (`identity.access_follows_account`)."""

from dataclasses import dataclass

from application.core.identity.authenticate import Caller, Revocations
from application.core.identity.security import AccessClaims, AccessTokens
from application.core.identity.tickets import RedeemTicket
from application.core.kernel.ports import Clock
from domain.core.kernel.errors import NotSignedIn


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketAccess:
    tokens: AccessTokens
    revocations: Revocations
    redeem_ticket: RedeemTicket
    clock: Clock
    administrators_prove: bool = False
    """Whether administrators act as such only with a second factor."""

    def caller(self, claims: AccessClaims) -> Caller:
        """Return who has this access."""
        return Caller.of(claims, administrators_prove=self.administrators_prove)

    async def by_ticket(self, ticket: str) -> AccessClaims:
        """Return the access of who holds a ticket, which is used up. Raises NotSignedIn, Unavailable."""
        return self._not_ended(await self.redeem_ticket(ticket))

    def by_token(self, token: str) -> AccessClaims:
        """Return the access that a token gives. Raises NotSignedIn, Unavailable."""
        return self._not_ended(self.tokens.read(token, now=self.clock.now()))

    def has_ended(self, claims: AccessClaims) -> bool:
        """Tell whether an access is over: run out, or revoked in any process. Raises Unavailable."""
        return claims.expires_at <= self.clock.now() or self.revocations.covers(claims)

    def _not_ended(self, claims: AccessClaims) -> AccessClaims:
        if self.has_ended(claims):
            raise NotSignedIn
        return claims
