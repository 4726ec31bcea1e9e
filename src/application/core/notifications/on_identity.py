"""Tell people in the app what happened to their account.

- None of it can be switched off (notifications.security_always).
- The mails about most of it are identity's own, which go to the address in force at that moment; here they are not
  written again.
- No text names an address or repeats a reason that staff wrote freely (notifications.no_secrets).
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.kernel.ports import Delivery
from application.core.notifications.ports import NoticesUnitOfWork
from domain.core.identity.contacts import ContactKind
from domain.core.identity.events import (
    AccountReinstated,
    AccountSuspended,
    ContactClaimDropped,
    EmailChangeAsked,
    IdentityEvent,
    PasswordChanged,
    SignInReused,
)
from domain.core.kernel.events import Event
from domain.core.notifications.notice import Category, Notice

MAILED_BY_IDENTITY = (AccountSuspended, ContactClaimDropped, EmailChangeAsked, PasswordChanged)


@dataclass(frozen=True, slots=True, kw_only=True)
class TellAccountHolder:
    """Hears what happens to an account without its holder's doing, or in his name."""

    unit_of_work: Callable[[], NoticesUnitOfWork]

    async def __call__(self, event: Event, delivery: Delivery) -> None:
        """Write the notice, and the mail where identity writes none."""
        assert isinstance(event, IdentityEvent)
        async with self.unit_of_work() as uow:
            uow.notices.add(delivery, notice_of(event))
            uow.done(delivery)
            await uow.commit()


def notice_of(event: IdentityEvent) -> Notice:
    """Return what the holder of the account reads."""
    match event:
        case AccountSuspended():
            title, message = "Account suspended", "Your account was suspended and signed out everywhere."
        case AccountReinstated():
            title, message = "Account open again", "Your account is open again; you can sign in."
        case PasswordChanged():
            title = "Password changed"
            message = "The password of your account was changed and all other devices were signed out."
        case EmailChangeAsked():
            title = "New address named"
            message = "A new e-mail address was named. The present one stays in force until the new one is confirmed."
        case ContactClaimDropped(kind=kind):
            what = "e-mail address" if kind is ContactKind.EMAIL else "phone number"
            title = f"Unconfirmed {what} removed"
            message = f"Somebody else has confirmed the {what} that you had named and not confirmed."
        case SignInReused():
            title = "Signed out for your safety"
            message = (
                "An old key of one of your devices was used again, so that device was signed out."
                " If it was not you, change your password."
            )
        case _:
            raise AssertionError(f"nobody is told about {event.event_name()}")
    return Notice(
        recipient=event.account_id,
        category=Category.SECURITY,
        title=title,
        message=message,
        metadata={"event": event.event_name().rpartition(".")[2]},
        mail=not isinstance(event, MAILED_BY_IDENTITY),
    )
