"""Tell owners what becomes of their withdrawals.

- A destination that money was never asked to go to is a matter of security: that notice cannot be switched off
  (notifications.security_always).
- No text names the destination or repeats a note that staff wrote freely; both are shown with the withdrawal
  (notifications.no_secrets).
- Cancelling tells nobody: the owner did it himself.
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.kernel.ports import Delivery
from application.core.notifications.ports import NoticesUnitOfWork
from domain.core.kernel.events import Event
from domain.core.kernel.money import Money
from domain.core.notifications.notice import Category, Notice
from domain.core.payments.withdrawal_events import (
    WithdrawalApproved,
    WithdrawalCompleted,
    WithdrawalEvent,
    WithdrawalFailed,
    WithdrawalRejected,
    WithdrawalRequested,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TellWithdrawer:
    """Hears every WithdrawalEvent."""

    unit_of_work: Callable[[], NoticesUnitOfWork]

    async def __call__(self, event: Event, delivery: Delivery) -> None:
        """Write the notice; the mail about it waits in the same transaction."""
        assert isinstance(event, WithdrawalEvent)
        async with self.unit_of_work() as uow:
            uow.notices.add(delivery, notice_of(event))
            uow.done(delivery)
            await uow.commit()


def notice_of(event: WithdrawalEvent) -> Notice:
    """Return what the owner reads."""
    amount = Money(event.amount_minor, event.currency)
    category = Category.WITHDRAWAL
    match event:
        case WithdrawalRequested(is_new_destination=True):
            title, category = "Withdrawal to a new destination", Category.SECURITY
            message = (
                f"A withdrawal of {amount} to a destination that is new for you was requested."
                " If it was not you, cancel it and change your password."
            )
        case WithdrawalRequested():
            title, message = "Withdrawal requested", f"{amount} is set aside until your withdrawal is decided about."
        case WithdrawalApproved():
            title, message = "Withdrawal approved", f"Your withdrawal of {amount} was approved and will be paid."
        case WithdrawalRejected():
            title, message = "Withdrawal refused", f"Your withdrawal was refused; {amount} is back in your wallet."
        case WithdrawalCompleted():
            title, message = "Withdrawal paid", f"{amount} was paid out to you."
        case WithdrawalFailed(was_returned=True):
            title, message = "Withdrawal returned", f"Your payout came back; {amount} is in your wallet again."
        case WithdrawalFailed():
            title, message = "Withdrawal failed", f"Your payout did not go through; {amount} is back in your wallet."
        case _:
            raise AssertionError(f"nobody is told about {event.event_name()}")
    return Notice(
        recipient=event.owner,
        category=category,
        title=title,
        message=message,
        link="/api/withdrawals",
        metadata={
            "event": event.event_name().rpartition(".")[2],
            "withdrawal": str(event.withdrawal_id),
            "amount": amount.text,
            "currency": amount.currency,
        },
    )
