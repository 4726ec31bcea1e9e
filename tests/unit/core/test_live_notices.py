"""Which frame a notice arrives in, and how lines are kept up to date."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from uuid import UUID

import pytest

from application.core.identity.security import AccessClaims
from application.core.identity.socket_access import SocketAccess
from application.core.identity.tickets import RedeemTicket
from application.core.notifications.live_notices import NOTICES_AT_ONCE, PLACES_AT_ONCE, Line, LiveNotices
from application.core.notifications.queries import NoticeView, Place
from domain.core.kernel.errors import Unavailable
from domain.core.kernel.ids import AccountId
from domain.core.notifications.notice import Category, Frame, frame_of
from infrastructure.local.realtime import InMemoryRealtime
from tests.contract.core.notices import ADA, BEN, delivery, notice
from tests.fakes.core.identity import InMemoryRevocations, InMemoryTickets
from tests.fakes.core.notifications import InMemoryNoticeQueries
from tests.fakes.core.security import PlainAccessTokens, PlainCodeHasher
from tests.fakes.core.store import InMemoryStore
from tests.fakes.core.system import NOON, FixedClock


@pytest.mark.parametrize(
    ("category", "event", "frame"),
    [
        (Category.ORDER, "order_created", Frame.ORDER),
        (Category.ORDER, "new_order_available", Frame.ORDER),
        (Category.ORDER, "worker_assigned", Frame.ORDER),
        (Category.ORDER, "status_update", Frame.STATUS),
        (Category.PAYMENT, "payment_success", Frame.PAYMENT),
        (Category.PAYMENT, "payment_failed", Frame.PAYMENT),
        (Category.PAYMENT, "payment_refunded", Frame.PAYMENT),
        (Category.ORDER, "order_cancelled", Frame.GENERAL),
        (Category.ORDER, "payment_success", Frame.GENERAL),
        (Category.PAYMENT, "order_created", Frame.GENERAL),
        (Category.GENERAL, "worker_assigned", Frame.GENERAL),
        (Category.ORDER, None, Frame.GENERAL),
        (Category.ORDER, ["order_created"], Frame.GENERAL),
    ],
)
def test_category_and_event_decide_the_frame(category: Category, event: object, frame: Frame) -> None:
    assert frame_of(category, event) is frame


class Screen:
    """What was shown, and whether somebody takes it."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.is_clear = True
        self.is_signed_out = False

    def show(self, notices: Sequence[NoticeView]) -> None:
        self.numbers += [one.seq for one in notices]

    def sign_out(self) -> None:
        self.is_signed_out = True


class SlowQueries(InMemoryNoticeQueries):
    """Reads that a test holds up between looking and answering."""

    def __init__(self, store: InMemoryStore) -> None:
        super().__init__(store)
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        self.asked: list[Collection[Place]] = []

    async def following(self, places: Collection[Place], *, each_max: int) -> Mapping[Place, Sequence[NoticeView]]:
        self.asked.append(places)
        found = await super().following(places, each_max=each_max)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return found


class Stage:
    """Live notices over a database in memory."""

    def __init__(self) -> None:
        self.store = InMemoryStore(clock=FixedClock())
        self.realtime, self.revocations = InMemoryRealtime(), InMemoryRevocations()
        self.queries = SlowQueries(self.store)
        clock = self.store.clock
        access = SocketAccess(
            tokens=PlainAccessTokens(),
            revocations=self.revocations,
            redeem_ticket=RedeemTicket(
                unit_of_work=self.store.unit_of_work,
                tickets=InMemoryTickets(),
                hasher=PlainCodeHasher(),
                clock=clock,
            ),
            clock=clock,
        )
        self.live = LiveNotices(realtime=self.realtime, notices=self.queries, access=access)
        self._number = 0

    async def tell(self, person: AccountId = ADA, times: int = 1) -> None:
        """Write notices, and wake as the commit does."""
        for _ in range(times):
            self._number += 1
            async with self.store.unit_of_work() as uow:
                uow.notices.add(delivery(self._number), notice(person))
                await uow.commit()
        self.realtime.publish(self.store.woken[-1:])

    @asynccontextmanager
    async def line(self, person: AccountId = ADA, after: int | None = None) -> AsyncIterator[tuple[Line, Screen]]:
        screen = Screen()
        async with self.live.line(claims(person), screen, after=after) as line:
            line.woken()
            await self.live.show_due()
            yield line, screen


def claims(person: AccountId) -> AccessClaims:
    return AccessClaims(
        account_id=person,
        family_id=UUID(int=1),
        epoch=0,
        roles=frozenset(),
        expires_at=NOON + timedelta(minutes=30),
    )


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_what_is_written_while_others_are_read_for_is_read_too(stage: Stage) -> None:
    """The wake-up comes after the reading has looked and before it has answered: it must not be taken for served."""
    async with stage.line() as (_, screen):
        stage.queries.meanwhile = stage.tell
        await stage.tell()
        await stage.live.show_due()
        assert screen.numbers == [1, 2]


async def test_a_wake_up_that_comes_twice_shows_nothing_twice(stage: Stage) -> None:
    async with stage.line() as (line, screen):
        await stage.tell()
        line.woken()
        await stage.live.show_due()
        line.woken()
        await stage.live.show_due()
        assert screen.numbers == [1]


async def test_a_reading_that_fails_is_made_again(stage: Stage) -> None:
    async def fail() -> None:
        raise Unavailable

    async with stage.line() as (_, screen):
        stage.queries.meanwhile = fail
        await stage.tell()
        with pytest.raises(Unavailable):
            await stage.live.show_due()
        assert screen.numbers == []
        await stage.live.show_due()
        assert screen.numbers == [1]


async def test_a_long_absence_is_made_up_for_as_fast_as_the_screen_takes_it(stage: Stage) -> None:
    count = 2 * NOTICES_AT_ONCE + 1
    await stage.tell(times=count)
    screen = Screen()
    screen.is_clear = False
    async with stage.live.line(claims(ADA), screen, after=0) as line:
        line.woken()
        for times in (1, 2):
            await stage.live.show_due()
            line.woken()  # something new is written: it waits its turn
            await stage.live.show_due()
            assert screen.numbers == list(range(1, times * NOTICES_AT_ONCE + 1))
            screen.is_clear = True
            line.cleared()
            if times == 1:
                stage.queries.meanwhile = _filled(screen)
        await stage.live.show_due()
        assert screen.numbers == list(range(1, count + 1))
        assert max(len(places) for places in stage.queries.asked) == 1


def _filled(screen: Screen) -> Callable[[], Awaitable[None]]:
    async def fill() -> None:
        screen.is_clear = False

    return fill


async def test_one_reading_serves_all_sockets_that_are_at_the_same_place(stage: Stage) -> None:
    async with AsyncExitStack() as stack:
        screens = [(await stack.enter_async_context(stage.line()))[1] for _ in range(5)]
        stage.queries.asked.clear()
        await stage.tell()
        await stage.live.show_due()
        assert [screen.numbers for screen in screens] == [[1]] * 5
        assert stage.queries.asked == [{Place(ADA, 0)}]


async def test_many_people_are_read_for_a_bounded_number_at_a_time(stage: Stage) -> None:
    people = [AccountId(UUID(int=number)) for number in range(1, PLACES_AT_ONCE + 2)]
    async with AsyncExitStack() as stack:
        screens = [Screen() for _ in people]
        for person, screen in zip(people, screens, strict=True):
            (await stack.enter_async_context(stage.live.line(claims(person), screen, after=None))).woken()
        async with stage.store.unit_of_work() as uow:
            uow.notices.add(delivery(1), *(notice(person) for person in people))
            await uow.commit()
        await stage.live.show_due()
        assert all(screen.numbers == [1] for screen in screens)
        assert [len(places) for places in stage.queries.asked] == [PLACES_AT_ONCE, 1]


async def test_nothing_is_shown_once_the_access_has_ended_even_before_anybody_checks(stage: Stage) -> None:
    async with stage.line() as (_, screen):
        stage.revocations.epochs_ended(ADA, before=1)
        await stage.tell()
        await stage.live.show_due()
        assert (screen.numbers, screen.is_signed_out) == ([], True)
        assert len(stage.queries.asked) == 1, "nothing was read after the start"


async def test_a_check_ends_the_lines_whose_access_has_ended_and_no_others(stage: Stage) -> None:
    async with stage.line() as (_, ours), stage.line(BEN) as (_, others):
        stage.revocations.epochs_ended(ADA, before=1)
        await stage.live.check_access()
        assert (ours.is_signed_out, others.is_signed_out) == (True, False)
        await stage.tell(BEN)
        await stage.live.show_due()
        assert others.numbers == [1]


async def test_who_has_hung_up_is_not_read_for(stage: Stage) -> None:
    async with stage.line() as (line, screen):
        pass
    asked = len(stage.queries.asked)
    line.woken()
    await stage.tell()
    await stage.live.show_due()
    assert (screen.numbers, len(stage.queries.asked)) == ([], asked)


async def test_the_loop_stops_when_told_to(stage: Stage) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(stage.live.run(stop))
    async with stage.line() as (_, screen):
        await stage.tell()
        stop.set()
        async with asyncio.timeout(2):
            await running
    assert screen.numbers in ([], [1])
