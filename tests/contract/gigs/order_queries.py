"""What every reader of orders promises."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from application.core.kernel.ports import Page
from application.gigs.order_queries import (
    DueOrderReminder,
    OpenOrder,
    OrderFilter,
    OrderScope,
    OrderView,
    ReminderKind,
    StepView,
    Viewer,
)
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.transfer import TransferKind
from domain.core.payments.intent import PaymentIntent
from domain.gigs.matching import Candidate
from domain.gigs.order import Order, OrderId, OrderNotFound
from domain.gigs.transitions import OPEN_STAGES, OrderStatus, Stage
from domain.gigs.worker import AREA
from tests.builders.orders import (
    ADMIN,
    AS_CLIENT,
    CLIENT,
    IDS,
    LISTER,
    OTHER_CLIENT,
    OTHER_WORKER,
    TERMS,
    THIRD_WORKER,
    VISIT_AT,
    WORKER,
    a_paid_order,
    an_offering,
    an_order,
    an_order_at,
    offer,
)
from tests.contract.gigs.orders import MICROSECOND, OrderStore, block, change, shut, store, suspend_grant
from tests.fakes.core.system import NOON

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
AS_ADMIN = Viewer(account_id=ADMIN, is_admin=True)
ALL = OrderFilter()


def as_person(account_id: AccountId) -> Viewer:
    return Viewer(account_id=account_id, is_admin=False)


async def listed(orders: OrderStore, viewer: Viewer, wanted: OrderFilter = ALL, *, limit: int = 50) -> list[OrderId]:
    found: list[OrderId] = []
    page = Page(cursor=None, limit=limit)
    while True:
        listing = await orders.queries.orders(wanted, viewer, page)
        assert len(listing.results) <= limit
        found += [view.id for view in listing.results]
        if listing.next is None:
            return found
        page = Page(cursor=listing.next, limit=limit)


def newest_first(*placed: Order) -> list[OrderId]:
    return sorted((order.id for order in placed), reverse=True)


async def may_see(orders: OrderStore, order: Order, viewer: Viewer) -> OrderView | None:
    """Return what somebody sees of an order, and make sure that his list says the same."""
    try:
        view = await orders.queries.order(order.id, viewer)
    except OrderNotFound:
        view = None
    assert (order.id in await listed(orders, viewer)) is (view is not None)
    return view


async def rate(orders: OrderStore, worker: AccountId, *ratings: int) -> None:
    async with orders.units() as uow:
        summary = await uow.reviews.summary(worker, AREA)
        for rating in ratings:
            summary.add(rating)
        await uow.commit()


class OrderQueriesContract:
    # -- one order --

    async def test_an_order_shows_what_was_stored(self, orders: OrderStore) -> None:
        order = an_order_at(Stage.STARTED, quantity=3)
        await store(orders, order)
        view = await orders.queries.order(order.id, as_person(CLIENT))
        assert (view.client.id, view.client.username) == (CLIENT, "carol")
        assert view.worker is not None
        assert (view.worker.id, view.worker.username) == (WORKER, "wanja")
        assert (view.offering_id, view.service, view.description) == (an_offering().id, "Deep clean 1", "2 flats")
        assert (view.scheduled_at, view.quantity, view.total) == (VISIT_AT, 3, Money(7500_00))
        assert (view.stage, view.status) == (Stage.STARTED, OrderStatus.IN_PROGRESS)
        assert (view.payment_id, view.attempts_left, view.refunded) == (None, None, Money.zero("KES"))
        assert (view.answer_by, view.created_at, view.updated_at) == (None, NOON, NOON)
        assert view.steps == (
            StepView(status=OrderStatus.PENDING, stage=Stage.UNPAID, comment="", created_by=CLIENT, created_at=NOON),
            StepView(status=OrderStatus.PAID, stage=Stage.UNASSIGNED, comment="", created_by=None, created_at=NOON),
            StepView(
                status=OrderStatus.IN_PROGRESS, stage=Stage.ASSIGNED, comment="", created_by=WORKER, created_at=NOON
            ),
            StepView(
                status=OrderStatus.IN_PROGRESS, stage=Stage.STARTED, comment="", created_by=WORKER, created_at=NOON
            ),
        )

    async def test_an_offered_order_says_until_when(self, orders: OrderStore) -> None:
        order = an_order_at(Stage.OFFERED)
        await store(orders, order)
        view = await orders.queries.order(order.id, AS_ADMIN)
        assert view.answer_by == NOON + timedelta(minutes=15)
        assert view.worker is not None
        assert view.worker.id == WORKER

    async def test_an_order_shows_its_payment(self, orders: OrderStore) -> None:
        order = an_order()
        intent = PaymentIntent(
            id=IntentId(IDS.new()),
            reference="R1",
            payer=CLIENT,
            purpose="order",
            subject=order.id,
            amount=order.total,
            destination=AccountRef.escrow("order", order.id),
            kind=TransferKind.ORDER_PAYMENT,
            expires_at=NOON + DAY,
            created_at=NOON,
            refunded_minor=1000_00,
            attempts_max=5,
        )
        order.intent_id = intent.id
        async with orders.units() as uow:
            uow.orders.add(order)
            uow.intents.add(intent)
            await uow.commit()
        view = await orders.queries.order(order.id, as_person(CLIENT))
        assert (view.payment_id, view.refunded, view.attempts_left) == (intent.id, Money(1000_00), 5)

    async def test_an_unknown_order_is_refused(self, orders: OrderStore) -> None:
        with pytest.raises(OrderNotFound):
            await orders.queries.order(OrderId(UUID(int=1)), AS_ADMIN)

    # -- who sees it, and its address --

    async def test_who_sees_an_order_and_its_address(self, orders: OrderStore) -> None:
        for stage in Stage:
            order = an_order_at(stage, offering=an_offering(3))  # which none but its lister does
            await store(orders, order)
            seen = {}
            for viewer in (AS_ADMIN, *map(as_person, (CLIENT, OTHER_CLIENT, WORKER, OTHER_WORKER, LISTER))):
                view = await may_see(orders, order, viewer)
                seen[viewer.account_id] = "not at all" if view is None else view.address
            is_on_it = stage not in {Stage.UNPAID, Stage.UNASSIGNED, Stage.OFFERED, Stage.CANCELED}
            assert seen == {
                ADMIN: "Market Street 1",
                CLIENT: "Market Street 1",
                OTHER_CLIENT: "not at all",
                WORKER: "Market Street 1" if is_on_it else None if stage is Stage.OFFERED else "not at all",
                OTHER_WORKER: "not at all",
                LISTER: None if stage in OPEN_STAGES else "not at all",
            }, stage

    async def test_what_was_said_on_the_way_is_for_those_who_know_the_address(self, orders: OrderStore) -> None:
        order = an_order_at(Stage.ASSIGNED, offering=an_offering(3))
        order.withdraw(WORKER, comment="Market Street 1 is too far", now=NOON)
        await store(orders, order)
        said = {}
        for viewer in (AS_ADMIN, as_person(CLIENT), as_person(LISTER)):
            view = await orders.queries.order(order.id, viewer)
            assert [step.stage for step in view.steps][-2:] == [Stage.ASSIGNED, Stage.UNASSIGNED]
            said[viewer.account_id] = view.steps[-1].comment
        assert said == {ADMIN: "Market Street 1 is too far", CLIENT: "Market Street 1 is too far", LISTER: ""}

    @pytest.mark.parametrize(("blocker", "blocked"), [(WORKER, CLIENT), (CLIENT, WORKER)])
    async def test_a_block_hides_open_orders_both_ways(
        self, orders: OrderStore, blocker: AccountId, blocked: AccountId
    ) -> None:
        unassigned, offered = (an_order_at(stage) for stage in (Stage.UNASSIGNED, Stage.OFFERED))
        await store(orders, unassigned, offered)
        for order in (unassigned, offered):
            assert await may_see(orders, order, as_person(WORKER)) is not None
        await block(orders, blocker, blocked)
        for order in (unassigned, offered):
            assert await may_see(orders, order, as_person(WORKER)) is None
            assert await may_see(orders, order, as_person(OTHER_WORKER)) is not None
            assert await may_see(orders, order, as_person(CLIENT)) is not None

    async def test_a_block_does_not_hide_a_running_order(self, orders: OrderStore) -> None:
        order = an_order_at(Stage.STARTED)
        await store(orders, order)
        await block(orders, CLIENT, WORKER)
        assert await may_see(orders, order, as_person(WORKER)) is not None

    async def test_without_his_grant_a_worker_sees_what_he_is_on_and_nothing_open(self, orders: OrderStore) -> None:
        open_one, running = a_paid_order(), an_order_at(Stage.STARTED)
        await store(orders, open_one, running)
        await suspend_grant(orders, WORKER)
        assert await listed(orders, as_person(WORKER)) == [running.id]
        assert await may_see(orders, open_one, as_person(WORKER)) is None

    async def test_a_worker_does_not_find_his_own_order_among_the_open_ones(self, orders: OrderStore) -> None:
        order = a_paid_order(client=WORKER)
        await store(orders, order)
        assert await listed(orders, as_person(WORKER), OrderFilter(scope=OrderScope.OPEN)) == []
        assert await listed(orders, as_person(WORKER), OrderFilter(scope=OrderScope.MINE)) == [order.id]

    # -- lists --

    async def test_a_list_is_of_his_own_orders_and_of_open_ones_newest_first(self, orders: OrderStore) -> None:
        ordered = an_order(client=WORKER, offering=an_offering(3))  # he is a client too
        offered = an_order_at(Stage.OFFERED)
        done = an_order_at(Stage.COMPLETED, offering=an_offering(2))
        open_one, other_open = a_paid_order(offering=an_offering(2)), a_paid_order(client=OTHER_CLIENT)
        unseen = an_order_at(Stage.STARTED, worker=OTHER_WORKER), a_paid_order(offering=an_offering(3)), an_order()
        await store(orders, ordered, offered, done, open_one, other_open, *unseen)
        by_scope = {scope: await listed(orders, as_person(WORKER), OrderFilter(scope=scope)) for scope in OrderScope}
        assert by_scope == {
            OrderScope.ALL: newest_first(ordered, offered, done, open_one, other_open),
            OrderScope.MINE: newest_first(ordered, offered, done),
            OrderScope.OPEN: newest_first(offered, open_one, other_open),
        }

    async def test_administrators_see_all(self, orders: OrderStore) -> None:
        placed = [an_order_at(stage) for stage in Stage]
        await store(orders, *placed)
        by_scope = {scope: await listed(orders, AS_ADMIN, OrderFilter(scope=scope)) for scope in OrderScope}
        assert by_scope == {
            OrderScope.ALL: newest_first(*placed),
            OrderScope.MINE: [],
            OrderScope.OPEN: newest_first(*(order for order in placed if order.stage in OPEN_STAGES)),
        }

    async def test_pages_follow_one_another_without_a_gap(self, orders: OrderStore) -> None:
        mine = [an_order_at(stage) for stage in (Stage.OFFERED, Stage.STARTED, Stage.COMPLETED)]
        open_ones = [a_paid_order(offering=an_offering(number)) for number in (1, 2, 1)]
        await store(orders, *mine, *open_ones)
        for limit in (1, 2, 3):
            assert await listed(orders, as_person(WORKER), limit=limit) == newest_first(*mine, *open_ones)
            assert await listed(orders, AS_ADMIN, limit=limit) == newest_first(*mine, *open_ones)

    async def test_a_status_narrows_every_list(self, orders: OrderStore) -> None:
        placed = [an_order_at(stage) for stage in Stage]
        await store(orders, *placed)
        for status in OrderStatus:
            fitting = [order for order in placed if order.status is status]
            wanted = OrderFilter(status=status)
            assert await listed(orders, as_person(CLIENT), wanted) == newest_first(*fitting)
            assert await listed(orders, AS_ADMIN, wanted) == newest_first(*fitting)
            for_worker = [order for order in fitting if order.stage not in {Stage.UNPAID, Stage.CANCELED}]
            assert await listed(orders, as_person(WORKER), wanted) == newest_first(*for_worker)

    async def test_archived_orders_are_listed_where_they_are_asked_for(self, orders: OrderStore) -> None:
        archived, other = an_order_at(Stage.COMPLETED), an_order_at(Stage.COMPLETED)
        await store(orders, archived, other)
        await change(orders, archived.id, lambda order: order.archive(NOON))
        for viewer in (as_person(CLIENT), as_person(WORKER), AS_ADMIN):
            assert await listed(orders, viewer) == [other.id]
            assert await listed(orders, viewer, OrderFilter(with_archived=True)) == newest_first(archived, other)
            assert (await orders.queries.order(archived.id, viewer)).id == archived.id

    # -- who could do it --

    async def test_candidates_come_with_what_decides(self, orders: OrderStore) -> None:
        order = a_paid_order()
        ends_at = VISIT_AT + 4 * HOUR
        touching = [
            an_order_at(Stage.ASSIGNED, client=OTHER_CLIENT, worker=OTHER_WORKER, scheduled_at=at, quantity=1)
            for at in (VISIT_AT - 2 * HOUR, ends_at)
        ]
        ended = an_order_at(Stage.COMPLETED, worker=OTHER_WORKER, now=NOON - DAY)
        await store(orders, order, ended, *touching, an_order_at(Stage.OFFERED, worker=OTHER_WORKER))
        await rate(orders, OTHER_WORKER, 5, 4, 4)
        assert await orders.queries.candidates(order.id, load_max=5, limit=10) == [
            candidate(OTHER_WORKER, running=2, rating=433, idle_since=NOON - DAY),
            candidate(LISTER),
            candidate(WORKER),
            candidate(THIRD_WORKER),
        ]

    async def test_orders_overlap_to_the_microsecond(self, orders: OrderStore) -> None:
        visits = (
            (VISIT_AT - 2 * HOUR, 1, False),
            (VISIT_AT - 2 * HOUR + MICROSECOND, 1, True),
            (VISIT_AT + HOUR, 1, True),
            (VISIT_AT - DAY, 100, True),
            (VISIT_AT + 4 * HOUR - MICROSECOND, 1, True),
            (VISIT_AT + 4 * HOUR, 1, False),
        )
        order = a_paid_order()
        await store(orders, order)
        for begins, quantity, overlaps in visits:
            other = an_order_at(Stage.ASSIGNED, client=OTHER_CLIENT, scheduled_at=begins, quantity=quantity)
            await store(orders, other)
            found = {
                one.account_id: one.overlaps for one in await orders.queries.candidates(order.id, load_max=5, limit=10)
            }
            assert found == {WORKER: overlaps, OTHER_WORKER: False, THIRD_WORKER: False, LISTER: False}, begins
            await change(orders, other.id, lambda other: other.withdraw(WORKER, comment="", now=NOON))

    async def test_an_order_counts_as_running_from_its_assignment_to_its_end(self, orders: OrderStore) -> None:
        order = a_paid_order()
        await store(orders, order)
        running = 0
        for stage in Stage:
            await store(orders, an_order_at(stage, client=OTHER_CLIENT))
            running += stage in {Stage.ASSIGNED, Stage.STARTED, Stage.DELIVERED, Stage.CHANGES}
            (found,) = (
                one
                for one in await orders.queries.candidates(order.id, load_max=5, limit=10)
                if one.account_id == WORKER
            )
            assert (found.running, found.overlaps) == (running, running > 0), stage
        assert running == 4

    async def test_who_has_as_many_orders_as_one_may_does_not_take_the_place_of_who_has_room(
        self, orders: OrderStore
    ) -> None:
        order = a_paid_order()
        elsewhen = an_order_at(Stage.ASSIGNED, client=OTHER_CLIENT, scheduled_at=VISIT_AT + DAY)
        await store(orders, order, elsewhen)
        await rate(orders, WORKER, 5)
        best = await orders.queries.candidates(order.id, load_max=2, limit=1)
        with_room = await orders.queries.candidates(order.id, load_max=1, limit=1)
        assert ([one.account_id for one in best], WORKER in {one.account_id for one in with_room}) == ([WORKER], False)

    async def test_nobody_is_a_candidate_for_his_own_order(self, orders: OrderStore) -> None:
        order = a_paid_order(client=WORKER)
        await store(orders, order)
        found = await orders.queries.candidates(order.id, load_max=5, limit=10)
        assert {one.account_id for one in found} == {OTHER_WORKER, THIRD_WORKER, LISTER}

    async def test_those_against_whom_something_speaks_come_last(self, orders: OrderStore) -> None:
        order = a_paid_order()
        await store(orders, order)
        for worker in (WORKER, OTHER_WORKER, THIRD_WORKER):
            await rate(orders, worker, 5)
        await block(orders, WORKER, CLIENT)
        await shut(orders, OTHER_WORKER)
        async with orders.units() as uow:
            (await uow.workers.get(THIRD_WORKER)).is_available = False
            await uow.commit()
        assert await orders.queries.candidates(order.id, load_max=5, limit=10) == [
            candidate(LISTER),
            candidate(WORKER, rating=500, is_blocked=True),
            candidate(OTHER_WORKER, rating=500, is_active=False),
            candidate(THIRD_WORKER, rating=500, is_available=False),
        ]
        assert await orders.queries.candidates(order.id, load_max=5, limit=1) == [candidate(LISTER)]

    async def test_who_declined_or_let_an_offer_lapse_has_refused(self, orders: OrderStore) -> None:
        order, another = a_paid_order(), a_paid_order()
        await store(orders, order, another)
        late = NOON + timedelta(minutes=16)
        steps: list[Callable[[Order], object]] = [
            lambda order: offer(order, WORKER),
            lambda order: order.decline_offer(WORKER, reason="", now=NOON),
            lambda order: offer(order, OTHER_WORKER),
            lambda order: order.lapse_offer(late),
            lambda order: offer(order, THIRD_WORKER),
            lambda order: order.accept_offer(THIRD_WORKER, comment="", now=NOON),
            lambda order: order.withdraw(THIRD_WORKER, comment="", now=NOON),
        ]
        for step in steps:
            await change(orders, order.id, step)
        found = {
            one.account_id: one.has_refused for one in await orders.queries.candidates(order.id, load_max=5, limit=10)
        }
        assert found == {WORKER: True, OTHER_WORKER: True, THIRD_WORKER: False, LISTER: False}
        assert not any(one.has_refused for one in await orders.queries.candidates(another.id, load_max=5, limit=10))

    async def test_specialists_are_available_workers_best_rated_first(self, orders: OrderStore) -> None:
        await rate(orders, OTHER_WORKER, 5)
        await rate(orders, LISTER, 2)
        async with orders.units() as uow:
            (await uow.workers.get(THIRD_WORKER)).is_available = False
            await uow.commit()
        specialists = orders.queries.specialists
        assert await specialists(an_offering(1).id, client_id=CLIENT, limit=10) == [OTHER_WORKER, WORKER, LISTER]
        assert await specialists(an_offering(1).id, client_id=CLIENT, limit=2) == [OTHER_WORKER, WORKER]
        assert await specialists(an_offering(3).id, client_id=CLIENT, limit=10) == [LISTER]
        assert await specialists(an_offering(1).id, client_id=WORKER, limit=10) == [OTHER_WORKER, LISTER]
        await suspend_grant(orders, OTHER_WORKER)
        await shut(orders, LISTER)
        assert await specialists(an_offering(1).id, client_id=CLIENT, limit=10) == [WORKER]
        await block(orders, CLIENT, WORKER)
        assert await specialists(an_offering(1).id, client_id=CLIENT, limit=10) == []

    # -- what the clock asks --

    async def test_orders_wait_for_a_worker_in_the_order_of_their_payment(self, orders: OrderStore) -> None:
        paid_at = (NOON + HOUR, NOON, NOON + MICROSECOND, NOON)
        placed = [a_paid_order(now=at) for at in paid_at]
        await store(orders, *placed, *(an_order_at(stage) for stage in Stage if stage not in OPEN_STAGES))
        waiting = sorted(OpenOrder(at, order.id) for at, order in zip(paid_at, placed, strict=True))
        query = orders.queries.waiting_for_worker
        assert await query(now=NOON, after=None, limit=10) == waiting
        assert await query(now=NOON, after=None, limit=2) == waiting[:2]
        assert await query(now=NOON, after=waiting[1], limit=2) == waiting[2:]
        assert await query(now=NOON, after=waiting[3], limit=2) == []

    async def test_an_offer_is_waited_for_to_the_microsecond(self, orders: OrderStore) -> None:
        order = an_order_at(Stage.OFFERED)
        await store(orders, order)
        answer_by = NOON + timedelta(minutes=15)
        found = [
            [one.id for one in await orders.queries.waiting_for_worker(now=now, after=None, limit=10)]
            for now in (answer_by - MICROSECOND, answer_by, answer_by + MICROSECOND)
        ]
        assert found == [[], [], [order.id]]  # at answer_by he can still answer

    @pytest.mark.parametrize(
        ("stage", "job", "end"),
        [
            (Stage.UNPAID, "unpaid_since", NOON + DAY),
            (Stage.UNASSIGNED, "unfilled", NOON + 3 * DAY),
            (Stage.OFFERED, "unfilled", NOON + 3 * DAY),
            (Stage.DELIVERED, "silently_accepted", NOON + 3 * DAY),
        ],
    )
    async def test_jobs_find_what_is_due_to_the_microsecond_and_nothing_else(
        self, orders: OrderStore, stage: Stage, job: str, end: datetime
    ) -> None:
        due = an_order_at(stage)
        later = an_order_at(stage, client=OTHER_CLIENT, now=NOON + timedelta(minutes=1))
        same_job = OPEN_STAGES if job == "unfilled" else {stage}
        await store(orders, due, later, *(an_order_at(one) for one in Stage if one not in same_job))
        query = getattr(orders.queries, job)
        found = [await query(now=now, limit=10) for now in (end - MICROSECOND, end, end + timedelta(minutes=1))]
        assert found == [[], [due.id], [due.id, later.id]]
        assert await query(now=end + DAY, limit=1) == [due.id]

    async def test_what_ended_before_is_archived_once(self, orders: OrderStore) -> None:
        order, other = an_order_at(Stage.CANCELED), an_order_at(Stage.COMPLETED, now=NOON + HOUR)
        ended = {Stage.COMPLETED, Stage.CANCELED}
        await store(orders, order, other, *(an_order_at(one) for one in Stage if one not in ended))
        query = orders.queries.archivable
        assert await query(ended_before=NOON, limit=10) == []  # exactly that old is not older
        assert await query(ended_before=NOON + MICROSECOND, limit=10) == [order.id]
        assert await query(ended_before=NOON + DAY, limit=10) == [order.id, other.id]
        assert await query(ended_before=NOON + DAY, limit=1) == [order.id]
        await change(orders, order.id, lambda order: order.archive(NOON))
        assert await query(ended_before=NOON + DAY, limit=10) == [other.id]

    # -- reminders --

    async def test_client_and_worker_are_reminded_of_a_visit(self, orders: OrderStore) -> None:
        order = an_order_at(Stage.ASSIGNED)
        await store(orders, order)
        reminders: tuple[tuple[timedelta, ReminderKind | None], ...] = (
            (DAY + MICROSECOND, None),
            (DAY, ReminderKind.VISIT_IN_A_DAY),
            (HOUR + MICROSECOND, ReminderKind.VISIT_IN_A_DAY),
            (HOUR, ReminderKind.VISIT_IN_AN_HOUR),
            (MICROSECOND, ReminderKind.VISIT_IN_AN_HOUR),
            (timedelta(0), None),
        )
        for before, kind in reminders:
            found = await orders.queries.due_reminders(now=VISIT_AT - before, limit=10)
            expected = [] if kind is None else [(kind, CLIENT), (kind, WORKER)]
            assert sorted((one.kind, one.recipient) for one in found) == expected
            assert all((one.order_id, one.service, one.due_at) == (order.id, order.service, VISIT_AT) for one in found)

    @pytest.mark.parametrize(
        ("stage", "kind", "end", "lead"),
        [
            (Stage.DELIVERED, ReminderKind.ACCEPTANCE_ENDS, NOON + 3 * DAY, DAY),
            (Stage.UNPAID, ReminderKind.PAYMENT_ENDS, NOON + DAY, 2 * HOUR),
        ],
    )
    async def test_a_client_is_reminded_of_an_end(
        self, orders: OrderStore, stage: Stage, kind: ReminderKind, end: datetime, lead: timedelta
    ) -> None:
        order = an_order_at(stage, scheduled_at=NOON + 100 * DAY)
        await store(orders, order)
        at = (end - lead - MICROSECOND, end - lead, end - MICROSECOND, end)
        found = [await orders.queries.due_reminders(now=now, limit=10) for now in at]
        assert [[(one.kind, one.recipient, one.due_at) for one in some] for some in found] == [
            [],
            [(kind, CLIENT, end)],
            [(kind, CLIENT, end)],
            [],
        ]

    async def test_nobody_is_reminded_of_a_visit_that_nobody_or_somebody_already_came_to(
        self, orders: OrderStore
    ) -> None:
        await store(orders, *(an_order_at(stage) for stage in Stage if stage is not Stage.ASSIGNED))
        assert await orders.queries.due_reminders(now=VISIT_AT - HOUR, limit=20) == []

    async def test_a_reminder_is_due_once(self, orders: OrderStore) -> None:
        order = an_order_at(Stage.ASSIGNED)
        await store(orders, order)
        before: Sequence[DueOrderReminder] = await orders.queries.due_reminders(now=VISIT_AT - DAY, limit=10)
        assert len({one.key for one in before}) == 2
        async with orders.units() as uow:
            assert await uow.reminders.is_new(before[0].key)
            await uow.commit()
        assert await orders.queries.due_reminders(now=VISIT_AT - DAY, limit=10) == before[1:]
        assert await orders.queries.due_reminders(now=VISIT_AT - HOUR, limit=1) != []

    async def test_each_delivery_is_reminded_of(self, orders: OrderStore) -> None:
        order = an_order_at(Stage.DELIVERED)
        await store(orders, order)
        now = NOON + 2 * DAY
        (first,) = await orders.queries.due_reminders(now=now, limit=10)
        async with orders.units() as uow:
            assert await uow.reminders.is_new(first.key)
            await uow.commit()
        assert await orders.queries.due_reminders(now=now, limit=10) == []
        await change(orders, order.id, again)
        (second,) = await orders.queries.due_reminders(now=now, limit=10)
        assert second.key != first.key


def again(order: Order) -> None:
    order.request_changes(by=AS_CLIENT, reason="the oven", terms=TERMS, now=NOON)
    order.deliver(WORKER, comment="", terms=TERMS, now=NOON)


def candidate(
    account_id: AccountId,
    *,
    running: int = 0,
    rating: int | None = None,
    idle_since: datetime | None = None,
    is_available: bool = True,
    is_active: bool = True,
    is_blocked: bool = False,
) -> Candidate:
    return Candidate(
        account_id=account_id,
        is_available=is_available,
        is_active=is_active,
        is_blocked=is_blocked,
        has_refused=False,
        overlaps=False,
        running=running,
        rating=rating,
        idle_since=idle_since,
    )
