"""Write the mails of identity, once the change they tell of is committed.

Codes are recomputed from their rows here, so neither event nor table has ever held one. Who would be mailed is decided
here as well, so the request that asked costs the same for everybody.

Anybody can have mail sent to an address that he only claims. Such mail greets by the user name, whose letters are few,
never by a name of free words and links, and an address gets MAILS_PER_HOUR of it at most, whoever asks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from application.core.identity.desk import CodeDesk
from application.core.identity.ports import AttemptCounter, IdentityUnitOfWork, TooManyAttempts
from application.core.identity.security import CodeHasher
from application.core.kernel.mail import Mail, MailsUnitOfWork
from application.core.kernel.ports import Clock, Delivery
from domain.core.identity.account import Account
from domain.core.identity.codes import OneTimeCode
from domain.core.identity.contacts import ContactKind
from domain.core.identity.events import (
    AccountSuspended,
    ContactClaimDropped,
    ContactCodeAsked,
    EmailChangeAsked,
    IdentityEvent,
    PasswordChanged,
    PasswordResetAsked,
    SecondFactorGuessed,
    SecondFactorTurnedOff,
    SecondFactorTurnedOn,
)
from domain.core.kernel.events import Event

HOUR: Final = timedelta(hours=1)
MAILS_PER_HOUR: Final = 10
"""Above what one account may ask for, so that a rival cannot easily keep somebody from confirming his address."""


class IdentityMailUnitOfWork(IdentityUnitOfWork, MailsUnitOfWork, Protocol):
    """A unit of work that knows people and can write to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailContactCode:
    """Hears ContactCodeAsked. Whoever holds the address already is told so, and no code is sent
    (`identity.register_tells_nothing`).
    """

    unit_of_work: Callable[[], IdentityMailUnitOfWork]
    code_desk: CodeDesk
    attempts: AttemptCounter
    hasher: CodeHasher
    clock: Clock
    address: str
    """Where links lead, without a slash at the end."""

    async def __call__(self, event: Event, delivery: Delivery) -> None:
        """Queue the mail."""
        assert isinstance(event, ContactCodeAsked)
        async with self.unit_of_work() as uow:
            code = await uow.codes.get(event.code_id, lock=False)
        if (
            code is None
            or event.kind is not ContactKind.EMAIL
            or not code.is_alive(now=self.clock.now())
            or not await self._is_counted(code.address)
        ):
            code = None
        async with self.unit_of_work() as uow:
            if code is not None:
                account = await uow.accounts.get(event.account_id, lock=False)
                if await uow.accounts.is_verified_elsewhere(ContactKind.EMAIL, code.address, account.id):
                    uow.mails.add(_already_known(delivery, code.address))
                else:
                    uow.mails.add(self._code(delivery, account, code))
            uow.done(delivery)
            await uow.commit()

    async def _is_counted(self, address: str) -> bool:
        """Count a mail to an address, and tell whether it may have one more."""
        key = self.hasher.digest("mails_per_hour", address)
        try:
            await self.attempts.take(key, limit=MAILS_PER_HOUR, window=HOUR, now=self.clock.now())
        except TooManyAttempts:
            return False
        return True

    def _code(self, delivery: Delivery, account: Account, code: OneTimeCode) -> Mail:
        text = (
            f"Hello {account.username},\n\n"
            f"your code to confirm this address is {self.code_desk.digits(code)}.\n\n"
            f"Or open {self.address}/verify-email?token={self.code_desk.link_token(code)}\n\n"
            "If you did not ask for this, ignore this mail: nothing happens without the code.\n"
        )
        return Mail(message_id=str(delivery.id), to=code.address, subject="Confirm your address", text=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailReset:
    """Hears PasswordResetAsked; a row that belongs to nobody sends nothing."""

    unit_of_work: Callable[[], IdentityMailUnitOfWork]
    code_desk: CodeDesk
    clock: Clock
    address: str

    async def __call__(self, event: Event, delivery: Delivery) -> None:
        """Queue the mail."""
        assert isinstance(event, PasswordResetAsked)
        async with self.unit_of_work() as uow:
            code = await uow.codes.get(event.code_id, lock=False)
            if code is not None and code.account_id is not None and code.is_alive(now=self.clock.now()):
                account = await uow.accounts.get(code.account_id, lock=False)
                if account.is_active:
                    uow.mails.add(self._code(delivery, account, code))
            uow.done(delivery)
            await uow.commit()

    def _code(self, delivery: Delivery, account: Account, code: OneTimeCode) -> Mail:
        text = (
            f"Hello {account.username},\n\n"
            f"your code to set a new password is {self.code_desk.digits(code)}.\n\n"
            f"Or open {self.address}/password-reset?token={self.code_desk.link_token(code)}\n\n"
            f"Your user name is {account.username}. If you did not ask for this, ignore this mail.\n"
        )
        return Mail(message_id=str(delivery.id), to=code.address, subject="Set a new password", text=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSecurityNotice:
    """Hears what a person must know about his account, and writes to the address he has verified, if any."""

    unit_of_work: Callable[[], IdentityMailUnitOfWork]

    async def __call__(self, event: Event, delivery: Delivery) -> None:
        """Queue the mail."""
        assert isinstance(event, IdentityEvent)
        subject, sentence = _notice(event)
        async with self.unit_of_work() as uow:
            account = await uow.accounts.get(event.account_id, lock=False)
            contact = account.verified(ContactKind.EMAIL)
            if contact is not None:
                text = f"Hello {account.name},\n\n{sentence}\n\nIf this surprises you, write to us at once.\n"
                uow.mails.add(Mail(message_id=str(delivery.id), to=contact.address, subject=subject, text=text))
            uow.done(delivery)
            await uow.commit()


_SECOND_FACTOR_NOTICES: Mapping[type[IdentityEvent], tuple[str, str]] = {
    SecondFactorTurnedOn: (
        "A second factor protects your account",
        "signing in to your account needs a code of your authenticator now. All other devices were signed out.",
    ),
    SecondFactorTurnedOff: (
        "The second factor of your account is off",
        "signing in to your account needs the password only now. All other devices were signed out.",
    ),
    SecondFactorGuessed: (
        "Somebody may know your password",
        "somebody sent your right password and then a wrong code. If it was not you, set a new password.",
    ),
}


def _notice(event: IdentityEvent) -> tuple[str, str]:
    match event:
        case AccountSuspended(reason=reason):
            return "Your account is suspended", "your account was suspended." + (f" Reason: {reason}" if reason else "")
        case PasswordChanged():
            return "Your password was changed", "the password of your account was changed."
        case EmailChangeAsked():
            return "A new address for your account", (
                "a new e-mail address was named for your account. This one stays in force until that one is confirmed."
            )
        case ContactClaimDropped(kind=kind):
            what = "e-mail address" if kind is ContactKind.EMAIL else "phone number"
            return f"An unconfirmed {what} was removed", (
                f"somebody else has proved that the {what} you had named, and not confirmed, is theirs."
            )
        case _ if type(event) in _SECOND_FACTOR_NOTICES:
            return _SECOND_FACTOR_NOTICES[type(event)]
        case _:
            raise AssertionError(f"no notice is written about {type(event).__name__}")


def _already_known(delivery: Delivery, address: str) -> Mail:
    text = (
        "Hello,\n\nsomebody has just registered with this address, and you have an account with it already.\n\n"
        "If it was you, sign in to that account, or ask for a new password. If it was not, you need not do anything:\n"
        "nobody else can confirm your address.\n"
    )
    return Mail(message_id=str(delivery.id), to=address, subject="You have an account already", text=text)
