"""Payments on PostgreSQL: intents with their attempts, the inbox of callbacks, and cases."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import asyncpg
from sqlalchemy import Column, Table, bindparam, insert, select, text
from sqlalchemy.dialects.postgresql import insert as insert_or

from application.core.payments.ports import Push
from domain.core.kernel.errors import DomainError, NotFound
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.transfer import TransferKind
from domain.core.payments.case import CaseKind, PaymentCase, Resolution
from domain.core.payments.fx import FxQuote
from domain.core.payments.gateway import CardKept, ProviderReferences
from domain.core.payments.intent import (
    AttemptStatus,
    IntentStatus,
    PaymentAttempt,
    PaymentIntent,
    ProviderReferenceReused,
    PushInFlight,
)
from infrastructure.postgres.core.payments_tables import (
    gateway_events,
    payment_attempts,
    payment_cases,
    payment_intents,
)
from infrastructure.postgres.database import Database
from infrastructure.postgres.statements import Statement, WriteBatch
from infrastructure.postgres.tables import INSTANT, TEXT, UUID
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork

PAYMENT_REFUSALS: Mapping[str, type[DomainError]] = {
    "uq_payment_intents_open": PushInFlight,
    "uq_payment_attempts_push": PushInFlight,
    "uq_payment_attempts_in_flight": PushInFlight,
    "uq_payment_attempts_transaction": ProviderReferenceReused,
    "uq_payment_attempts_checkout": ProviderReferenceReused,
    "uq_payment_attempts_receipt": ProviderReferenceReused,
}


_ATTEMPT_COLUMNS = [column.name for column in payment_attempts.c]


def _update(table: Table, *columns: Column[Any]) -> Statement:
    """Return an update of these columns by id; each parameter is called as its column."""
    settings = ", ".join(f"{column.name} = :{column.name}" for column in columns)
    return Statement(
        text(f"UPDATE {table.name} SET {settings} WHERE id = :id").bindparams(  # noqa: S608 - names of our own columns
            bindparam("id", type_=UUID), *(bindparam(column.name, type_=column.type) for column in columns)
        )
    )


def _locked(where: str, **types: Any) -> Statement:
    """Return a query for one payment and its attempts, the payment locked before them, by a condition on `i`."""
    attempts = ", ".join(f"a.{name} AS a_{name}" for name in _ATTEMPT_COLUMNS)
    return Statement(
        text(
            f"SELECT i.*, {attempts} FROM payment_intents AS i"  # noqa: S608 - names of our own columns
            f" JOIN payment_attempts AS a ON a.intent_id = i.id WHERE {where} ORDER BY a.id FOR UPDATE"
        ).bindparams(*(bindparam(name, type_=kind) for name, kind in types.items()))
    )


_ADD_INTENT = Statement(insert(payment_intents))
_ADD_ATTEMPT = Statement(insert(payment_attempts))
_SAVE_INTENT = _update(
    payment_intents, *(payment_intents.c[name] for name in ("status", "closed_at", "served_at", "refunded"))
)
_SAVE_ATTEMPT = _update(
    payment_attempts,
    *(
        payment_attempts.c[name]
        for name in (
            "status", "transaction_id", "checkout_id", "receipt", "code", "message", "next_action", "next_url", "fee",
            "card_brand", "card_last4", "card_token", "received", "received_currency", "went_to_wallet",
            "next_check_at", "told_paid_at", "sent_at", "finished_at",
        )
    ),
)  # fmt: skip
_BY_ID = _locked("i.id = :intent_id", intent_id=UUID)
_BY_ATTEMPT = _locked("i.id = (SELECT intent_id FROM payment_attempts WHERE id = :attempt_id)", attempt_id=UUID)
_OPEN = _locked(
    "i.status = 'open' AND i.payer_id = :payer_id AND i.purpose = :wanted_purpose AND i.subject = :wanted_subject",
    payer_id=UUID,
    wanted_purpose=TEXT,
    wanted_subject=UUID,
)
_NAMED = _locked(
    "i.id = COALESCE("
    "(SELECT intent_id FROM payment_attempts WHERE gateway = :gateway AND transaction_id = :transaction_id),"
    " (SELECT intent_id FROM payment_attempts WHERE gateway = :gateway AND checkout_id = :checkout_id),"
    " (SELECT id FROM payment_intents WHERE reference = :our_reference))",
    gateway=TEXT,
    transaction_id=TEXT,
    checkout_id=TEXT,
    our_reference=TEXT,
)

# two statements: one that waits for the lock would not see what the holder of the lock has committed meanwhile
_LOCK_PHONE = Statement(
    text("SELECT pg_advisory_xact_lock(hashtextextended(:phone, 7401))").bindparams(bindparam("phone", type_=TEXT))
)
_PUSHES = Statement(
    text(
        "SELECT a.intent_id, i.reference, i.payer_id, i.purpose, i.subject, i.amount, i.currency, a.status, a.sent_at"
        " FROM payment_attempts AS a JOIN payment_intents AS i ON i.id = a.intent_id"
        " WHERE a.phone = :phone AND a.sent_at IS NOT NULL"
        " AND (a.sent_at > :since OR a.status IN ('sending', 'pending', 'unknown'))"
        " ORDER BY a.sent_at LIMIT 200"
    ).bindparams(bindparam("phone", type_=TEXT), bindparam("since", type_=INSTANT))
)

_STORE_EVENT = Statement(
    text(
        "INSERT INTO gateway_events (id, gateway, digest, body, path, received_at, look_at)"
        " VALUES (:id, :gateway, :digest, :body, :path, :received_at, :look_at)"
        " ON CONFLICT (gateway, digest) DO NOTHING RETURNING id"
    ).bindparams(
        *(
            bindparam(name, type_=gateway_events.c[name].type)
            for name in ("id", "gateway", "digest", "body", "path", "received_at", "look_at")
        )
    )
)
_CLOSE_EVENT = _update(gateway_events, *(gateway_events.c[name] for name in ("look_at", "result", "attempt_id")))
_PARK_EVENT = Statement(
    text(
        "UPDATE gateway_events SET look_at = :look_at, last_error = :last_error, tries = tries + 1 WHERE id = :id"
    ).bindparams(bindparam("id", type_=UUID), bindparam("look_at", type_=INSTANT), bindparam("last_error", type_=TEXT))
)

_ADD_CASE = Statement(insert_or(payment_cases).on_conflict_do_nothing(index_elements=["key"]))
_CASE = Statement(select(payment_cases).where(payment_cases.c.id == bindparam("case_id")).with_for_update())
_SAVE_CASE = _update(
    payment_cases,
    *(
        payment_cases.c[name]
        for name in ("intent_id", "attempt_id", "resolution", "note", "resolved_by", "resolved_at")
    ),
)


class PostgresIntents:
    """Payments of one unit of work, loaded locked and written once, at the commit."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._payments: dict[IntentId, PaymentIntent] = {}
        self._stored: dict[uuid.UUID, Mapping[str, object]] = {}
        """What the database has of each row that was loaded or written, by id."""
        unit_of_work.attach(self)

    def add(self, intent: PaymentIntent) -> None:
        """Add a payment."""
        self._payments[intent.id] = intent

    async def get(self, intent_id: IntentId) -> PaymentIntent:
        """Return a payment. Raises NotFound."""
        return self._payments.get(intent_id) or _found(await self._one(_BY_ID, intent_id=intent_id))

    async def find_of_attempt(self, attempt_id: uuid.UUID) -> PaymentIntent | None:
        """Return the payment that an attempt belongs to, if any."""
        return await self._one(_BY_ATTEMPT, attempt_id=attempt_id)

    async def find_open(self, payer: AccountId, purpose: str, subject: uuid.UUID) -> PaymentIntent | None:
        """Return the open payment for this, if any."""
        return await self._one(_OPEN, payer_id=payer, wanted_purpose=purpose, wanted_subject=subject)

    async def find_named(
        self, gateway: str, references: ProviderReferences, our_reference: str | None
    ) -> PaymentIntent | None:
        """Return the payment that a provider names."""
        return await self._one(
            _NAMED,
            gateway=gateway,
            transaction_id=references.transaction_id,
            checkout_id=references.checkout_id,
            our_reference=our_reference,
        )

    async def pushes(self, phone: str, *, since: datetime) -> Sequence[Push]:
        """Return the pushes to a phone, oldest first; the phone is locked."""
        await _LOCK_PHONE.execute(self._unit.connection, phone=phone)
        return [
            Push(
                intent_id=IntentId(row["intent_id"]),
                reference=row["reference"],
                payer=AccountId(row["payer_id"]),
                purpose=row["purpose"],
                subject=row["subject"],
                amount=Money(row["amount"], row["currency"]),
                status=AttemptStatus(row["status"]),
                sent_at=row["sent_at"],
            )
            for row in await _PUSHES.fetch(self._unit.connection, phone=phone, since=since)
        ]

    async def save_now(self, intent: PaymentIntent) -> None:
        """Write a closed payment before the commit: the batch has no order of its own."""
        row = _intent_row(intent)
        await _SAVE_INTENT.execute(self._unit.connection, **row)
        self._stored[intent.id] = row

    async def _one(self, statement: Statement, **values: object) -> PaymentIntent | None:
        rows = await statement.fetch(self._unit.connection, **values)
        if not rows:
            return None
        known = self._payments.get(rows[0]["id"])
        if known is not None:
            return known
        intent = _intent(rows)
        self._payments[intent.id] = intent
        self._stored[intent.id] = _intent_row(intent)
        for attempt in intent.attempts:
            self._stored[attempt.id] = _attempt_row(intent, attempt)
        return intent

    def stage(self, batch: WriteBatch) -> None:
        """Put what is new or changed into the batch."""
        for intent in self._payments.values():
            self._stage(batch, intent.id, _intent_row(intent), _ADD_INTENT, _SAVE_INTENT)
            for attempt in intent.attempts:
                self._stage(batch, attempt.id, _attempt_row(intent, attempt), _ADD_ATTEMPT, _SAVE_ATTEMPT)

    def _stage(
        self, batch: WriteBatch, row_id: uuid.UUID, row: Mapping[str, object], add: Statement, save: Statement
    ) -> None:
        stored = self._stored.get(row_id)
        if stored is None:
            batch.stage(add, **row)
        elif stored != row:
            batch.stage(save, **row)
        self._stored[row_id] = row


class PostgresGatewayEvents:
    """What became of stored callbacks, written with the change they caused."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._writes: list[tuple[Statement, Mapping[str, object]]] = []
        unit_of_work.attach(self)

    def close(self, event_id: uuid.UUID, result: str, *, attempt_id: uuid.UUID | None) -> None:
        """Say that nothing is left to do about an event."""
        self._writes.append(
            (_CLOSE_EVENT, {"id": event_id, "look_at": None, "result": result, "attempt_id": attempt_id})
        )

    def park(self, event_id: uuid.UUID, *, until: datetime, error: str | None = None) -> None:
        """Look at an event again later."""
        self._writes.append((_PARK_EVENT, {"id": event_id, "look_at": until, "last_error": error}))

    def stage(self, batch: WriteBatch) -> None:
        """Put the writes into the batch."""
        writes, self._writes = self._writes, []
        for statement, values in writes:
            batch.stage(statement, **values)


class PostgresCases:
    """Cases of one unit of work."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._new: list[PaymentCase] = []
        self._loaded: dict[uuid.UUID, tuple[PaymentCase, PaymentCase]] = {}
        unit_of_work.attach(self)

    def add(self, case: PaymentCase) -> None:
        """Add a case; one whose key exists changes nothing."""
        self._new.append(case)

    async def get(self, case_id: uuid.UUID) -> PaymentCase:
        """Return a case, locked. Raises NotFound."""
        row = await _CASE.fetch_row(self._unit.connection, case_id=case_id)
        if row is None:
            raise NotFound
        case = _case(row)
        self._loaded[case.id] = (case, replace(case))
        return case

    def stage(self, batch: WriteBatch) -> None:
        """Put what is new or changed into the batch."""
        new, self._new = self._new, []
        for case in new:
            batch.stage(_ADD_CASE, **_case_row(case))
        for case, stored in self._loaded.values():
            if case != stored:
                batch.stage(_SAVE_CASE, **_case_row(case))


class PostgresCallbackInbox:
    """Stores callbacks, one committed round trip each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(
        self, *, id: uuid.UUID, gateway: str, digest: bytes, body: bytes, path: str, now: datetime, look_at: datetime
    ) -> bool:
        """Store a body; False where the same bytes of this gateway were stored before."""
        async with self._database.connection() as connection:
            stored = await _STORE_EVENT.fetch_value(
                connection,
                id=id,
                gateway=gateway,
                digest=digest,
                body=body,
                path=path,
                received_at=now,
                look_at=look_at,
            )
        return stored is not None


def _found(intent: PaymentIntent | None) -> PaymentIntent:
    if intent is None:
        raise NotFound
    return intent


def _intent(rows: Sequence[asyncpg.Record]) -> PaymentIntent:
    row = rows[0]
    return PaymentIntent(
        id=IntentId(row["id"]),
        reference=row["reference"],
        payer=AccountId(row["payer_id"]),
        purpose=row["purpose"],
        subject=row["subject"],
        amount=Money(row["amount"], row["currency"]),
        destination=AccountRef(row["destination"]),
        kind=TransferKind(row["kind"]),
        expires_at=row["expires_at"],
        created_at=row["created_at"],
        quote=None if row["quote"] is None else _quote(row["quote"]),
        status=IntentStatus(row["status"]),
        closed_at=row["closed_at"],
        served_at=row["served_at"],
        attempts_max=row["attempts_max"],
        refunded_minor=row["refunded"],
        attempts=[_attempt(each) for each in rows],
    )


def _attempt(row: asyncpg.Record) -> PaymentAttempt:
    return PaymentAttempt(
        id=row["a_id"],
        method=row["a_method"],
        gateway=row["a_gateway"],
        phone=row["a_phone"],
        created_at=row["a_created_at"],
        status=AttemptStatus(row["a_status"]),
        transaction_id=row["a_transaction_id"],
        checkout_id=row["a_checkout_id"],
        receipt=row["a_receipt"],
        code=row["a_code"],
        message=row["a_message"],
        next_action=row["a_next_action"],
        next_url=row["a_next_url"],
        sent_at=row["a_sent_at"],
        finished_at=row["a_finished_at"],
        received=None if row["a_received"] is None else Money(row["a_received"], row["a_received_currency"]),
        went_to_wallet=row["a_went_to_wallet"],
        next_check_at=row["a_next_check_at"],
        told_paid_at=row["a_told_paid_at"],
        is_retry=row["a_is_retry"],
        fee=None if row["a_fee"] is None else Money(row["a_fee"], row["currency"]),
        card=_card(row),
    )


def _card(row: asyncpg.Record) -> CardKept | None:
    if row["a_card_token"] is None:
        return None
    return CardKept(brand=row["a_card_brand"], last4=row["a_card_last4"], token=row["a_card_token"])


def _intent_row(intent: PaymentIntent) -> Mapping[str, object]:
    return {
        "id": intent.id,
        "reference": intent.reference,
        "payer_id": intent.payer,
        "purpose": intent.purpose,
        "subject": intent.subject,
        "amount": intent.amount.minor,
        "currency": intent.amount.currency,
        "destination": intent.destination.name,
        "kind": intent.kind.value,
        "quote": None if intent.quote is None else _quote_fields(intent.quote),
        "status": intent.status.value,
        "expires_at": intent.expires_at,
        "created_at": intent.created_at,
        "closed_at": intent.closed_at,
        "served_at": intent.served_at,
        "attempts_max": intent.attempts_max,
        "refunded": intent.refunded_minor,
    }


def _attempt_row(intent: PaymentIntent, attempt: PaymentAttempt) -> Mapping[str, object]:
    received = attempt.received
    return {
        "id": attempt.id,
        "intent_id": intent.id,
        "purpose": intent.purpose,
        "method": attempt.method,
        "gateway": attempt.gateway,
        "phone": attempt.phone,
        "status": attempt.status.value,
        "transaction_id": attempt.transaction_id,
        "checkout_id": attempt.checkout_id,
        "receipt": attempt.receipt,
        "code": attempt.code,
        "message": attempt.message,
        "next_action": attempt.next_action,
        "next_url": attempt.next_url,
        "fee": None if attempt.fee is None else attempt.fee.minor,
        "card_brand": None if attempt.card is None else attempt.card.brand,
        "card_last4": None if attempt.card is None else attempt.card.last4,
        "card_token": None if attempt.card is None else attempt.card.token,
        "received": None if received is None else received.minor,
        "received_currency": None if received is None else received.currency,
        "went_to_wallet": attempt.went_to_wallet,
        "is_retry": attempt.is_retry,
        "next_check_at": attempt.next_check_at,
        "told_paid_at": attempt.told_paid_at,
        "created_at": attempt.created_at,
        "sent_at": attempt.sent_at,
        "finished_at": attempt.finished_at,
    }


def _quote_fields(quote: FxQuote) -> Mapping[str, object]:
    return {
        "usd_minor": quote.usd.minor,
        "rate": quote.rate,
        "rate_date": quote.rate_date.isoformat(),
        "expires_at": quote.expires_at.isoformat(),
    }


def _quote(fields: Mapping[str, Any]) -> FxQuote:
    return FxQuote(
        usd=Money(fields["usd_minor"], "USD"),
        rate=fields["rate"],
        rate_date=date.fromisoformat(fields["rate_date"]),
        expires_at=datetime.fromisoformat(fields["expires_at"]),
    )


def _case(row: asyncpg.Record) -> PaymentCase:
    return PaymentCase(
        id=row["id"],
        key=row["key"],
        kind=CaseKind(row["kind"]),
        gateway=row["gateway"],
        created_at=row["created_at"],
        intent_id=row["intent_id"],
        attempt_id=row["attempt_id"],
        booked=None if row["booked"] is None else Money(row["booked"], row["booked_currency"]),
        facts=row["facts"],
        resolution=None if row["resolution"] is None else Resolution(row["resolution"]),
        note=row["note"],
        resolved_by=row["resolved_by"],
        resolved_at=row["resolved_at"],
    )


def _case_row(case: PaymentCase) -> Mapping[str, object]:
    return {
        "id": case.id,
        "key": case.key,
        "kind": case.kind.value,
        "gateway": case.gateway,
        "intent_id": case.intent_id,
        "attempt_id": case.attempt_id,
        "booked": None if case.booked is None else case.booked.minor,
        "booked_currency": None if case.booked is None else case.booked.currency,
        "facts": dict(case.facts),
        "created_at": case.created_at,
        "resolution": None if case.resolution is None else case.resolution.value,
        "note": case.note,
        "resolved_by": case.resolved_by,
        "resolved_at": case.resolved_at,
    }
