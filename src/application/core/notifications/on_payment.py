"""Tell payers how their payments ended.

No text names a phone number, an address or a provider's reference (notifications.no_secrets); our own reference is what
a payer quotes to support.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from application.core.kernel.ports import Delivery
from application.core.notifications.ports import NoticesUnitOfWork
from domain.core.kernel.events import Event
from domain.core.kernel.money import Money
from domain.core.notifications.notice import Category, Notice
from domain.core.payments.events import PaymentEvent, PaymentFailed, PaymentRefunded, PaymentSucceeded

ENDINGS: Mapping[str, str] = {
    "cancelled": "was cancelled",
    "expired": "was not confirmed in time",
    "failed": "did not go through",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TellPayer:
    """Hears PaymentSucceeded, PaymentFailed and PaymentRefunded."""

    unit_of_work: Callable[[], NoticesUnitOfWork]

    async def __call__(self, event: Event, delivery: Delivery) -> None:
        """Write the notice; the mail about it waits in the same transaction."""
        assert isinstance(event, PaymentEvent)
        async with self.unit_of_work() as uow:
            uow.notices.add(delivery, notice_of(event))
            uow.done(delivery)
            await uow.commit()


def notice_of(event: PaymentEvent) -> Notice:
    """Return what the payer reads."""
    amount = Money(event.amount_minor, event.currency)
    match event:
        case PaymentSucceeded(went_to_wallet=True):
            title, message = "Payment received", f"{amount} arrived and is in your wallet. Reference {event.reference}."
            frame = "payment_success"
        case PaymentSucceeded():
            title, message, frame = (
                "Payment received",
                f"{amount} was paid. Reference {event.reference}.",
                "payment_success",
            )
        case PaymentFailed():
            ending = ENDINGS.get(event.outcome, ENDINGS["failed"])
            title, frame = "Payment not completed", "payment_failed"
            message = f"Your payment of {amount} {ending}. You can try again. Reference {event.reference}."
        case PaymentRefunded():
            where = "to your wallet" if event.to_wallet else "by the way it was paid"
            title, frame = "Payment refunded", "payment_refunded"
            message = f"{amount} is returned {where}. Reference {event.reference}."
        case _:
            raise AssertionError(f"nobody is told about {event.event_name()}")
    return Notice(
        recipient=event.payer,
        category=Category.PAYMENT,
        title=title,
        message=message,
        link=f"/api/transactions/status/{event.reference}",
        metadata={
            "event": frame,
            "reference": event.reference,
            "amount": amount.text,
            "currency": amount.currency,
            "purpose": event.purpose,
            "subject": str(event.subject),
        },
    )
