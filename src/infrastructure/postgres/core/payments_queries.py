"""Reads of payments on PostgreSQL: one round trip each."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from itertools import combinations

import asyncpg
from sqlalchemy import ARRAY, Boolean, Date, and_, bindparam, case, func, or_, select, text, true
from sqlalchemy.dialects.postgresql import aggregate_order_by

from application.core.kernel.ports import Listing, Page
from application.core.payments.queries import (
    AttemptView,
    CaseView,
    CollectedMovement,
    DailyFigures,
    DueAttempt,
    DueEvent,
    DueRefund,
    PaymentDetail,
    PaymentFilter,
    PaymentView,
    RetryTerms,
    UnservedPayment,
)
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.kernel.money import Money
from domain.core.payments.case import CaseKind
from domain.core.payments.gateway import ProviderReferences
from domain.core.payments.intent import AttemptStatus, IntentStatus, stage_of
from infrastructure.postgres.core.identity_tables import accounts
from infrastructure.postgres.core.payments_tables import (
    gateway_events,
    payment_attempts,
    payment_cases,
    payment_daily_figures,
    payment_intents,
    payment_refunds,
)
from infrastructure.postgres.database import Database
from infrastructure.postgres.keyset import KeysetList
from infrastructure.postgres.statements import Statement
from infrastructure.postgres.tables import BIGINT, INSTANT, TEXT, UUID

_i, _a, _c = payment_intents.c, payment_attempts.c, payment_cases.c

_FIND = Statement(
    select(
        _i.reference, _i.payer_id, _i.amount, _i.currency, _i.purpose, _i.status, _i.served_at, _i.created_at,
        _i.refunded, _a.status.label("attempt_status"), _a.code, _a.message,
    )
    .join(payment_attempts, _a.intent_id == _i.id)
    .where(_i.reference == bindparam("wanted"))
    # a paid attempt tells how the payment stands, else the last one
    .order_by(case((_a.status == "succeeded", 0), else_=1), _a.id.desc())
    .limit(1)
)  # fmt: skip

_shown = payment_attempts.alias("shown")
_SHOWN_COLUMNS = ("id", "method", "status", "code", "transaction_id", "created_at", "sent_at", "finished_at")
_DETAIL = select(
    _i.id, _i.payer_id, _i.purpose, _i.subject, _i.amount, _i.currency, _i.refunded, _i.status, _i.attempts_max,
    _i.created_at,
    select(
        func.jsonb_agg(
            aggregate_order_by(
                func.jsonb_build_object(*(part for name in _SHOWN_COLUMNS for part in (name, _shown.c[name]))),
                _shown.c.id,
            )
        )
    ).where(_shown.c.intent_id == _i.id).correlate(payment_intents).scalar_subquery().label("attempts"),
)  # fmt: skip
_PAYMENT = Statement(_DETAIL.where(_i.id == bindparam("wanted_id", type_=UUID)))

_telling = (
    select(_a.status)
    .where(_a.intent_id == _i.id)
    .order_by(case((_a.status == "succeeded", 0), else_=1), _a.id.desc())
    .limit(1)
    .correlate(payment_intents)
    .lateral("telling")
)
_STAGE = case(  # what `stage_of` says
    (_i.refunded == _i.amount, "refunded"),
    (_i.refunded > 0, "partially_refunded"),
    (or_(_telling.c.status == "succeeded", _telling.c.status == "review"), _telling.c.status),
    (_i.status == "canceled", "canceled"),
    (_telling.c.status == "sending", "created"),
    else_=_telling.c.status,
)
_WANTED = {
    "payer": _i.payer_id == bindparam("wanted_payer", type_=UUID),
    "purpose": _i.purpose == bindparam("wanted_purpose", type_=TEXT),
    "subject": _i.subject == bindparam("wanted_subject", type_=UUID),
    "stages": func.array_position(bindparam("wanted_stages", type_=ARRAY(TEXT)), _STAGE).is_not(None),
}
_PAYMENT_LISTS = {
    names: KeysetList(
        (_DETAIL.join(_telling, true()) if "stages" in names else _DETAIL).where(*(_WANTED[name] for name in names)),
        _i.id,
    )
    for size in range(len(_WANTED) + 1)
    for names in combinations(_WANTED, size)
}
"""By the filters that are given, so that each is planned for what it asks."""

_r = payment_refunds.c
_REFUND = (
    select(
        _r.id, _r.intent_id, _i.purpose, _i.subject, _r.gateway, _r.reference, _r.amount, _r.currency, _r.reason,
        _r.requested_at, _a.transaction_id, _a.checkout_id, _a.receipt,
    )
    .join(payment_intents, _i.id == _r.intent_id)
    .join(payment_attempts, _a.id == _r.attempt_id)
)  # fmt: skip
_DUE_REFUNDS = Statement(
    _REFUND.where(_r.next_check_at <= bindparam("now", type_=INSTANT))
    .order_by(_r.next_check_at)
    .limit(bindparam("limit_rows", type_=BIGINT))
)
_REFUND_NAMED = Statement(
    _REFUND.where(
        _r.gateway == bindparam("wanted_gateway", type_=TEXT),
        or_(
            _r.id == bindparam("wanted_id", type_=UUID),
            and_(
                bindparam("wanted_id", type_=UUID).is_(None),
                _r.reference == bindparam("wanted_reference", type_=TEXT),
            ),
        ),
    ).limit(1)
)

_CASES = select(payment_cases, _i.reference).outerjoin(payment_intents, _i.id == _c.intent_id)
_CASE = Statement(_CASES.where(_c.id == bindparam("case_id")))
_IS_OPEN = {True: _c.resolved_at.is_(None), False: _c.resolved_at.is_not(None)}
_CASE_LISTS = {
    (is_open, by_kind): KeysetList(
        _CASES.where(
            *([] if is_open is None else [_IS_OPEN[is_open]]),
            *([_c.kind == bindparam("wanted_kind")] if by_kind else []),
        ),
        _c.id,
    )
    for is_open in (None, True, False)
    for by_kind in (False, True)
}

_DUE = select(
    _a.intent_id, _a.id, _a.gateway, _a.phone, _i.amount, _i.currency, _a.status, _a.transaction_id, _a.checkout_id,
    _a.receipt, func.coalesce(_a.sent_at, _a.created_at).label("sent_at"),
).join(payment_intents, _i.id == _a.intent_id)  # fmt: skip
_LIMIT = bindparam("limit_rows", type_=BIGINT)
_DUE_CHECKS = Statement(
    _DUE.where(_a.next_check_at <= bindparam("now", type_=INSTANT)).order_by(_a.next_check_at).limit(_LIMIT)
)
_WAITING = Statement(
    _DUE.where(text("payment_attempts.status IN ('sending', 'pending', 'unknown')"))
    .where(_a.sent_at <= bindparam("before", type_=INSTANT))
    .order_by(_a.sent_at)
    .limit(_LIMIT)
)
_CUT_OFF = Statement(
    _DUE.where(text("payment_attempts.status = 'sending'"))
    .where(_a.sent_at <= bindparam("before", type_=INSTANT))
    .order_by(_a.sent_at)
    .limit(_LIMIT)
)
_OVERDUE = Statement(
    text(
        "SELECT i.id FROM payment_intents AS i WHERE i.status = 'open' AND i.expires_at <= :now AND NOT EXISTS ("
        "  SELECT FROM payment_attempts AS a WHERE a.intent_id = i.id"
        "  AND a.status IN ('created', 'sending', 'pending', 'unknown', 'review'))"
        " ORDER BY i.expires_at LIMIT :limit_rows"
    ).bindparams(bindparam("now", type_=INSTANT), bindparam("limit_rows", type_=BIGINT))
)
_DUE_EVENTS = Statement(
    select(*(gateway_events.c[name] for name in ("id", "gateway", "body", "path", "received_at")))
    .where(gateway_events.c.look_at <= bindparam("now", type_=INSTANT))
    .order_by(gateway_events.c.look_at)
    .limit(_LIMIT)
)
_SOFT_FAILURES = Statement(
    text(
        "SELECT a.intent_id, a.id, a.gateway, a.phone, i.amount, i.currency, a.status, a.transaction_id, a.checkout_id,"
        " a.receipt, COALESCE(a.sent_at, a.created_at) AS sent_at"
        " FROM payment_attempts AS a JOIN payment_intents AS i ON i.id = a.intent_id"
        " CROSS JOIN LATERAL ("
        "  SELECT count(*) FILTER (WHERE o.is_retry) AS retries, count(*) FILTER (WHERE o.id > a.id) AS later,"
        "  count(*) FILTER (WHERE o.sent_at IS NOT NULL) AS tries, max(o.created_at) FILTER (WHERE o.is_retry) AS retry"
        "  FROM payment_attempts AS o WHERE o.intent_id = i.id) AS t"
        " WHERE a.status = 'failed' AND a.finished_at > :failed_after AND a.code = ANY(:codes)"
        " AND i.status = 'open' AND i.expires_at > :now AND t.later = 0"
        " AND (i.attempts_max IS NULL OR i.attempts_max - t.tries > 1)"
        " AND (a.phone IS NOT NULL AND :prompts AND t.retries = 0"
        "  OR a.phone IS NULL AND a.gateway = ANY(:gateways) AND (a.method <> 'card' OR a.card_token IS NOT NULL)"
        "  AND t.retries < :retries_max AND (t.retry IS NULL OR t.retry <= :last_retry_before))"
        " ORDER BY a.finished_at LIMIT :limit_rows"
    ).bindparams(
        bindparam("failed_after", type_=INSTANT),
        bindparam("now", type_=INSTANT),
        bindparam("codes", type_=ARRAY(TEXT)),
        bindparam("prompts", type_=Boolean()),
        bindparam("gateways", type_=ARRAY(TEXT)),
        bindparam("retries_max", type_=BIGINT),
        bindparam("last_retry_before", type_=INSTANT),
        bindparam("limit_rows", type_=BIGINT),
    )
)
_UNSERVED = Statement(
    select(_i.reference, _i.purpose, _i.subject, _i.closed_at)
    .where(text("payment_intents.status = 'succeeded'"), _i.served_at.is_(None))
    .where(_i.closed_at <= bindparam("before", type_=INSTANT))
    .order_by(_i.closed_at)
    .limit(_LIMIT)
)
_MOVEMENT = select(
    _a.intent_id, _a.id, _i.reference, _a.transaction_id, _a.received, _a.received_currency, _a.status, _a.fee
).join(payment_intents, _i.id == _a.intent_id)
_KNOWN = Statement(
    _MOVEMENT.where(
        _a.gateway == bindparam("wanted_gateway"),
        _a.transaction_id == func.any(bindparam("ids", type_=ARRAY(TEXT))),
    )
)
_COLLECTED = Statement(
    text(
        "SELECT a.intent_id, a.id, i.reference, a.transaction_id, a.received, a.received_currency, a.status, a.fee"
        " FROM payment_attempts AS a JOIN payment_intents AS i ON i.id = a.intent_id"
        " WHERE a.gateway = :wanted_gateway AND a.status = 'succeeded' AND a.sent_at >= :since"
        " AND a.sent_at < :until AND a.id > :after ORDER BY a.id LIMIT :limit_rows"
    ).bindparams(
        bindparam("wanted_gateway", type_=TEXT),
        bindparam("since", type_=INSTANT),
        bindparam("until", type_=INSTANT),
        bindparam("after", type_=UUID),
        bindparam("limit_rows", type_=BIGINT),
    )
)
_FIGURES = Statement(
    select(payment_daily_figures)
    .where(payment_daily_figures.c.day == bindparam("wanted_day", type_=Date))
    .order_by(payment_daily_figures.c.purpose, payment_daily_figures.c.currency)
    .limit(1_000)
)
_LAST_DAY = Statement(select(func.max(payment_daily_figures.c.day)))
_COUNT_DAY = Statement(
    text(
        "INSERT INTO payment_daily_figures (day, purpose, currency, started, completed, failed, pending, refunded,"
        " amount_started, amount_completed, amount_refunded, made_at)"
        " SELECT :day, s.purpose, s.currency, count(*) FILTER (WHERE s.started > 0),"
        " count(*) FILTER (WHERE s.paid > 0), count(*) FILTER (WHERE s.started > 0 AND s.paid = 0 AND NOT s.waits),"
        " count(*) FILTER (WHERE s.waits), count(*) FILTER (WHERE s.refunded > 0),"
        " sum(s.started), sum(s.paid), sum(s.refunded), :now"
        " FROM (SELECT i.purpose, i.currency, i.amount AS started,"
        "  CASE WHEN a.status = 'succeeded' THEN a.received ELSE 0 END AS paid,"
        "  a.status IN ('created', 'sending', 'pending', 'unknown', 'review') AS waits, 0 AS refunded"
        "  FROM payment_attempts AS a JOIN payment_intents AS i ON i.id = a.intent_id"
        "  WHERE a.created_at >= :since AND a.created_at < :until"
        "  UNION ALL SELECT i.purpose, r.currency, 0, 0, false, r.amount"
        "  FROM payment_refunds AS r JOIN payment_intents AS i ON i.id = r.intent_id"
        "  WHERE r.status = 'succeeded' AND r.ended_at >= :since AND r.ended_at < :until) AS s"
        " GROUP BY s.purpose, s.currency"
        " ON CONFLICT (day, purpose, currency) DO UPDATE SET started = excluded.started,"
        " completed = excluded.completed, failed = excluded.failed, pending = excluded.pending,"
        " refunded = excluded.refunded, amount_started = excluded.amount_started,"
        " amount_completed = excluded.amount_completed, amount_refunded = excluded.amount_refunded,"
        " made_at = excluded.made_at RETURNING 1"
    ).bindparams(
        bindparam("day", type_=Date),
        bindparam("since", type_=INSTANT),
        bindparam("until", type_=INSTANT),
        bindparam("now", type_=INSTANT),
    )
)

_PHONE = Statement(
    select(func.coalesce(accounts.c.verified_phone, accounts.c.claimed_phone)).where(
        accounts.c.id == bindparam("payer_id", type_=UUID)
    )
)


class PostgresPayerPhones:
    """The phones of profiles: the proved one, else the one the payer typed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def phone_of(self, payer: AccountId) -> str | None:
        """Return the phone of a payer's profile, if there is one."""
        async with self._database.connection() as connection:
            found: str | None = await _PHONE.fetch_value(connection, payer_id=payer)
        return found


class PostgresPaymentQueries:
    """Reads of payments, and the one count that is stored."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, reference: str) -> PaymentView | None:
        """Return a payment by its reference."""
        async with self._database.connection() as connection:
            row = await _FIND.fetch_row(connection, wanted=reference)
        if row is None:
            return None
        return PaymentView(
            reference=row["reference"],
            payer=AccountId(row["payer_id"]),
            amount=Money(row["amount"], row["currency"]),
            purpose=row["purpose"],
            stage=stage_of(
                IntentStatus(row["status"]),
                AttemptStatus(row["attempt_status"]),
                amount=Money(row["amount"], row["currency"]),
                refunded=Money(row["refunded"], row["currency"]),
            ),
            processed=row["served_at"] is not None,
            code=row["code"],
            message=row["message"],
            created_at=row["created_at"],
        )

    async def payment(self, intent_id: IntentId) -> PaymentDetail | None:
        """Return a payment with its attempts."""
        async with self._database.connection() as connection:
            row = await _PAYMENT.fetch_row(connection, wanted_id=intent_id)
        return None if row is None else _detail(row)

    async def payments(self, page: Page, wanted: PaymentFilter) -> Listing[PaymentDetail]:
        """Return a page of payments, the newest first."""
        values = {
            "payer": wanted.payer, "purpose": wanted.purpose, "subject": wanted.subject,
            "stages": None if wanted.stages is None else list(wanted.stages),
        }  # fmt: skip
        names = tuple(name for name in _WANTED if values[name] is not None)
        given = {f"wanted_{name}": values[name] for name in names}
        async with self._database.connection() as connection:
            return await _PAYMENT_LISTS[names].fetch(connection, page, _detail, **given)

    async def due_refunds(self, now: datetime, limit: int) -> Sequence[DueRefund]:
        """Return the refunds whose next question is due."""
        async with self._database.connection() as connection:
            return [_due_refund(row) for row in await _DUE_REFUNDS.fetch(connection, now=now, limit_rows=limit)]

    async def refund_named(self, gateway: str, refund_id: uuid.UUID | None, reference: str | None) -> DueRefund | None:
        """Return the refund of a gateway that its provider names."""
        async with self._database.connection() as connection:
            row = await _REFUND_NAMED.fetch_row(
                connection, wanted_gateway=gateway, wanted_id=refund_id, wanted_reference=reference
            )
        return None if row is None else _due_refund(row)

    async def cases(self, page: Page, *, kind: CaseKind | None, is_open: bool | None) -> Listing[CaseView]:
        """Return a page of cases, the newest first."""
        values = {} if kind is None else {"wanted_kind": kind.value}
        async with self._database.connection() as connection:
            return await _CASE_LISTS[is_open, kind is not None].fetch(connection, page, _case_view, **values)

    async def case(self, case_id: uuid.UUID) -> CaseView | None:
        """Return one case."""
        async with self._database.connection() as connection:
            row = await _CASE.fetch_row(connection, case_id=case_id)
        return None if row is None else _case_view(row)

    async def due_checks(self, now: datetime, limit: int) -> Sequence[DueAttempt]:
        """Return the attempts whose next question is due."""
        async with self._database.connection() as connection:
            return [_due(row) for row in await _DUE_CHECKS.fetch(connection, now=now, limit_rows=limit)]

    async def cut_off(self, before: datetime, limit: int) -> Sequence[DueAttempt]:
        """Return the attempts that are still being sent since before then."""
        async with self._database.connection() as connection:
            return [_due(row) for row in await _CUT_OFF.fetch(connection, before=before, limit_rows=limit)]

    async def waiting_since(self, before: datetime, limit: int) -> Sequence[DueAttempt]:
        """Return the attempts that were sent before then and still wait."""
        async with self._database.connection() as connection:
            return [_due(row) for row in await _WAITING.fetch(connection, before=before, limit_rows=limit)]

    async def overdue_intents(self, now: datetime, limit: int) -> Sequence[IntentId]:
        """Return the open payments whose life is over and that wait for nothing."""
        async with self._database.connection() as connection:
            return [IntentId(row["id"]) for row in await _OVERDUE.fetch(connection, now=now, limit_rows=limit)]

    async def due_events(self, now: datetime, limit: int) -> Sequence[DueEvent]:
        """Return stored callbacks that wait to be applied."""
        async with self._database.connection() as connection:
            rows = await _DUE_EVENTS.fetch(connection, now=now, limit_rows=limit)
        return [
            DueEvent(
                id=row["id"],
                gateway=row["gateway"],
                body=row["body"],
                path=row["path"],
                received_at=row["received_at"],
            )
            for row in rows
        ]

    async def soft_failures(self, terms: RetryTerms, limit: int) -> Sequence[DueAttempt]:
        """Return the attempts that may be tried once more on these terms."""
        async with self._database.connection() as connection:
            rows = await _SOFT_FAILURES.fetch(
                connection,
                now=terms.now,
                failed_after=terms.failed_after,
                codes=list(terms.codes),
                prompts=terms.prompts,
                gateways=list(terms.gateways),
                retries_max=terms.retries_max,
                last_retry_before=terms.last_retry_before,
                limit_rows=limit,
            )
        return [_due(row) for row in rows]

    async def unserved(self, before: datetime, limit: int) -> Sequence[UnservedPayment]:
        """Return payments that succeeded before then and whose purpose did not take effect."""
        async with self._database.connection() as connection:
            rows = await _UNSERVED.fetch(connection, before=before, limit_rows=limit)
        return [
            UnservedPayment(
                reference=row["reference"], purpose=row["purpose"], subject=row["subject"], paid_at=row["closed_at"]
            )
            for row in rows
        ]

    async def known_transactions(self, gateway: str, ids: Sequence[str]) -> Mapping[str, CollectedMovement]:
        """Return our attempts by the provider's transaction ids."""
        async with self._database.connection() as connection:
            rows = await _KNOWN.fetch(connection, wanted_gateway=gateway, ids=list(ids))
        return {row["transaction_id"]: _movement(row) for row in rows}

    async def collected(
        self, gateway: str, since: datetime, until: datetime, *, after: uuid.UUID | None, limit: int
    ) -> Sequence[CollectedMovement]:
        """Return what we booked as received of what was sent in a window, by rising attempt id."""
        async with self._database.connection() as connection:
            rows = await _COLLECTED.fetch(
                connection,
                wanted_gateway=gateway,
                since=since,
                until=until,
                after=after or uuid.UUID(int=0),
                limit_rows=limit,
            )
        return [_movement(row) for row in rows]

    async def daily_figures(self, day: date) -> Sequence[DailyFigures]:
        """Return the stored figures of a business day."""
        async with self._database.connection() as connection:
            rows = await _FIGURES.fetch(connection, wanted_day=day)
        return [
            DailyFigures(
                day=row["day"],
                purpose=row["purpose"],
                currency=row["currency"],
                started=row["started"],
                completed=row["completed"],
                failed=row["failed"],
                pending=row["pending"],
                refunded=row["refunded"],
                amount_started=Money(row["amount_started"], row["currency"]),
                amount_completed=Money(row["amount_completed"], row["currency"]),
                amount_refunded=Money(row["amount_refunded"], row["currency"]),
            )
            for row in rows
        ]

    async def last_day(self) -> date | None:
        """Return the latest day that has figures, if any has."""
        async with self._database.connection() as connection:
            found: date | None = await _LAST_DAY.fetch_value(connection)
        return found

    async def count(self, day: date, *, since: datetime, until: datetime, now: datetime) -> int:
        """Store the figures of the day in place of earlier ones; return how many rows there are."""
        async with self._database.connection() as connection:
            return len(await _COUNT_DAY.fetch(connection, day=day, since=since, until=until, now=now))


def _detail(row: asyncpg.Record) -> PaymentDetail:
    return PaymentDetail(
        id=IntentId(row["id"]),
        payer=AccountId(row["payer_id"]),
        purpose=row["purpose"],
        subject=row["subject"],
        amount=Money(row["amount"], row["currency"]),
        refunded=Money(row["refunded"], row["currency"]),
        status=IntentStatus(row["status"]),
        attempts=[
            AttemptView(
                id=uuid.UUID(one["id"]),
                method=one["method"],
                status=AttemptStatus(one["status"]),
                code=one["code"],
                transaction_id=one["transaction_id"],
                created_at=datetime.fromisoformat(one["created_at"]),
                sent_at=_instant(one["sent_at"]),
                finished_at=_instant(one["finished_at"]),
            )
            for one in row["attempts"]
        ],
        attempts_max=row["attempts_max"],
        created_at=row["created_at"],
    )


def _instant(of_json: str | None) -> datetime | None:
    return None if of_json is None else datetime.fromisoformat(of_json)


def _due_refund(row: asyncpg.Record) -> DueRefund:
    return DueRefund(
        refund_id=row["id"],
        intent_id=IntentId(row["intent_id"]),
        purpose=row["purpose"],
        subject=row["subject"],
        gateway=row["gateway"],
        reference=row["reference"],
        amount=Money(row["amount"], row["currency"]),
        reason=row["reason"],
        requested_at=row["requested_at"],
        payment=ProviderReferences(row["transaction_id"], row["checkout_id"], row["receipt"]),
    )


def _due(row: asyncpg.Record) -> DueAttempt:
    return DueAttempt(
        intent_id=IntentId(row["intent_id"]),
        attempt_id=row["id"],
        gateway=row["gateway"],
        phone=row["phone"],
        amount=Money(row["amount"], row["currency"]),
        status=AttemptStatus(row["status"]),
        references=ProviderReferences(row["transaction_id"], row["checkout_id"], row["receipt"]),
        sent_at=row["sent_at"],
    )


def _movement(row: asyncpg.Record) -> CollectedMovement:
    return CollectedMovement(
        intent_id=IntentId(row["intent_id"]),
        attempt_id=row["id"],
        reference=row["reference"],
        transaction_id=row["transaction_id"],
        received=None if row["received"] is None else Money(row["received"], row["received_currency"]),
        has_fee=row["fee"] is not None,
        status=AttemptStatus(row["status"]),
    )


def _case_view(row: asyncpg.Record) -> CaseView:
    return CaseView(
        id=row["id"],
        kind=row["kind"],
        status="open" if row["resolved_at"] is None else "closed",
        gateway=row["gateway"],
        reference=row["reference"],
        attempt_id=row["attempt_id"],
        booked=None if row["booked"] is None else Money(row["booked"], row["booked_currency"]),
        facts=row["facts"],
        resolution=row["resolution"],
        note=row["note"],
        resolved_by=row["resolved_by"],
        resolved_at=row["resolved_at"],
        created_at=row["created_at"],
    )
