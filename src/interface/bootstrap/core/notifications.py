"""Notifications as the server sees them."""

from dataclasses import dataclass
from datetime import timedelta

from application.core.kernel.ports import EventHandler
from application.core.notifications.choose_channels import ChooseChannels
from application.core.notifications.deliver_mails import DeliverMails
from application.core.notifications.live_notices import LiveNotices
from application.core.notifications.on_identity import TellAccountHolder
from application.core.notifications.on_payment import TellPayer
from application.core.notifications.on_withdrawal import TellWithdrawer
from application.core.notifications.queries import NoticeQueries
from application.core.notifications.read_notices import ReadNotices
from domain.core.identity.events import (
    AccountReinstated,
    AccountSuspended,
    ContactClaimDropped,
    EmailChangeAsked,
    PasswordChanged,
    SignInReused,
)
from domain.core.kernel.events import Event
from domain.core.payments.events import PaymentFailed, PaymentRefunded, PaymentSucceeded
from domain.core.payments.withdrawal_events import (
    WithdrawalApproved,
    WithdrawalCompleted,
    WithdrawalFailed,
    WithdrawalRejected,
    WithdrawalRequested,
)
from interface.bootstrap.adapters import Adapters
from interface.bootstrap.area import Area, Subscription
from interface.bootstrap.background import Loop, every
from interface.bootstrap.core.identity import socket_access_of
from interface.http.core.notifications import NotificationController
from interface.websocket.core.notifications import NOTIFICATIONS_SOCKET

ACCOUNT_EVENTS = (
    AccountReinstated,
    AccountSuspended,
    ContactClaimDropped,
    EmailChangeAsked,
    PasswordChanged,
    SignInReused,
)
PAYMENT_EVENTS = (PaymentSucceeded, PaymentFailed, PaymentRefunded)
WITHDRAWAL_EVENTS = (
    WithdrawalRequested,
    WithdrawalApproved,
    WithdrawalRejected,
    WithdrawalCompleted,
    WithdrawalFailed,
)


ACCESS_CHECKED_EVERY = timedelta(seconds=1)
"""With the second in which revocations are followed, well within the five of identity.access_follows_account."""

CAUGHT_UP_EVERY = timedelta(seconds=10)
"""Heals wake-ups that were lost between a commit and their sending; one short query for all sockets of a process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationUseCases:
    choose_channels: ChooseChannels
    deliver_mails: DeliverMails
    live_notices: LiveNotices
    notice_queries: NoticeQueries
    read_notices: ReadNotices


def deliver_mails_of(adapters: Adapters) -> DeliverMails:
    """Return the use case that a loop calls every second: mail leaves within 2 s (notifications.from_outbox)."""
    return DeliverMails(
        waiting=adapters.waiting_mails,
        addresses=adapters.mail_addresses,
        mailer=adapters.mailer,
        clock=adapters.clock,
    )


def notifications_area(adapters: Adapters) -> Area:
    """Wire notifications."""
    live_notices = LiveNotices(
        realtime=adapters.realtime, notices=adapters.notice_queries, access=socket_access_of(adapters)
    )
    tell_account_holder = TellAccountHolder(unit_of_work=adapters.notices_units)
    tell_payer = TellPayer(unit_of_work=adapters.notices_units)
    tell_withdrawer = TellWithdrawer(unit_of_work=adapters.notices_units)
    return Area(
        name="notifications",
        use_cases=NotificationUseCases(
            choose_channels=ChooseChannels(unit_of_work=adapters.notices_units),
            deliver_mails=deliver_mails_of(adapters),
            live_notices=live_notices,
            notice_queries=adapters.notice_queries,
            read_notices=ReadNotices(unit_of_work=adapters.notices_units),
        ),
        controllers=(NotificationController, NOTIFICATIONS_SOCKET),
        subscriptions=(
            *(_told(event, "account_holder", tell_account_holder) for event in ACCOUNT_EVENTS),
            *(_told(event, "payer", tell_payer) for event in PAYMENT_EVENTS),
            *(_told(event, "withdrawer", tell_withdrawer) for event in WITHDRAWAL_EVENTS),
        ),
        loops=(
            Loop("notifications.show", live_notices.run),
            every(ACCESS_CHECKED_EVERY, "notifications.check_access", live_notices.check_access),
            every(CAUGHT_UP_EVERY, "notifications.catch_up", live_notices.catch_up),
        ),
    )


def _told(event: type[Event], who: str, handler: EventHandler) -> Subscription:
    return Subscription(event, f"notifications.tell_{who}_{event.event_name().rpartition('.')[2]}", handler)
