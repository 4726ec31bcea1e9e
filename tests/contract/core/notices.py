"""What every store of notices and preferences promises."""

from collections.abc import Callable
from typing import Protocol
from uuid import UUID

import pytest

from application.core.kernel.ports import Delivery, Page
from application.core.notifications.deliver_mails import WaitingMails
from application.core.notifications.ports import MailQueue, NoticesUnitOfWork
from application.core.notifications.queries import NoticeFilter, NoticeQueries, Place
from domain.core.kernel.errors import Invalid, NotFound
from domain.core.kernel.ids import AccountId
from domain.core.notifications.notice import Category, Channels, Frame, Notice, default_channels
from tests.fakes.core.system import NOON

ADA, BEN, CAT = AccountId(UUID(int=0xADA)), AccountId(UUID(int=0xBE)), AccountId(UUID(int=0xCA7))


class NotifyingUnit(NoticesUnitOfWork, Protocol):
    @property
    def mails(self) -> MailQueue: ...


Units = Callable[[], NotifyingUnit]


def delivery(number: int) -> Delivery:
    """Return the delivery of an event of its own."""
    return Delivery(UUID(int=number), UUID(int=0xE000 + number), NOON)


def notice(
    recipient: AccountId = ADA, title: str = "Paid", *, category: Category = Category.PAYMENT, mail: bool = True
) -> Notice:
    return Notice(
        recipient=recipient,
        category=category,
        title=title,
        message=f"{title}.",
        link="/api/wallet",
        metadata={"event": "payment_success", "reference": "SK7Q2M4T9XB1", "nested": {"amount": "1.00"}},
        mail=mail,
    )


async def tell(units: Units, number: int, *notices: Notice) -> None:
    """Tell people about one event, and commit."""
    async with units() as uow:
        uow.notices.add(delivery(number), *notices)
        await uow.commit()


async def seen(queries: NoticeQueries, reader: AccountId = ADA, **wanted: object) -> list[tuple[int, str]]:
    listing = await queries.list_of(reader, NoticeFilter(**wanted), Page())  # type: ignore[arg-type]
    return [(one.seq, one.title) for one in listing.results]


async def mailed(waiting: WaitingMails) -> set[tuple[AccountId | None, str]]:
    """Return whom a mail waits for, and its subject."""
    return {(mail.recipient, mail.subject) for mail in await waiting.take(now=NOON, leased_until=NOON, limit=100)}


class NoticesContract:
    async def test_each_person_s_notices_are_numbered_without_gaps(
        self, unit_of_work: Units, queries: NoticeQueries
    ) -> None:
        await tell(unit_of_work, 1, notice(ADA, "a"), notice(BEN, "b"))
        async with unit_of_work() as uow:
            uow.notices.add(delivery(2), notice(ADA, "lost"))
        await tell(unit_of_work, 3, notice(ADA, "c"))
        async with unit_of_work() as uow:
            uow.notices.add(delivery(4), notice(ADA, "d"))
            uow.notices.add(delivery(5), notice(ADA, "e"))
            await uow.commit()
        assert await seen(queries) == [(4, "e"), (3, "d"), (2, "c"), (1, "a")]
        assert await seen(queries, BEN) == [(1, "b")]

    async def test_a_notice_says_what_was_told(self, unit_of_work: Units, queries: NoticeQueries) -> None:
        await tell(unit_of_work, 1, notice())
        [one] = (await queries.list_of(ADA, NoticeFilter(), Page())).results
        assert (one.category, one.message, one.link, one.is_mailed) == (Category.PAYMENT, "Paid.", "/api/wallet", True)
        assert one.metadata == {
            "event": "payment_success",
            "reference": "SK7Q2M4T9XB1",
            "nested": {"amount": "1.00"},
        }
        assert (one.created_at, one.read_at) == (NOON, None)

    async def test_one_event_is_told_once_to_a_person(self, unit_of_work: Units, queries: NoticeQueries) -> None:
        await tell(unit_of_work, 1, notice(ADA, "first"), notice(ADA, "second"))
        await tell(unit_of_work, 1, notice(ADA, "third"), notice(BEN, "other"))
        await tell(unit_of_work, 2, notice(ADA, "next"))
        assert await seen(queries) == [(2, "next"), (1, "first")]
        assert await seen(queries, BEN) == [(1, "other")]

    async def test_a_list_can_be_narrowed(self, unit_of_work: Units, queries: NoticeQueries) -> None:
        for number, category in enumerate([Category.PAYMENT, Category.ORDER, Category.PAYMENT], 1):
            await tell(unit_of_work, number, notice(ADA, str(number), category=category))
        first = (await queries.list_of(ADA, NoticeFilter(), Page())).results[-1]
        async with unit_of_work() as uow:
            assert await uow.notices.mark_read(ADA, first.id) == 2
            await uow.commit()
        assert await seen(queries, only_unread=True) == [(3, "3"), (2, "2")]
        assert await seen(queries, category=Category.PAYMENT) == [(3, "3"), (1, "1")]
        assert await seen(queries, after=2) == [(3, "3")]
        assert await seen(queries, after=3) == []

    async def test_what_follows_a_place_comes_oldest_first(self, unit_of_work: Units, queries: NoticeQueries) -> None:
        for number in range(1, 5):
            await tell(unit_of_work, number, notice(ADA, f"a{number}"))
        await tell(unit_of_work, 5, notice(BEN, "b", category=Category.GENERAL))
        assert await queries.last_numbers({ADA, BEN, CAT}) == {ADA: 4, BEN: 1, CAT: 0}
        assert await queries.last_numbers(()) == {}
        places = [Place(ADA, 0), Place(ADA, 2), Place(ADA, 4), Place(BEN, 0), Place(CAT, 0)]
        found = await queries.following(places, each_max=3)
        assert {place: [one.title for one in views] for place, views in found.items()} == {
            Place(ADA, 0): ["a1", "a2", "a3"],
            Place(ADA, 2): ["a3", "a4"],
            Place(BEN, 0): ["b"],
        }
        listed = (await queries.list_of(ADA, NoticeFilter(after=2), Page())).results
        assert list(found[Place(ADA, 2)]) == list(listed)[::-1]
        assert (found[Place(ADA, 0)][0].frame, found[Place(BEN, 0)][0].frame) == (Frame.PAYMENT, Frame.GENERAL)

    async def test_a_long_list_comes_in_pages(self, unit_of_work: Units, queries: NoticeQueries) -> None:
        for number in range(1, 6):
            await tell(unit_of_work, number, notice(ADA, str(number)))
        first = await queries.list_of(ADA, NoticeFilter(), Page(2))
        assert ([one.seq for one in first.results], first.previous) == ([5, 4], None)
        second = await queries.list_of(ADA, NoticeFilter(), Page(2, first.next))
        assert [one.seq for one in second.results] == [3, 2]
        last = await queries.list_of(ADA, NoticeFilter(), Page(2, second.next))
        assert ([one.seq for one in last.results], last.next) == ([1], None)
        with pytest.raises(Invalid):
            await queries.list_of(ADA, NoticeFilter(), Page(2, "nonsense"))

    async def test_reading_counts_once_and_only_one_s_own(self, unit_of_work: Units, queries: NoticeQueries) -> None:
        await tell(unit_of_work, 1, notice(ADA), notice(BEN))
        await tell(unit_of_work, 2, notice(ADA))
        theirs = (await queries.list_of(BEN, NoticeFilter(), Page())).results[0]
        mine = (await queries.list_of(ADA, NoticeFilter(), Page())).results[0]
        async with unit_of_work() as uow:
            for notice_id in (theirs.id, UUID(int=404)):
                with pytest.raises(NotFound):
                    await uow.notices.mark_read(ADA, notice_id)
        for _ in range(2):
            async with unit_of_work() as uow:
                assert await uow.notices.mark_read(ADA, mine.id) == 1
                await uow.commit()
        async with unit_of_work() as uow:
            assert await uow.notices.mark_all_read(ADA) == 0
            await uow.commit()
        assert await seen(queries, only_unread=True) == []
        assert len(await seen(queries, BEN, only_unread=True)) == 1

    async def test_reading_without_a_commit_changes_nothing(self, unit_of_work: Units, queries: NoticeQueries) -> None:
        await tell(unit_of_work, 1, notice(ADA))
        async with unit_of_work() as uow:
            await uow.notices.mark_all_read(ADA)
        assert len(await seen(queries, only_unread=True)) == 1

    async def test_preferences_have_every_category(self, unit_of_work: Units, queries: NoticeQueries) -> None:
        async with unit_of_work() as uow:
            assert await uow.notice_preferences.of(ADA) == {one: default_channels(one) for one in Category}
            uow.notice_preferences.choose(ADA, {Category.ORDER: Channels(email=False, sms=True)})
            await uow.commit()
        async with unit_of_work() as uow:
            uow.notice_preferences.choose(ADA, {Category.AD: Channels(email=False)})
            uow.notice_preferences.choose(BEN, {Category.AD: Channels(email=False)})
            await uow.commit()
        expected = {
            **{one: default_channels(one) for one in Category},
            Category.ORDER: Channels(email=False, sms=True),
            Category.AD: Channels(email=False),
        }
        assert await queries.channels_of(ADA) == expected
        async with unit_of_work() as uow:
            assert await uow.notice_preferences.of(ADA) == expected
            uow.notice_preferences.choose(ADA, {Category.ORDER: Channels()})
        assert await queries.channels_of(ADA) == expected

    async def test_mail_follows_the_preferences_of_that_moment(
        self, unit_of_work: Units, queries: NoticeQueries, waiting: WaitingMails
    ) -> None:
        async with unit_of_work() as uow:
            off = Channels(email=False)
            uow.notice_preferences.choose(
                ADA, {Category.ORDER: off, Category.SECURITY: off, Category.MESSAGE: Channels()}
            )
            await uow.commit()
        await tell(unit_of_work, 1, notice(ADA, "off", category=Category.ORDER), notice(BEN, "on"))
        await tell(unit_of_work, 2, notice(ADA, "always", category=Category.SECURITY))
        await tell(unit_of_work, 3, notice(ADA, "chosen", category=Category.MESSAGE))
        await tell(unit_of_work, 4, notice(BEN, "default", category=Category.MESSAGE))
        await tell(unit_of_work, 5, notice(BEN, "never", mail=False))
        assert await mailed(waiting) == {(BEN, "on"), (ADA, "always"), (ADA, "chosen")}
        listed = (await queries.list_of(ADA, NoticeFilter(), Page())).results
        assert [(one.title, one.is_mailed) for one in listed] == [("chosen", True), ("always", True), ("off", False)]

    async def test_no_mail_leaves_for_a_notice_that_was_rolled_back_or_repeated(
        self, unit_of_work: Units, waiting: WaitingMails
    ) -> None:
        async with unit_of_work() as uow:
            uow.notices.add(delivery(1), notice(ADA, "ghost"))
        await tell(unit_of_work, 2, notice(ADA, "real"))
        await tell(unit_of_work, 2, notice(ADA, "again"))
        assert await mailed(waiting) == {(ADA, "real")}
