"""Notices: what a person is told about something that happened, and by which channels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from domain.core.kernel.errors import Invalid
from domain.core.kernel.ids import AccountId

TITLE_LENGTH_MAX = 200
MESSAGE_LENGTH_MAX = 2_000


class CannotDisable(Invalid):
    """Security notices, and notices inside the application, cannot be switched off."""

    code = "notifications.cannot_disable"


class Category(StrEnum):
    """What a notice is about; a person chooses channels per category."""

    TUTOR_APPROVAL = "tutor_approval"
    BOOKING = "booking"
    PAYMENT = "payment"
    MESSAGE = "message"
    WITHDRAWAL = "withdrawal"
    LESSON = "lesson"
    REMINDER = "reminder"
    GENERAL = "general"
    ASSIGNMENT = "assignment"
    SUBSCRIPTION = "subscription"
    ORDER = "order"
    TIMEBANK = "timebank"
    AD = "ad"
    MODERATION = "moderation"
    SECURITY = "security"


class Frame(StrEnum):
    """The kinds of frame on a person's socket that carry a notice."""

    ORDER = "order_notification"
    PAYMENT = "payment_notification"
    STATUS = "status_update"
    GENERAL = "notification"


_FRAMES = {
    (Category.ORDER, "order_created"): Frame.ORDER,
    (Category.ORDER, "new_order_available"): Frame.ORDER,
    (Category.ORDER, "worker_assigned"): Frame.ORDER,
    (Category.ORDER, "status_update"): Frame.STATUS,
    (Category.PAYMENT, "payment_success"): Frame.PAYMENT,
    (Category.PAYMENT, "payment_failed"): Frame.PAYMENT,
    (Category.PAYMENT, "payment_refunded"): Frame.PAYMENT,
}


def frame_of(category: Category, event: object) -> Frame:
    """Return in which frame a notice of a category arrives that tells about this event; any word may be unknown."""
    return _FRAMES.get((category, event), Frame.GENERAL) if isinstance(event, str) else Frame.GENERAL


@dataclass(frozen=True, slots=True)
class Channels:
    """Where notices of one category go. The list inside the application has them all, always."""

    email: bool = True
    sms: bool = False


def default_channels(category: Category) -> Channels:
    """Return where notices of a category go until the person says otherwise."""
    return Channels(email=category is not Category.MESSAGE, sms=category is Category.SECURITY)


def choose(category: Category, *, in_app: bool, email: bool, sms: bool) -> Channels:
    """Return a person's choice. Raises CannotDisable (rule notifications.security_always)."""
    if not in_app or (category is Category.SECURITY and not email):
        raise CannotDisable
    return Channels(email=email, sms=sms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message to one person. It holds no code, token, full phone number or address (notifications.no_secrets).

    `link` is a path of the front end or the API. `metadata["event"]`, where it is given, is the word for what happened;
    category and word decide in which frame the notice arrives on a socket. `mail=False` keeps a notice out of the
    mailbox whatever the person chose.
    """

    recipient: AccountId
    category: Category
    title: str
    message: str
    link: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    mail: bool = True

    def __post_init__(self) -> None:
        assert 0 < len(self.title) <= TITLE_LENGTH_MAX, "texts of notices are ours, and short"
        assert 0 < len(self.message) <= MESSAGE_LENGTH_MAX, "texts of notices are ours, and short"

    @property
    def frame(self) -> Frame:
        """In which frame it arrives on the person's sockets."""
        return frame_of(self.category, self.metadata.get("event"))

    @property
    def ignores_choice_of_mail(self) -> bool:
        """Whether it is mailed to those, too, who chose no mail (rule notifications.security_always)."""
        return self.category is Category.SECURITY

    def goes_by_mail(self, channels: Channels) -> bool:
        """Tell whether this notice is mailed to somebody who chose these channels."""
        return self.mail and (channels.email or self.ignores_choice_of_mail)
