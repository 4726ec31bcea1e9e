"""What people are reminded of: a visit in 24 h and in 1 h, silence that will accept, a payment window that ends."""

from application.gigs.order_queries import DueOrderReminder
from domain.gigs.events import OrderReminderDue


def order_reminder_due(reminder: DueOrderReminder) -> OrderReminderDue:
    """Return the fact that somebody is to be reminded."""
    return OrderReminderDue(
        kind=str(reminder.kind),
        recipient=reminder.recipient,
        order_id=reminder.order_id,
        service=reminder.service,
        due_at=reminder.due_at,
    )
