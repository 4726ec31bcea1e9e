"""Orders on PostgreSQL: the row, its history, and the offers that were made of it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import asyncpg
from sqlalchemy import Table, bindparam, insert, select, text, update

from application.gigs.order_ports import OfferingLoad, OrderLoad, Standing
from application.gigs.order_queries import PersonView
from domain.core.kernel.errors import DomainError
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.kernel.money import Money
from domain.gigs.offering import OfferingId, OfferingNotFound
from domain.gigs.order import (
    AlreadyAssigned,
    CancelPolicy,
    JobOffer,
    Order,
    OrderEvent,
    OrderId,
    OrderNotFound,
)
from domain.gigs.transitions import Stage
from infrastructure.postgres.gigs.order_tables import gigs_job_offers, gigs_orders
from infrastructure.postgres.gigs.repositories import read_offering
from infrastructure.postgres.statements import Statement, WriteBatch, as_rows
from infrastructure.postgres.tables import INSTANT, TEXT, UUID
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork

ORDERS_REFUSALS: Mapping[str, type[DomainError]] = {"uq_gigs_job_offers_open": AlreadyAssigned}

IS_WORKER = "a.is_active AND a.role_states[array_position(a.roles, 'worker')] = 'active'"
"""Whether the account `a` is open and has the grant of a worker; NULL where it never had one."""


def is_specialist(person: str, offering: str) -> str:
    """Return SQL that tells whether a person is a worker who does a service."""
    return (
        "EXISTS (SELECT FROM worker_specializations AS s JOIN accounts AS a ON a.id = s.account_id"
        f" WHERE s.account_id = {person} AND s.offering_id = {offering} AND {IS_WORKER})"
    )


def is_blocked(one: str, other: str) -> str:
    """Return SQL that tells whether one of two people has blocked the other."""
    return (
        f"EXISTS (SELECT FROM blocks AS b WHERE (b.blocker_id, b.blocked_id) IN (({one}, {other}), ({other}, {one})))"
    )


def _query(sql: str, **types: Any) -> Statement:
    return Statement(text(sql).bindparams(*(bindparam(name, type_=kind) for name, kind in types.items())))


def _insert(table: Table) -> Statement:
    return Statement(insert(table).values({column.name: bindparam(column.name) for column in table.c}))


_ADD_ORDER = _insert(gigs_orders)
_ADD_OFFER = _insert(gigs_job_offers)
_GET = Statement(select(gigs_orders).where(gigs_orders.c.id == bindparam("wanted")).with_for_update())
_GET_FOR = _query(
    f"SELECT o.*, {is_specialist(':person', 'o.offering_id')} AS is_specialist,"  # noqa: S608 - constants only
    f" {is_blocked(':person', 'o.client_id')} AS is_blocked FROM gigs_orders AS o WHERE o.id = :wanted FOR UPDATE OF o",
    wanted=UUID,
    person=UUID,
)
_STANDING = _query(
    f"SELECT EXISTS (SELECT FROM accounts AS a WHERE a.id = :person AND {IS_WORKER}) AS is_worker,"  # noqa: S608
    f" {is_specialist(':person', ':offering')} AS is_specialist, {is_blocked(':person', ':client')} AS is_blocked",
    person=UUID,
    offering=UUID,
    client=UUID,
)
_OFFERING = _query(
    "SELECT o.*, c.username, c.first_name, c.last_name, c.avatar FROM offerings AS o"
    " JOIN accounts AS a ON a.id = o.owner_id JOIN accounts AS c ON c.id = :client"
    " WHERE o.id = :wanted AND a.is_active FOR SHARE OF o",
    wanted=UUID,
    client=UUID,
)
_HELD_BY = _query(
    "SELECT id FROM gigs_orders WHERE worker_id = :worker AND ended_at IS NULL ORDER BY id",
    worker=UUID,
)
_SAVE_ORDER = Statement(
    update(gigs_orders)
    .where(gigs_orders.c.id == bindparam("new_id"))
    .values(
        {
            column.name: bindparam(f"new_{column.name}", type_=column.type)
            for column in gigs_orders.c
            if column.name not in {"id", "client_id", "offering_id", "created_at"}
        }
    )
)
_ADD_EVENTS = _query(
    "INSERT INTO gigs_order_events (order_id, sequence, from_stage, stage, comment, created_by, created_at)"
    " SELECT e.order_id, e.sequence, e.from_stage, e.stage, e.comment, e.created_by, e.created_at"
    " FROM json_to_recordset(CAST(:rows AS json)) AS e(order_id uuid, sequence integer, from_stage text, stage text,"
    " comment text, created_by uuid, created_at timestamptz)",
    rows=TEXT,
)
_END_OFFER = _query(
    "UPDATE gigs_job_offers SET outcome = :outcome, ended_at = :ended_at WHERE id = :offer",
    outcome=TEXT,
    ended_at=INSTANT,
    offer=UUID,
)


class PostgresOrders:
    """Orders inside one unit of work."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._added: list[Order] = []
        self._loaded: dict[OrderId, tuple[Order, dict[str, object]]] = {}
        self._known_offers: set[object] = set()
        unit_of_work.attach(self)

    def add(self, order: Order) -> None:
        """Store a new order at commit."""
        self._added.append(order)

    async def get(self, order_id: OrderId) -> Order:
        """Return an order, locked. Raises OrderNotFound."""
        if order_id not in self._loaded:
            row = await _GET.fetch_row(self._unit.connection, wanted=order_id)
            if row is None:
                raise OrderNotFound
            self._load(row)
        return self._loaded[order_id][0]

    async def get_for(self, order_id: OrderId, account_id: AccountId) -> OrderLoad:
        """Return an order, locked, and what this person is to it. Raises OrderNotFound."""
        row = await _GET_FOR.fetch_row(self._unit.connection, wanted=order_id, person=account_id)
        if row is None:
            raise OrderNotFound
        if order_id not in self._loaded:
            self._load(row)
        return OrderLoad(
            order=self._loaded[order_id][0], is_specialist=row["is_specialist"], is_blocked=row["is_blocked"]
        )

    async def standing_of(self, account_id: AccountId, order: Order) -> Standing:
        """Return what a person is to an order."""
        row = await _STANDING.fetch_row(
            self._unit.connection, person=account_id, offering=order.offering_id, client=order.client_id
        )
        assert row is not None
        return Standing(is_worker=row["is_worker"], is_specialist=row["is_specialist"], is_blocked=row["is_blocked"])

    async def offering_for(self, offering_id: OfferingId, client_id: AccountId) -> OfferingLoad:
        """Return a service of an open account, locked against changes. Raises OfferingNotFound."""
        row = await _OFFERING.fetch_row(self._unit.connection, wanted=offering_id, client=client_id)
        if row is None:
            raise OfferingNotFound
        client = PersonView(
            id=client_id,
            username=row["username"],
            first_name=row["first_name"],
            last_name=row["last_name"],
            avatar=row["avatar"],
        )
        return OfferingLoad(offering=read_offering(row), client=client)

    async def held_by(self, worker_id: AccountId) -> Sequence[OrderId]:
        """Return the orders that a worker is on or has offered to him, in the order of ids, not locked."""
        return [OrderId(row["id"]) for row in await _HELD_BY.fetch(self._unit.connection, worker=worker_id)]

    def stage(self, batch: WriteBatch) -> None:
        """Write the orders that are new or changed, their new history, and the offers that began or ended."""
        steps: list[Mapping[str, object]] = []
        for order in self._added:
            self._loaded[order.id] = (order, {"steps": 0})
        added = {order.id for order in self._added}
        self._added.clear()
        for order_id, (order, before) in self._loaded.items():
            known = before["steps"]
            assert isinstance(known, int)
            after = _row(order, steps=known + len(order.new_events))
            if after == before:
                continue
            if order_id in added:
                batch.stage(_ADD_ORDER, **after)
            else:
                batch.stage(_SAVE_ORDER, **{f"new_{name}": value for name, value in after.items()})
            self._loaded[order_id] = (order, after)
            steps += [_step_row(order_id, known + index, step) for index, step in enumerate(order.new_events, start=1)]
            order.new_events.clear()
            self._stage_offers(batch, order)
        if steps:
            batch.stage(_ADD_EVENTS, rows=as_rows(steps))

    def _stage_offers(self, batch: WriteBatch, order: Order) -> None:
        has_ended = False
        for offer in order.ended_offers:
            if offer.id in self._known_offers:
                batch.stage(_END_OFFER, offer=offer.id, outcome=offer.end, ended_at=offer.ended_at)
                has_ended = True
            else:
                self._stage_new(batch, order, offer, is_last=False)
        order.ended_offers.clear()
        if order.offer is not None and order.offer.id not in self._known_offers:
            # one statement's parts run in no order: the former offer has to be gone before this one is there
            self._stage_new(batch, order, order.offer, is_last=has_ended)

    def _stage_new(self, batch: WriteBatch, order: Order, offer: JobOffer, *, is_last: bool) -> None:
        self._known_offers.add(offer.id)
        stage = batch.stage_last if is_last else batch.stage
        stage(
            _ADD_OFFER,
            id=offer.id,
            order_id=order.id,
            worker_id=offer.worker_id,
            offered_at=offer.offered_at,
            answer_by=offer.answer_by,
            reasons=offer.reasons,
            outcome=offer.end,
            ended_at=offer.ended_at,
        )

    def _load(self, row: asyncpg.Record) -> None:
        order = _order(row)
        self._loaded[order.id] = (order, _row(order, steps=row["steps"]))
        if order.offer is not None:
            self._known_offers.add(order.offer.id)


def _order(row: asyncpg.Record) -> Order:
    currency = row["currency"]
    return Order(
        id=OrderId(row["id"]),
        client_id=AccountId(row["client_id"]),
        offering_id=OfferingId(row["offering_id"]),
        service=row["service"],
        description=row["description"],
        address=row["address"],
        scheduled_at=row["scheduled_at"],
        visit=timedelta(seconds=row["visit_s"]),
        quantity=row["quantity"],
        unit_price=Money(row["unit_price"], currency),
        stage=Stage(row["stage"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        pay_by=row["pay_by"],
        intent_id=None if row["intent_id"] is None else IntentId(row["intent_id"]),
        paid_at=row["paid_at"],
        fill_by=row["fill_by"],
        cancel_policy=None
        if row["cancel_cutoff_s"] is None
        else CancelPolicy(timedelta(seconds=row["cancel_cutoff_s"]), row["late_refund_percent"]),
        worker_id=None if row["worker_id"] is None else AccountId(row["worker_id"]),
        offer=None if row["offer_id"] is None else _offer(row),
        started_at=row["started_at"],
        delivered_at=row["delivered_at"],
        accept_by=row["accept_by"],
        change_rounds=row["change_rounds"],
        ended_at=row["ended_at"],
        archived_at=row["archived_at"],
        earning=None if row["earning"] is None else Money(row["earning"], currency),
        fee_basis_points=row["fee_basis_points"],
    )


def _offer(row: asyncpg.Record) -> JobOffer:
    return JobOffer(
        id=row["offer_id"],
        worker_id=AccountId(row["worker_id"]),
        offered_at=row["offered_at"],
        answer_by=row["answer_by"],
        reasons=row["offer_reasons"],
    )


def _row(order: Order, *, steps: int) -> dict[str, object]:
    offer, policy = order.offer, order.cancel_policy
    return {
        "id": order.id,
        "client_id": order.client_id,
        "offering_id": order.offering_id,
        "service": order.service,
        "description": order.description,
        "address": order.address,
        "scheduled_at": order.scheduled_at,
        "ends_at": order.ends_at,
        "visit_s": int(order.visit.total_seconds()),
        "quantity": order.quantity,
        "unit_price": order.unit_price.minor,
        "currency": order.unit_price.currency,
        "status": str(order.status),
        "stage": str(order.stage),
        "created_at": order.created_at,
        "updated_at": order.updated_at,
        "pay_by": order.pay_by,
        "intent_id": order.intent_id,
        "paid_at": order.paid_at,
        "fill_by": order.fill_by,
        "cancel_cutoff_s": None if policy is None else int(policy.cutoff.total_seconds()),
        "late_refund_percent": None if policy is None else policy.late_refund_percent,
        "worker_id": order.worker_id,
        "offer_id": None if offer is None else offer.id,
        "offered_at": None if offer is None else offer.offered_at,
        "answer_by": None if offer is None else offer.answer_by,
        "offer_reasons": None if offer is None else offer.reasons,
        "started_at": order.started_at,
        "delivered_at": order.delivered_at,
        "accept_by": order.accept_by,
        "change_rounds": order.change_rounds,
        "ended_at": order.ended_at,
        "archived_at": order.archived_at,
        "earning": None if order.earning is None else order.earning.minor,
        "fee_basis_points": order.fee_basis_points,
        "steps": steps,
    }


def _step_row(order_id: OrderId, sequence: int, step: OrderEvent) -> Mapping[str, object]:
    return {
        "order_id": order_id,
        "sequence": sequence,
        "from_stage": step.from_stage,
        "stage": step.stage,
        "comment": step.comment,
        "created_by": step.created_by,
        "created_at": step.created_at,
    }
