"""Tickets that open a socket: 30 s, one use, so that no token stands in an address."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from application.core.identity.authenticate import Caller
from application.core.identity.ports import IdentityUnitOfWork, Ticket, TicketStore
from application.core.identity.security import AccessClaims, CodeHasher
from application.core.kernel.ports import Clock, Randomness
from domain.core.kernel.errors import NotSignedIn

TICKET_LIFE = timedelta(seconds=30)
TICKET_LENGTH = 43
"""Characters of 64 kinds: 256 bits."""
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueTicket:
    tickets: TicketStore
    hasher: CodeHasher
    randomness: Randomness
    clock: Clock

    async def __call__(self, caller: Caller) -> str:
        """Return a ticket; only its keyed hash is stored."""
        text = self.randomness.letters(TICKET_LENGTH, _ALPHABET)
        ticket = Ticket(
            digest=self.hasher.digest("ticket", text),
            account_id=caller.account_id,
            family_id=caller.family_id,
            expires_at=self.clock.now() + TICKET_LIFE,
        )
        await self.tickets.put(ticket)
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class RedeemTicket:
    unit_of_work: Callable[[], IdentityUnitOfWork]
    tickets: TicketStore
    hasher: CodeHasher
    clock: Clock

    async def __call__(self, text: str) -> AccessClaims:
        """Return the access of who opens the socket: as of now, until his sign-in ends. Raises NotSignedIn."""
        ticket = await self.tickets.take(self.hasher.digest("ticket", text), now=self.clock.now())
        if ticket is None:
            raise NotSignedIn
        async with self.unit_of_work() as uow:
            # in this order: what ends the sign-in between the two has raised the epoch that was read
            account = await uow.accounts.get(ticket.account_id, lock=False)
            sign_in = await uow.sessions.get(ticket.family_id, lock=False)
        if sign_in is None or sign_in.has_ended or not account.is_active:
            raise NotSignedIn
        return AccessClaims(
            account_id=account.id,
            family_id=ticket.family_id,
            epoch=account.epoch,
            roles=account.active_roles,
            expires_at=sign_in.expires_at,
            proved_at=sign_in.proved_at,
        )
