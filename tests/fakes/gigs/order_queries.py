"""Reads of orders over what is committed in memory; a cursor is the id of the edge, and lists go forward only."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from application.core.kernel.ports import Listing, Page
from application.gigs.deliver_work import DELIVERY_FILES
from application.gigs.order_queries import (
    DueOrderReminder,
    OpenOrder,
    OrderFilter,
    OrderScope,
    OrderView,
    PersonView,
    ReminderKind,
    StepView,
    Viewer,
)
from domain.core.identity.account import Account
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money
from domain.core.payments.intent import PaymentIntent
from domain.core.reputation.review import RatingSummary
from domain.gigs.matching import RATING_OF_NOBODY, Candidate
from domain.gigs.offering import OfferingId
from domain.gigs.order import JobOffer, OfferEnd, Order, OrderEvent, OrderId, OrderNotFound
from domain.gigs.transitions import OPEN_STAGES, RUNNING, Stage
from domain.gigs.worker import AREA
from tests.fakes.core.files import files_of
from tests.fakes.core.store import InMemoryStore
from tests.fakes.gigs.catalogue import page_of
from tests.fakes.gigs.orders import is_open_worker, person_view

HOUR = timedelta(hours=1)


class InMemoryOrderQueries:
    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    async def order(self, order_id: OrderId, viewer: Viewer) -> OrderView:
        order = self._store.rows("gigs_orders").get(order_id)
        if order is None or not (viewer.is_admin or self._takes_part(order, viewer) or self._could_take(order, viewer)):
            raise OrderNotFound
        return self._view(order, viewer)

    async def orders(self, wanted: OrderFilter, viewer: Viewer, page: Page) -> Listing[OrderView]:
        found = [order for order in self._orders() if self._fits(order, wanted, viewer)]
        found.sort(key=lambda one: one.id, reverse=True)
        return page_of(found, page, lambda one: one.id, lambda one: self._view(one, viewer))

    async def candidates(self, order_id: OrderId, *, load_max: int, limit: int) -> Sequence[Candidate]:
        order: Order = self._store.rows("gigs_orders")[order_id]
        found = [self._candidate(who, order) for who in self._specialists(order.offering_id) if who != order.client_id]

        def rank(one: Candidate) -> tuple[Any, ...]:
            is_free = one.is_available and one.is_active and one.running < load_max
            is_fit = is_free and not (one.is_blocked or one.has_refused or one.overlaps)
            idle = 0.0 if one.idle_since is None else one.idle_since.timestamp()
            rating = RATING_OF_NOBODY if one.rating is None else one.rating
            return not is_fit, -rating, one.running, one.idle_since is not None, idle, one.account_id

        return sorted(found, key=rank)[:limit]

    async def specialists(self, offering_id: OfferingId, *, client_id: AccountId, limit: int) -> Sequence[AccountId]:
        profiles = self._store.tables["worker_profiles"]
        found = [
            who
            for who in self._specialists(offering_id)
            if profiles[who].is_available and is_open_worker(self._account(who))
            if who != client_id and not self._is_blocked(who, client_id)
        ]
        found.sort(key=lambda who: (-(self._rating(who) or RATING_OF_NOBODY), who))
        return found[:limit]

    async def waiting_for_worker(self, *, now: datetime, after: OpenOrder | None, limit: int) -> Sequence[OpenOrder]:
        found: list[OpenOrder] = []
        for order in self._orders():
            is_offered = order.offer is not None and not order.offer.is_over(now)
            if order.stage in OPEN_STAGES and not is_offered:
                assert order.paid_at is not None
                found.append(OpenOrder(order.paid_at, order.id))
        return sorted(one for one in found if after is None or one > after)[:limit]

    async def unpaid_since(self, *, now: datetime, limit: int) -> Sequence[OrderId]:
        return self._due(lambda one: one.pay_by if one.stage is Stage.UNPAID else None, now, limit)

    async def unfilled(self, *, now: datetime, limit: int) -> Sequence[OrderId]:
        return self._due(lambda one: one.fill_by if one.stage in OPEN_STAGES else None, now, limit)

    async def silently_accepted(self, *, now: datetime, limit: int) -> Sequence[OrderId]:
        return self._due(lambda one: one.accept_by if one.stage is Stage.DELIVERED else None, now, limit)

    async def archivable(self, *, ended_before: datetime, limit: int) -> Sequence[OrderId]:
        last = ended_before - timedelta(microseconds=1)
        return self._due(lambda one: one.ended_at if one.archived_at is None else None, last, limit)

    async def due_reminders(self, *, now: datetime, limit: int) -> Sequence[DueOrderReminder]:
        sent = self._store.tables["sent_reminders"]
        found = [one for order in self._orders() for one in _reminders(order, now) if one.key not in sent]
        return sorted(found, key=lambda one: (one.due_at, one.key))[:limit]

    def _orders(self) -> list[Order]:
        return list(self._store.rows("gigs_orders").values())

    def _due(self, of: Callable[[Order], datetime | None], now: datetime, limit: int) -> list[OrderId]:
        found = sorted((at, one.id) for one in self._orders() if (at := of(one)) is not None and at <= now)
        return [order_id for _, order_id in found[:limit]]

    def _account(self, account_id: AccountId) -> Account:
        account: Account = self._store.tables["accounts"][account_id]
        return account

    def _specialists(self, offering_id: OfferingId) -> list[AccountId]:
        keys: list[Any] = list(self._store.tables["worker_specializations"])
        return [who for who, what in keys if what == offering_id]

    def _rating(self, account_id: AccountId) -> int | None:
        summary: RatingSummary | None = self._store.tables["review_summaries"].get((account_id, AREA))
        return summary.hundredths if summary is not None and summary.count else None

    def _is_blocked(self, one: AccountId, other: AccountId) -> bool:
        blocks = self._store.tables["blocks"]
        return (one, other) in blocks or (other, one) in blocks

    def _candidate(self, who: AccountId, order: Order) -> Candidate:
        others = [one for one in self._orders() if one.worker_id == who and one.id != order.id]
        running = [one for one in others if one.stage in RUNNING]
        offers: list[JobOffer] = [
            offer for of_order, offer in self._store.tables["gigs_job_offers"].values() if of_order == order.id
        ]
        refusals = {OfferEnd.DECLINED, OfferEnd.LAPSED}
        return Candidate(
            account_id=who,
            is_available=self._store.tables["worker_profiles"][who].is_available,
            is_active=is_open_worker(self._account(who)),
            is_blocked=self._is_blocked(who, order.client_id),
            has_refused=any(one.worker_id == who and one.end in refusals for one in offers),
            overlaps=any(one.scheduled_at < order.ends_at and one.ends_at > order.scheduled_at for one in running),
            running=len(running),
            rating=self._rating(who),
            idle_since=max((one.ended_at for one in others if one.ended_at is not None), default=None),
        )

    def _takes_part(self, order: Order, viewer: Viewer) -> bool:
        person = viewer.account_id
        is_on_it = person == order.worker_id and (
            order.stage not in OPEN_STAGES or not self._is_blocked(person, order.client_id)
        )
        return person == order.client_id or is_on_it

    def _could_take(self, order: Order, viewer: Viewer) -> bool:
        person = viewer.account_id
        return (
            order.stage in OPEN_STAGES
            and person != order.client_id
            and is_open_worker(self._store.tables["accounts"].get(person))
            and (person, order.offering_id) in self._store.tables["worker_specializations"]
            and not self._is_blocked(person, order.client_id)
        )

    def _fits(self, order: Order, wanted: OrderFilter, viewer: Viewer) -> bool:
        if wanted.status not in {None, order.status} or (order.archived_at is not None and not wanted.with_archived):
            return False
        if wanted.scope is OrderScope.MINE:
            return self._takes_part(order, viewer)
        if wanted.scope is OrderScope.OPEN:
            return order.stage in OPEN_STAGES if viewer.is_admin else self._could_take(order, viewer)
        return viewer.is_admin or self._takes_part(order, viewer) or self._could_take(order, viewer)

    def _view(self, order: Order, viewer: Viewer) -> OrderView:
        intents: list[PaymentIntent] = list(self._store.rows("payment_intents").values())
        intent = next((one for one in intents if one.id == order.intent_id), None)
        knows_address = viewer.is_admin or viewer.account_id in {
            order.client_id,
            None if order.stage is Stage.OFFERED else order.worker_id,
        }
        return OrderView(
            id=order.id,
            client=self._person(order.client_id),
            worker=None if order.worker_id is None else self._person(order.worker_id),
            offering_id=order.offering_id,
            service=order.service,
            description=order.description,
            address=order.address if knows_address else None,
            scheduled_at=order.scheduled_at,
            quantity=order.quantity,
            total=order.total,
            stage=order.stage,
            refunded=Money.zero(order.total.currency) if intent is None else intent.refunded,
            payment_id=order.intent_id,
            attempts_left=None if intent is None else intent.attempts_left,
            answer_by=None if order.offer is None else order.offer.answer_by,
            steps=tuple(one if knows_address else replace(one, comment="") for one in self._steps(order.id)),
            created_at=order.created_at,
            updated_at=order.updated_at,
            files=files_of(self._store.rows("files").values(), DELIVERY_FILES, order.id) if knows_address else (),
        )

    def _person(self, account_id: AccountId) -> PersonView:
        return person_view(self._account(account_id))

    def _steps(self, order_id: OrderId) -> Iterator[StepView]:
        events: list[tuple[Any, OrderEvent]] = list(self._store.rows("gigs_order_events").items())
        mine = [(key[1], event) for key, event in events if key[0] == order_id]
        for _, event in sorted(mine, key=lambda one: one[0]):
            yield StepView.of(event)


def _reminders(order: Order, now: datetime) -> Iterator[DueOrderReminder]:
    def due(kind: ReminderKind, recipient: AccountId | None, at: datetime, mark: str) -> DueOrderReminder:
        assert recipient is not None
        key = f"order:{order.id}:{kind}{mark}"
        return DueOrderReminder(
            key=key, kind=kind, recipient=recipient, order_id=order.id, service=order.service, due_at=at
        )

    left = order.scheduled_at - now
    if order.stage is Stage.ASSIGNED and timedelta(0) < left <= 24 * HOUR:
        kind = ReminderKind.VISIT_IN_AN_HOUR if left <= HOUR else ReminderKind.VISIT_IN_A_DAY
        for person in (order.client_id, order.worker_id):
            yield due(kind, person, order.scheduled_at, f":{person}")
    if order.stage is Stage.DELIVERED and order.accept_by is not None and now < order.accept_by <= now + 24 * HOUR:
        yield due(ReminderKind.ACCEPTANCE_ENDS, order.client_id, order.accept_by, f":{order.change_rounds}")
    if order.stage is Stage.UNPAID and now < order.pay_by <= now + 2 * HOUR:
        yield due(ReminderKind.PAYMENT_ENDS, order.client_id, order.pay_by, "")
