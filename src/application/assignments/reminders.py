"""What people are reminded of: a claim due in 24 h and in 1 h, a claim overdue, a plan that ends in 3 d and 1 d, and
administrators of work that waits 48 h and tasks that wait 24 h.
"""

from application.assignments.queries import DueReminder
from domain.assignments.events import ReminderDue


def reminder_due(reminder: DueReminder) -> ReminderDue:
    """Return the fact that somebody is to be reminded."""
    return ReminderDue(
        key=reminder.key,
        kind=reminder.kind,
        recipient=reminder.recipient,
        subject_id=reminder.subject_id,
        title=reminder.title,
        due_at=reminder.due_at,
    )
