"""Reads of orders: one round trip each, with who may see what in the statement.

A person's list is put together from index scans that each stop at the page: what he ordered, what he is on, and, for
each service he does, what is open of it. What a list is narrowed by decides its statement, which is compiled when it is
first wanted.
"""

import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import asyncpg
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    text,
    true,
    union,
)

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
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.kernel.money import Money
from domain.gigs.matching import RATING_OF_NOBODY, Candidate
from domain.gigs.offering import OfferingId
from domain.gigs.order import OrderId, OrderNotFound
from domain.gigs.transitions import STATUS_BY_STAGE, OrderStatus, Stage
from domain.gigs.worker import AREA
from infrastructure.postgres.core.files import files_where, shown_files
from infrastructure.postgres.core.files_tables import files
from infrastructure.postgres.core.identity_tables import accounts
from infrastructure.postgres.core.payments_tables import payment_attempts, payment_intents
from infrastructure.postgres.core.reputation_reviews import RANK_OF_ONE_HUNDREDTH
from infrastructure.postgres.database import Database
from infrastructure.postgres.gigs.order_tables import gigs_orders
from infrastructure.postgres.gigs.orders import IS_WORKER, is_blocked, is_specialist
from infrastructure.postgres.gigs.tables import worker_specializations
from infrastructure.postgres.keyset import Cut, KeysetList
from infrastructure.postgres.statements import Statement
from infrastructure.postgres.tables import INSTANT, TEXT, UUID

STEPS_SHOWN_MAX = 200
"""As many of the newest steps as an order's reply shows; only offers that nobody takes could make more."""

_VIEWER = bindparam("viewer", type_=UUID)
_IS_ADMIN = bindparam("is_admin", type_=Boolean)
_PAID: ColumnElement[str] = literal_column("'paid'")
_OFFERED: ColumnElement[str] = literal_column("'offered'")


def _of_viewer(sql: str) -> ColumnElement[bool]:
    condition: Any = text(sql).bindparams(_VIEWER)
    found: ColumnElement[bool] = condition
    return found


_STEPS: ColumnElement[Any] = literal_column(
    "(SELECT jsonb_agg(jsonb_build_array(n.stage, n.comment, n.created_by, n.created_at) ORDER BY n.sequence)"  # noqa: S608
    " FROM (SELECT * FROM gigs_order_events AS e WHERE e.order_id = gigs_orders.id"
    f" ORDER BY e.sequence DESC LIMIT {STEPS_SHOWN_MAX}) AS n)"
)
_clients, _workers = accounts.alias("client"), accounts.alias("worker")


def _person(account: FromClause, prefix: str) -> list[ColumnElement[Any]]:
    return [account.c[name].label(f"{prefix}_{name}") for name in ("username", "first_name", "last_name", "avatar")]


# rule gigs.address_is_private; what was delivered is for the same people
_IS_PRIVY = or_(
    _IS_ADMIN,
    gigs_orders.c.client_id == _VIEWER,
    and_(gigs_orders.c.worker_id == _VIEWER, gigs_orders.c.stage != _OFFERED),
)
_DELIVERED = files_where(and_(files.c.subject_id == gigs_orders.c.id, files.c.purpose == DELIVERY_FILES))
_ORDER: Select[Any] = (
    select(
        gigs_orders.c.id,
        gigs_orders.c.client_id,
        gigs_orders.c.worker_id,
        gigs_orders.c.offering_id,
        gigs_orders.c.service,
        gigs_orders.c.description,
        case((_IS_PRIVY, gigs_orders.c.address)).label("address"),
        case((_IS_PRIVY, _DELIVERED)).label("files"),
        gigs_orders.c.scheduled_at,
        gigs_orders.c.quantity,
        gigs_orders.c.unit_price,
        gigs_orders.c.currency,
        gigs_orders.c.stage,
        gigs_orders.c.intent_id,
        gigs_orders.c.answer_by,
        gigs_orders.c.created_at,
        gigs_orders.c.updated_at,
        func.coalesce(payment_intents.c.refunded, literal_column("0")).label("refunded"),
        (
            payment_intents.c.attempts_max
            - select(func.count())
            .select_from(payment_attempts)
            .where(payment_attempts.c.intent_id == gigs_orders.c.intent_id, payment_attempts.c.sent_at.is_not(None))
            .scalar_subquery()
        ).label("attempts_left"),
        _STEPS.label("steps"),
        *_person(_clients, "client"),
        *_person(_workers, "worker"),
    )
    .select_from(gigs_orders)
    .join(_clients, _clients.c.id == gigs_orders.c.client_id)
    .outerjoin(_workers, _workers.c.id == gigs_orders.c.worker_id)
    .outerjoin(payment_intents, payment_intents.c.id == gigs_orders.c.intent_id)
)
_ONE_ORDER = Statement(
    _ORDER.where(
        gigs_orders.c.id == bindparam("wanted", type_=UUID),
        or_(
            _IS_ADMIN,
            gigs_orders.c.client_id == _VIEWER,
            and_(gigs_orders.c.worker_id == _VIEWER, gigs_orders.c.status != _PAID),
            and_(
                gigs_orders.c.status == _PAID,
                or_(
                    gigs_orders.c.worker_id == _VIEWER,
                    _of_viewer(is_specialist(":viewer", "gigs_orders.offering_id")),
                ),
                _of_viewer(f"NOT {is_blocked(':viewer', 'gigs_orders.client_id')}"),
            ),
        ),
    )
)


_ARCHIVED = frozenset({OrderStatus.COMPLETED, OrderStatus.CANCELED})
"""What may be archived; the index of the others has none."""


@lru_cache(maxsize=64)
def _list_of_all(status: OrderStatus | None, scope: OrderScope, with_archived: bool) -> KeysetList:
    """Return the list for administrators."""
    query = _ORDER
    if status is not None:
        query = query.where(gigs_orders.c.status == bindparam("status", type_=TEXT))
    if scope is OrderScope.OPEN:
        query = query.where(gigs_orders.c.status == _PAID)
    if not with_archived or scope is OrderScope.OPEN or status not in {None, *_ARCHIVED}:
        query = query.where(gigs_orders.c.archived_at.is_(None))
    return KeysetList(query, gigs_orders.c.id)


@lru_cache(maxsize=64)
def _list_of_one(status: OrderStatus | None, scope: OrderScope, with_archived: bool) -> KeysetList:
    """Return the list for somebody who orders, works, or both."""
    of_status = () if status is None else (bindparam("status", type_=TEXT),)

    def own(cut: Cut, *, is_archived: bool) -> Iterator[Select[Any]]:
        ordered, worked = gigs_orders.alias("ordered"), gigs_orders.alias("worked")
        is_shown = or_(worked.c.status != _PAID, _of_viewer(f"NOT {is_blocked(':viewer', 'worked.client_id')}"))
        for order, is_his in ((ordered, ordered.c.client_id == _VIEWER), (worked, worked.c.worker_id == _VIEWER)):
            part = select(order.c.id).where(is_his, *(order.c.status == word for word in of_status))
            archived_at = order.c.archived_at
            part = part.where(archived_at.is_not(None) if is_archived else archived_at.is_(None))
            yield cut(part if order is ordered else part.where(is_shown), order.c.id)

    def found(cut: Cut) -> Select[Any]:
        parts: list[Select[Any]] = []
        if scope is not OrderScope.OPEN:
            parts += own(cut, is_archived=False)
            if with_archived:
                parts += own(cut, is_archived=True)
        if scope is not OrderScope.MINE:
            open_ones, done = gigs_orders.alias("open_ones"), worker_specializations.alias("done")
            of_a_service = select(open_ones.c.id).where(
                open_ones.c.offering_id == done.c.offering_id,
                open_ones.c.status == _PAID,
                open_ones.c.client_id != _VIEWER,
                _of_viewer(f"NOT {is_blocked(':viewer', 'open_ones.client_id')}"),
                *(open_ones.c.status == word for word in of_status),
            )
            each = cut(of_a_service, open_ones.c.id).correlate(done).lateral("each")
            parts.append(
                select(each.c.id)
                .select_from(done.join(each, true()))
                .where(
                    done.c.account_id == _VIEWER,
                    _of_viewer(f"EXISTS (SELECT FROM accounts AS a WHERE a.id = :viewer AND {IS_WORKER})"),
                )
            )
        # an order offered to him is in two of the parts
        together = union(*(part.subquery().select() for part in parts)).subquery("together")
        ids = cut(select(together.c.id), together.c.id).subquery("ids")
        return cut(_ORDER.join(ids, ids.c.id == gigs_orders.c.id), gigs_orders.c.id)

    return KeysetList(found, gigs_orders.c.id)


def _query(sql: str, **types: Any) -> Statement:
    return Statement(text(sql).bindparams(*(bindparam(name, type_=kind) for name, kind in types.items())))


_RATING = f"CASE WHEN r.reviews > 0 THEN r.rank / {RANK_OF_ONE_HUNDREDTH} END"
_BEST_RATED = f"COALESCE({_RATING}, {RATING_OF_NOBODY}) DESC, s.account_id"
_RATED_SPECIALISTS = (
    "worker_specializations AS s JOIN worker_profiles AS p ON p.account_id = s.account_id"
    " JOIN accounts AS a ON a.id = s.account_id"
    f" LEFT JOIN review_summaries AS r ON r.area = '{AREA}' AND r.person_id = s.account_id"
)
# those against whom nothing speaks come first, so that a limit never cuts off the one to choose
_CANDIDATES = _query(
    "SELECT c.* FROM (SELECT s.account_id, p.is_available,"  # noqa: S608 - constants of this module only
    f" COALESCE({IS_WORKER}, false) AS is_active, {is_blocked('s.account_id', 'o.client_id')} AS is_blocked,"
    " EXISTS (SELECT FROM gigs_job_offers AS j WHERE j.order_id = o.id AND j.worker_id = s.account_id"
    "  AND j.outcome IN ('declined', 'lapsed')) AS has_refused,"
    f" busy.overlaps, busy.running, {_RATING} AS rating,"
    " (SELECT max(e.ended_at) FROM gigs_orders AS e WHERE e.worker_id = s.account_id AND e.ended_at IS NOT NULL)"
    "  AS idle_since"
    f" FROM gigs_orders AS o CROSS JOIN {_RATED_SPECIALISTS}"
    " CROSS JOIN LATERAL (SELECT count(*) AS running,"
    "  COALESCE(bool_or(x.scheduled_at < o.ends_at AND x.ends_at > o.scheduled_at), false) AS overlaps"
    "  FROM gigs_orders AS x WHERE x.worker_id = s.account_id AND x.ended_at IS NULL AND x.status = 'in_progress'"
    "  AND x.id <> o.id) AS busy"
    " WHERE o.id = :wanted AND s.offering_id = o.offering_id AND s.account_id <> o.client_id) AS c"
    " ORDER BY c.is_available AND c.is_active AND NOT (c.is_blocked OR c.has_refused OR c.overlaps)"
    " AND c.running < :load_max DESC,"
    f" COALESCE(c.rating, {RATING_OF_NOBODY}) DESC, c.running, c.idle_since NULLS FIRST, c.account_id"
    " LIMIT :limit_rows",
    wanted=UUID,
    load_max=BigInteger,
    limit_rows=BigInteger,
)
_SPECIALISTS = _query(
    f"SELECT s.account_id FROM {_RATED_SPECIALISTS}"  # noqa: S608 - constants of this module only
    f" WHERE s.offering_id = :offering AND p.is_available AND {IS_WORKER} AND s.account_id <> :client"
    f" AND NOT {is_blocked('s.account_id', ':client')} ORDER BY {_BEST_RATED} LIMIT :limit_rows",
    offering=UUID,
    client=UUID,
    limit_rows=BigInteger,
)
_WAITING = (
    "SELECT paid_at, id FROM gigs_orders WHERE status = 'paid' AND (stage = 'unassigned' OR answer_by < :now)"
    "{after} ORDER BY paid_at, id LIMIT :limit_rows"
)
_WAITING_FIRST = _query(_WAITING.format(after=""), now=INSTANT, limit_rows=BigInteger)
_WAITING_AFTER = _query(
    _WAITING.format(after=" AND (paid_at, id) > (:after_paid_at, :after_id)"),
    now=INSTANT,
    after_paid_at=INSTANT,
    after_id=UUID,
    limit_rows=BigInteger,
)


def _due(condition: str, column: str) -> Statement:
    return _query(
        f"SELECT id FROM gigs_orders WHERE {condition} ORDER BY {column}, id LIMIT :limit_rows",  # noqa: S608
        now=INSTANT,
        limit_rows=BigInteger,
    )


_UNPAID = _due("status = 'pending' AND pay_by <= :now", "pay_by")
_UNFILLED = _due("status = 'paid' AND fill_by <= :now", "fill_by")
_SILENT = _due("stage = 'delivered' AND accept_by <= :now", "accept_by")
_ARCHIVABLE = _due("ended_at IS NOT NULL AND archived_at IS NULL AND ended_at < :now", "ended_at")


def _visits(kind: ReminderKind, person: str, begin: str, end: str) -> str:
    return (
        f"SELECT format('order:%s:{kind}:%s', id, {person}) AS key, '{kind}' AS kind, {person} AS recipient,"  # noqa: S608
        " id AS order_id, service, scheduled_at AS due_at FROM gigs_orders WHERE stage = 'assigned'"
        f" AND scheduled_at > :now + interval '{begin}' AND scheduled_at <= :now + interval '{end}'"
    )


_DUE_REMINDERS = _query(
    "SELECT due.* FROM ("  # noqa: S608 - constants of this module only
    + " UNION ALL ".join(
        (
            _visits(ReminderKind.VISIT_IN_A_DAY, "client_id", "1 hour", "24 hours"),
            _visits(ReminderKind.VISIT_IN_A_DAY, "worker_id", "1 hour", "24 hours"),
            _visits(ReminderKind.VISIT_IN_AN_HOUR, "client_id", "0 hours", "1 hour"),
            _visits(ReminderKind.VISIT_IN_AN_HOUR, "worker_id", "0 hours", "1 hour"),
            # each delivery has its own silence
            f"SELECT format('order:%s:{ReminderKind.ACCEPTANCE_ENDS}:%s', id, change_rounds),"  # noqa: S608
            f" '{ReminderKind.ACCEPTANCE_ENDS}', client_id, id, service, accept_by FROM gigs_orders"
            " WHERE stage = 'delivered' AND accept_by > :now AND accept_by <= :now + interval '24 hours'",
            f"SELECT format('order:%s:{ReminderKind.PAYMENT_ENDS}', id), '{ReminderKind.PAYMENT_ENDS}',"  # noqa: S608
            " client_id, id, service, pay_by FROM gigs_orders"
            " WHERE status = 'pending' AND pay_by > :now AND pay_by <= :now + interval '2 hours'",
        )
    )
    + ") AS due WHERE NOT EXISTS (SELECT FROM sent_reminders AS s WHERE s.key = due.key)"
    " ORDER BY due.due_at, due.key LIMIT :limit_rows",
    now=INSTANT,
    limit_rows=BigInteger,
)


class PostgresOrderQueries:
    """Reads of orders."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def order(self, order_id: OrderId, viewer: Viewer) -> OrderView:
        """Return an order. Raises OrderNotFound."""
        async with self._database.connection() as connection:
            row = await _ONE_ORDER.fetch_row(
                connection, wanted=order_id, viewer=viewer.account_id, is_admin=viewer.is_admin
            )
        if row is None:
            raise OrderNotFound
        return _view(row)

    async def orders(self, wanted: OrderFilter, viewer: Viewer, page: Page) -> Listing[OrderView]:
        """Return the orders that fit, the newest first."""
        sees_all = viewer.is_admin and wanted.scope is not OrderScope.MINE
        of_viewer = _list_of_all if sees_all else _list_of_one
        listed = of_viewer(wanted.status, wanted.scope, wanted.with_archived)
        values: dict[str, object] = {"viewer": viewer.account_id, "is_admin": viewer.is_admin}
        if wanted.status is not None:
            values["status"] = str(wanted.status)
        async with self._database.connection() as connection:
            return await listed.fetch(connection, page, _view, **values)

    async def candidates(self, order_id: OrderId, *, load_max: int, limit: int) -> Sequence[Candidate]:
        """Return those who do the service of an order, those against whom nothing speaks first, best rated first."""
        async with self._database.connection() as connection:
            return [
                Candidate(
                    account_id=AccountId(row["account_id"]),
                    is_available=row["is_available"],
                    is_active=row["is_active"],
                    is_blocked=row["is_blocked"],
                    has_refused=row["has_refused"],
                    overlaps=row["overlaps"],
                    running=row["running"],
                    rating=row["rating"],
                    idle_since=row["idle_since"],
                )
                for row in await _CANDIDATES.fetch(connection, wanted=order_id, load_max=load_max, limit_rows=limit)
            ]

    async def specialists(self, offering_id: OfferingId, *, client_id: AccountId, limit: int) -> Sequence[AccountId]:
        """Return available workers with an open account who may serve a client, the best rated first."""
        async with self._database.connection() as connection:
            rows = await _SPECIALISTS.fetch(connection, offering=offering_id, client=client_id, limit_rows=limit)
        return [AccountId(row["account_id"]) for row in rows]

    async def waiting_for_worker(self, *, now: datetime, after: OpenOrder | None, limit: int) -> Sequence[OpenOrder]:
        """Return open orders without an offer that can still be answered, those that wait longest first."""
        async with self._database.connection() as connection:
            if after is None:
                rows = await _WAITING_FIRST.fetch(connection, now=now, limit_rows=limit)
            else:
                rows = await _WAITING_AFTER.fetch(
                    connection, now=now, after_paid_at=after.paid_at, after_id=after.id, limit_rows=limit
                )
        return [OpenOrder(row["paid_at"], row["id"]) for row in rows]

    async def unpaid_since(self, *, now: datetime, limit: int) -> Sequence[OrderId]:
        """Return unpaid orders whose payment window is over."""
        return await self._due(_UNPAID, now, limit)

    async def unfilled(self, *, now: datetime, limit: int) -> Sequence[OrderId]:
        """Return open orders that have waited long enough."""
        return await self._due(_UNFILLED, now, limit)

    async def silently_accepted(self, *, now: datetime, limit: int) -> Sequence[OrderId]:
        """Return delivered orders whose client's time to answer is over."""
        return await self._due(_SILENT, now, limit)

    async def archivable(self, *, ended_before: datetime, limit: int) -> Sequence[OrderId]:
        """Return orders that ended before then and are not archived."""
        return await self._due(_ARCHIVABLE, ended_before, limit)

    async def due_reminders(self, *, now: datetime, limit: int) -> Sequence[DueOrderReminder]:
        """Return reminders that are due and were not sent."""
        async with self._database.connection() as connection:
            return [
                DueOrderReminder(
                    key=row["key"],
                    kind=ReminderKind(row["kind"]),
                    recipient=AccountId(row["recipient"]),
                    order_id=OrderId(row["order_id"]),
                    service=row["service"],
                    due_at=row["due_at"],
                )
                for row in await _DUE_REMINDERS.fetch(connection, now=now, limit_rows=limit)
            ]

    async def _due(self, statement: Statement, now: datetime, limit: int) -> Sequence[OrderId]:
        async with self._database.connection() as connection:
            return [OrderId(row["id"]) for row in await statement.fetch(connection, now=now, limit_rows=limit)]


def _view(row: asyncpg.Record) -> OrderView:
    currency = row["currency"]
    return OrderView(
        id=OrderId(row["id"]),
        client=_person_view(row, "client"),
        worker=None if row["worker_id"] is None else _person_view(row, "worker"),
        offering_id=OfferingId(row["offering_id"]),
        service=row["service"],
        description=row["description"],
        address=row["address"],
        scheduled_at=row["scheduled_at"],
        quantity=row["quantity"],
        total=Money(row["unit_price"] * row["quantity"], currency),
        stage=Stage(row["stage"]),
        refunded=Money(row["refunded"], currency),
        payment_id=None if row["intent_id"] is None else IntentId(row["intent_id"]),
        attempts_left=None if row["attempts_left"] is None else max(0, row["attempts_left"]),
        answer_by=row["answer_by"],
        steps=tuple(_step(step, shows_comment=row["address"] is not None) for step in row["steps"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        files=shown_files(row["files"]),
    )


def _person_view(row: asyncpg.Record, prefix: str) -> PersonView:
    return PersonView(
        id=AccountId(row[f"{prefix}_id"]),
        username=row[f"{prefix}_username"],
        first_name=row[f"{prefix}_first_name"],
        last_name=row[f"{prefix}_last_name"],
        avatar=row[f"{prefix}_avatar"],
    )


def _step(values: list[Any], *, shows_comment: bool) -> StepView:
    word, comment, created_by, created_at = values
    stage = Stage(word)
    return StepView(
        status=STATUS_BY_STAGE[stage],
        stage=stage,
        comment=comment if shows_comment else "",
        created_by=None if created_by is None else AccountId(uuid.UUID(created_by)),
        created_at=datetime.fromisoformat(created_at),
    )
