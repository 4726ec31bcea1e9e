"""What people are told, by which channels, and what happens when a channel fails."""

from datetime import timedelta
from uuid import UUID

import pytest

from application.core.kernel.mail import Mail
from application.core.kernel.ports import Delivery, Page
from application.core.notifications.choose_channels import ChooseChannels, WantedChannels
from application.core.notifications.deliver_mails import DeliverMails
from application.core.notifications.on_identity import TellAccountHolder
from application.core.notifications.on_payment import TellPayer
from application.core.notifications.queries import NoticeFilter, NoticeView
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
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.notifications.notice import CannotDisable, Category, Channels, default_channels
from domain.core.payments.events import PaymentEvent, PaymentFailed, PaymentRefunded, PaymentSucceeded
from tests.contract.core.mail_queue import mail, queue
from tests.contract.core.notices import ADA, BEN, delivery, notice, tell
from tests.fakes.core.mailer import InMemoryMailer
from tests.fakes.core.notifications import InMemoryNoticeQueries, InMemoryWaitingMails, KnownAddresses, QueuedMail
from tests.fakes.core.store import InMemoryStore
from tests.fakes.core.system import FixedClock

PAYMENT = {
    "intent_id": IntentId(UUID(int=1)),
    "attempt_id": UUID(int=2),
    "reference": "SK7Q2M4T9XB1",
    "payer": ADA,
    "purpose": "wallet",
    "subject": UUID(int=3),
    "amount_minor": 200_000,
    "currency": "KES",
}


class FaultyMailer(InMemoryMailer):
    """Makes a mistake with the first mail, when a test asks for one."""

    has_mistake = False

    async def send(self, mail: Mail) -> None:
        if self.has_mistake:
            self.has_mistake = False
            raise RuntimeError("a mistake")
        await super().send(mail)


class Bench:
    def __init__(self) -> None:
        self.clock = FixedClock()
        self.store = InMemoryStore(clock=self.clock)
        self.post = FaultyMailer()
        self.addresses = KnownAddresses({ADA: "ada@example.test"})
        self.queries = InMemoryNoticeQueries(self.store)
        self.deliver = DeliverMails(
            waiting=InMemoryWaitingMails(self.store), addresses=self.addresses, mailer=self.post, clock=self.clock
        )
        self.choose = ChooseChannels(unit_of_work=self.store.unit_of_work)

    def queued(self) -> list[QueuedMail]:
        return list(self.store.rows("mail_queue").values())

    async def notices(self, reader: AccountId = ADA) -> list[NoticeView]:
        return list((await self.queries.list_of(reader, NoticeFilter(), Page())).results)


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_waiting_mail_is_sent_once(bench: Bench) -> None:
    await queue(bench.store.unit_of_work, mail("m1"), mail("m2"))
    assert await bench.deliver(100) == 2
    assert bench.post.sent == [mail("m1"), mail("m2")]
    bench.clock.advance(timedelta(days=1))
    assert await bench.deliver(100) == 0
    assert len(bench.post.sent) == 2


async def test_a_notice_is_mailed_to_the_address_verified_now(bench: Bench) -> None:
    await tell(bench.store.unit_of_work, 1, notice(ADA, "Paid"), notice(BEN, "Paid"))
    bench.addresses.addresses[ADA] = "new@example.test"
    assert await bench.deliver(100) == 2
    [sent] = bench.post.sent
    assert (sent.to, sent.subject, sent.text) == ("new@example.test", "Paid", "Paid.")
    assert [(row.error, row.dead_at is None) for row in bench.queued()] == [
        (None, True),
        ("notifications.no_verified_address", False),
    ]
    assert len(await bench.notices(BEN)) == 1


async def test_a_failing_server_is_tried_again_later_and_later_then_given_up(bench: Bench) -> None:
    await queue(bench.store.unit_of_work, mail())
    bench.post.is_down = True
    for delay in (1, 5, 30, 120, 720):
        assert await bench.deliver(100) == 1
        bench.clock.advance(timedelta(minutes=delay, seconds=-1))
        assert await bench.deliver(100) == 0
        bench.clock.advance(timedelta(seconds=1))
    assert await bench.deliver(100) == 1
    [row] = bench.queued()
    assert (row.mail.attempt, row.error, row.dead_at) == (6, "notifications.mail_unavailable", bench.clock.now())
    assert (row.mail.text, row.mail.to) == ("", None)
    assert bench.post.sent == []


async def test_a_mail_that_gets_through_at_last_keeps_its_message_id(bench: Bench) -> None:
    await queue(bench.store.unit_of_work, mail("m1"))
    bench.post.is_down = True
    await bench.deliver(100)
    bench.post.is_down = False
    bench.clock.advance(timedelta(minutes=1))
    await bench.deliver(100)
    assert [one.message_id for one in bench.post.sent] == ["m1"]


async def test_a_refused_mail_is_given_up_and_the_rest_is_sent(bench: Bench) -> None:
    await tell(bench.store.unit_of_work, 1, notice(ADA), notice(BEN))
    bench.addresses.addresses[BEN] = "ben@example.test"
    bench.post.refuse("ada@example.test")
    assert await bench.deliver(100) == 2
    assert [one.to for one in bench.post.sent] == ["ben@example.test"]
    assert len(await bench.notices(ADA)) == 1
    assert sorted(row.error or "" for row in bench.queued()) == ["", "notifications.mail_refused"]


async def test_a_mistake_of_ours_in_one_mail_surfaces_after_the_rest_was_sent(bench: Bench) -> None:
    await queue(bench.store.unit_of_work, mail("m1"), mail("m2"), mail("m3"))
    bench.post.has_mistake = True
    with pytest.raises(RuntimeError):
        await bench.deliver(100)
    assert len(bench.post.sent) == 2
    bench.clock.advance(timedelta(minutes=5))
    assert await bench.deliver(100) == 1
    assert len(bench.post.sent) == 3


@pytest.mark.parametrize(
    ("event", "title", "message", "frame"),
    [
        (
            PaymentSucceeded(**PAYMENT, went_to_wallet=False),  # type: ignore[arg-type]
            "Payment received",
            "2000.00 KES was paid. Reference SK7Q2M4T9XB1.",
            "payment_success",
        ),
        (
            PaymentSucceeded(**PAYMENT, went_to_wallet=True),  # type: ignore[arg-type]
            "Payment received",
            "2000.00 KES arrived and is in your wallet. Reference SK7Q2M4T9XB1.",
            "payment_success",
        ),
        (
            PaymentFailed(**PAYMENT, outcome="expired", code=None),  # type: ignore[arg-type]
            "Payment not completed",
            "Your payment of 2000.00 KES was not confirmed in time. You can try again. Reference SK7Q2M4T9XB1.",
            "payment_failed",
        ),
        (
            PaymentRefunded(**PAYMENT, to_wallet=True),  # type: ignore[arg-type]
            "Payment refunded",
            "2000.00 KES is returned to your wallet. Reference SK7Q2M4T9XB1.",
            "payment_refunded",
        ),
    ],
)
async def test_a_payer_is_told_how_a_payment_ended(
    bench: Bench, event: PaymentEvent, title: str, message: str, frame: str
) -> None:
    told = delivery(1)
    tell_payer = TellPayer(unit_of_work=bench.store.unit_of_work)
    await tell_payer(event, told)
    [one] = await bench.notices()
    assert (one.category, one.title, one.message) == (Category.PAYMENT, title, message)
    assert (one.metadata["event"], one.metadata["amount"]) == (frame, "2000.00")
    assert one.link == "/api/transactions/status/SK7Q2M4T9XB1"
    assert bench.store.deliveries_done == [told]


@pytest.mark.parametrize(
    ("event", "title", "is_mailed"),
    [
        (AccountSuspended(account_id=ADA, reason="canary"), "Account suspended", False),
        (AccountReinstated(account_id=ADA), "Account open again", True),
        (PasswordChanged(account_id=ADA), "Password changed", False),
        (EmailChangeAsked(account_id=ADA), "New address named", False),
        (ContactClaimDropped(account_id=ADA, kind=ContactKind.EMAIL), "Unconfirmed e-mail address removed", False),
        (ContactClaimDropped(account_id=ADA, kind=ContactKind.PHONE), "Unconfirmed phone number removed", False),
        (SignInReused(account_id=ADA), "Signed out for your safety", True),
    ],
)
async def test_the_holder_of_an_account_is_told_what_happened_to_it(
    bench: Bench, event: IdentityEvent, title: str, is_mailed: bool
) -> None:
    told = delivery(1)
    await TellAccountHolder(unit_of_work=bench.store.unit_of_work)(event, told)
    [one] = await bench.notices()
    assert (one.category, one.title) == (Category.SECURITY, title)
    assert "canary" not in one.message
    assert len(bench.queued()) == is_mailed  # what is not mailed here is mailed by identity, once
    assert bench.store.deliveries_done == [told]


async def test_an_event_delivered_again_tells_nothing_new(bench: Bench) -> None:
    event = PaymentSucceeded(**PAYMENT, went_to_wallet=True)  # type: ignore[arg-type]
    tell_payer = TellPayer(unit_of_work=bench.store.unit_of_work)
    await tell_payer(event, delivery(1))
    again = Delivery(UUID(int=99), delivery(1).event_id, delivery(1).occurred_at)
    await tell_payer(event, again)
    assert len(await bench.notices()) == 1
    assert len(bench.queued()) == 1


async def test_channels_that_are_not_named_stay(bench: Bench) -> None:
    await bench.choose(ADA, {Category.ORDER: WantedChannels(email=False)})
    chosen = await bench.choose(ADA, {Category.ORDER: WantedChannels(sms=True, in_app=True)})
    expected = {one: default_channels(one) for one in Category} | {Category.ORDER: Channels(email=False, sms=True)}
    assert chosen == expected
    assert await bench.queries.channels_of(ADA) == expected


@pytest.mark.parametrize(
    ("category", "wanted"),
    [
        (Category.ORDER, WantedChannels(in_app=False)),
        (Category.SECURITY, WantedChannels(email=False)),
        (Category.SECURITY, WantedChannels(in_app=False)),
    ],
)
async def test_what_must_arrive_cannot_be_switched_off_and_nothing_is_stored(
    bench: Bench, category: Category, wanted: WantedChannels
) -> None:
    with pytest.raises(CannotDisable):
        await bench.choose(ADA, {Category.AD: WantedChannels(email=False), category: wanted})
    assert bench.store.rows("notification_preferences") == {}
    assert bench.store.commits == 0


def test_by_default_everything_is_mailed_but_messages_and_only_security_comes_by_sms() -> None:
    defaults = {category: default_channels(category) for category in Category}
    assert {one for one, channels in defaults.items() if not channels.email} == {Category.MESSAGE}
    assert {one for one, channels in defaults.items() if channels.sms} == {Category.SECURITY}
