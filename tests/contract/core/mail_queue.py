"""What every mail queue promises to those who add and to the one who sends."""

from datetime import timedelta

from application.core.kernel.mail import Mail
from application.core.notifications.deliver_mails import WaitingMails
from tests.contract.core.notices import Units
from tests.fakes.core.system import NOON

LATER = NOON + timedelta(minutes=5)
CODE = "834512"


def mail(message_id: str = "m1") -> Mail:
    return Mail(message_id=message_id, to="ada@example.test", subject="Your code", text=f"Your code is {CODE}.")


async def queue(units: Units, *mails: Mail) -> None:
    """Queue mails, and commit."""
    async with units() as uow:
        for one in mails:
            uow.mails.add(one)
        await uow.commit()


class MailQueueContract:
    async def test_a_mail_leaves_only_after_its_commit(self, unit_of_work: Units, waiting: WaitingMails) -> None:
        async with unit_of_work() as uow:
            uow.mails.add(mail("ghost"))
        await queue(unit_of_work, mail())
        [taken] = await waiting.take(now=NOON, leased_until=LATER, limit=10)
        assert (taken.message_id, taken.to, taken.recipient) == ("m1", "ada@example.test", None)
        assert (taken.subject, taken.text, taken.attempt) == ("Your code", f"Your code is {CODE}.", 1)

    async def test_the_same_message_is_queued_once(self, unit_of_work: Units, waiting: WaitingMails) -> None:
        await queue(unit_of_work, mail(), mail())
        await queue(unit_of_work, mail())
        assert len(await waiting.take(now=NOON, leased_until=LATER, limit=10)) == 1

    async def test_a_taken_mail_is_given_out_again_when_its_lease_ends(
        self, unit_of_work: Units, waiting: WaitingMails
    ) -> None:
        await queue(unit_of_work, mail())
        await waiting.take(now=NOON, leased_until=LATER, limit=10)
        assert await waiting.take(now=LATER - timedelta(seconds=1), leased_until=LATER, limit=10) == []
        [again] = await waiting.take(now=LATER, leased_until=LATER + timedelta(minutes=5), limit=10)
        assert (again.message_id, again.attempt) == ("m1", 2)

    async def test_a_batch_is_bounded_and_the_oldest_first(self, unit_of_work: Units, waiting: WaitingMails) -> None:
        await queue(unit_of_work, mail("m1"), mail("m2"), mail("m3"))
        first = await waiting.take(now=NOON, leased_until=LATER, limit=2)
        rest = await waiting.take(now=NOON, leased_until=LATER, limit=2)
        assert [[one.message_id for one in batch] for batch in (first, rest)] == [["m1", "m2"], ["m3"]]

    async def test_what_is_sent_or_given_up_never_comes_back(self, unit_of_work: Units, waiting: WaitingMails) -> None:
        await queue(unit_of_work, mail("m1"), mail("m2"))
        one, two = await waiting.take(now=NOON, leased_until=NOON, limit=10)
        await waiting.sent(one, now=NOON)
        await waiting.give_up(two, now=NOON, error="notifications.mail_refused")
        assert await waiting.take(now=LATER, leased_until=LATER, limit=10) == []
        await queue(unit_of_work, mail("m1"), mail("m2"))
        assert await waiting.take(now=LATER, leased_until=LATER, limit=10) == []

    async def test_a_mail_to_be_tried_again_waits_until_then(self, unit_of_work: Units, waiting: WaitingMails) -> None:
        await queue(unit_of_work, mail())
        [taken] = await waiting.take(now=NOON, leased_until=NOON + timedelta(hours=1), limit=10)
        await waiting.try_again(taken, at=LATER, error="notifications.mail_unavailable")
        assert await waiting.take(now=LATER - timedelta(seconds=1), leased_until=LATER, limit=10) == []
        assert len(await waiting.take(now=LATER, leased_until=LATER, limit=10)) == 1

    async def test_a_late_answer_does_not_end_the_next_attempt(
        self, unit_of_work: Units, waiting: WaitingMails
    ) -> None:
        await queue(unit_of_work, mail())
        [slow] = await waiting.take(now=NOON, leased_until=NOON, limit=10)
        [quick] = await waiting.take(now=NOON, leased_until=NOON, limit=10)
        await waiting.give_up(slow, now=NOON, error="notifications.mail_refused")
        await waiting.try_again(slow, at=LATER, error="notifications.mail_unavailable")
        assert [one.attempt for one in await waiting.take(now=NOON, leased_until=NOON, limit=10)] == [3]
        await waiting.sent(quick, now=NOON)  # it was sent, whoever sent it
        assert await waiting.take(now=LATER, leased_until=LATER, limit=10) == []
