"""Send what waits in the mail queue.

- A mail is taken with a lease, sent outside any transaction and then marked; a worker that dies in between leaves it to
  be sent again under the same message id.
- A failure is tried again after 1, 5 and 30 minutes, 2 and 12 hours, then given up; it undoes nothing and stops no
  other mail (notifications.channel_failure_is_local).
- A mail to a person goes to the address verified now; without one it is given up.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from application.core.kernel.mail import Mail
from application.core.kernel.ports import Clock
from application.core.notifications.mailer import Mailer, MailRefused, MailUnavailable
from domain.core.kernel.ids import AccountId
from domain.core.notifications.retries import next_try

LEASE = timedelta(minutes=5)
"""Longer than a batch can take: 200 mails, 8 at a time, some seconds each."""

AT_ONCE = 8
"""Mails under way at one time; mail servers count connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingMail:
    """A mail that was taken from the queue: to a person, or to an address that was named."""

    id: UUID
    message_id: str
    recipient: AccountId | None
    to: str | None
    subject: str
    text: str
    attempt: int


class WaitingMails(Protocol):
    """The queue as its sender sees it. Promises (tests/contract/core/mail_queue.py):

    - `take` gives a mail to one taker until its lease ends, then to the next;
    - a mail that is sent or given up is never taken again, and its text and address are forgotten;
    - an answer that comes after the lease was taken over neither delays nor ends the new attempt, unless it was sent.
    """

    async def take(self, *, now: datetime, leased_until: datetime, limit: int) -> Sequence[WaitingMail]:
        """Take mails that are due, oldest first, and count an attempt on each."""
        ...

    async def sent(self, mail: WaitingMail, *, now: datetime) -> None:
        """Mark a mail as sent."""
        ...

    async def try_again(self, mail: WaitingMail, *, at: datetime, error: str) -> None:
        """Put a mail back until then."""
        ...

    async def give_up(self, mail: WaitingMail, *, now: datetime, error: str) -> None:
        """Set a mail aside for good."""
        ...


class MailAddresses(Protocol):
    """Where people get their mail. Promises: only addresses that are verified now."""

    async def verified(self, people: Collection[AccountId]) -> Mapping[AccountId, str]:
        """Return the verified address of each of them who has one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverMails:
    waiting: WaitingMails
    addresses: MailAddresses
    mailer: Mailer
    clock: Clock

    async def __call__(self, batch_max: int) -> int:
        """Send what is due and return how many mails were handled. Raises Unavailable."""
        now = self.clock.now()
        mails = await self.waiting.take(now=now, leased_until=now + LEASE, limit=batch_max)
        people = {mail.recipient for mail in mails if mail.recipient is not None}
        addresses = await self.addresses.verified(people) if people else {}
        room = asyncio.Semaphore(AT_ONCE)

        async def deliver(mail: WaitingMail) -> None:
            async with room:
                await self._deliver(mail, mail.to if mail.recipient is None else addresses.get(mail.recipient))

        results = await asyncio.gather(*(deliver(mail) for mail in mails), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):  # all of them have been tried by now
                raise result
        return len(mails)

    async def _deliver(self, mail: WaitingMail, to: str | None) -> None:
        if to is None:
            await self.waiting.give_up(mail, now=self.clock.now(), error="notifications.no_verified_address")
            return
        try:
            await self.mailer.send(Mail(message_id=mail.message_id, to=to, subject=mail.subject, text=mail.text))
        except MailRefused as refusal:
            await self.waiting.give_up(mail, now=self.clock.now(), error=refusal.code)
        except MailUnavailable as failure:
            now = self.clock.now()
            again_at = next_try(mail.attempt, now=now)
            if again_at is None:
                await self.waiting.give_up(mail, now=now, error=failure.code)
            else:
                await self.waiting.try_again(mail, at=again_at, error=failure.code)
        else:
            await self.waiting.sent(mail, now=self.clock.now())
