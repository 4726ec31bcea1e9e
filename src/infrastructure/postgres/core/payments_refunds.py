"""Refunds on PostgreSQL."""

import uuid
from collections.abc import Mapping
from copy import copy

import asyncpg
from sqlalchemy import bindparam, insert, select, update

from domain.core.kernel.errors import DomainError
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.kernel.money import Money
from domain.core.payments.intent import ProviderReferenceReused
from domain.core.payments.refund import Refund, RefundDestination, RefundNotFound, RefundStatus
from infrastructure.postgres.core.payments_tables import payment_refunds
from infrastructure.postgres.statements import Statement, WriteBatch
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork

REFUND_REFUSALS: Mapping[str, type[DomainError]] = {"uq_payment_refunds_reference": ProviderReferenceReused}

_R = payment_refunds.c
_CHANGING = (
    "destination", "status", "reference", "code", "message", "effective_at", "ended_at", "next_check_at",
)  # fmt: skip
_ADD = Statement(insert(payment_refunds).values({column.name: bindparam(f"new_{column.name}") for column in _R}))
_SAVE = Statement(
    update(payment_refunds)
    .where(_R.id == bindparam("wanted_id"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGING})
)
_GET = Statement(select(payment_refunds).where(_R.id == bindparam("wanted_id")))


class PostgresRefunds:
    """The refunds of one unit of work."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._added: list[Refund] = []
        self._loaded: dict[uuid.UUID, tuple[Refund, Refund]] = {}
        unit_of_work.attach(self)

    def add(self, refund: Refund) -> None:
        """Store a new refund."""
        self._added.append(refund)

    async def get(self, refund_id: uuid.UUID) -> Refund:
        """Return a refund. Raises RefundNotFound."""
        if refund_id not in self._loaded:
            row = await _GET.fetch_row(self._unit.connection, wanted_id=refund_id)
            if row is None:
                raise RefundNotFound
            refund = refund_of(row)
            self._loaded[refund.id] = refund, copy(refund)
        return self._loaded[refund_id][0]

    def stage(self, batch: WriteBatch) -> None:
        """Put what was added and changed into the batch."""
        added, self._added = self._added, []
        for refund in added:
            batch.stage(_ADD, **{f"new_{name}": value for name, value in _row(refund).items()})
        for refund, before in list(self._loaded.values()):
            if refund != before:
                self._loaded[refund.id] = refund, copy(refund)
                row = _row(refund)
                batch.stage(_SAVE, wanted_id=refund.id, **{f"new_{name}": row[name] for name in _CHANGING})


def refund_of(row: asyncpg.Record) -> Refund:
    """Return the refund of a row."""
    return Refund(
        id=row["id"],
        intent_id=IntentId(row["intent_id"]),
        attempt_id=row["attempt_id"],
        payer=AccountId(row["payer_id"]),
        amount=Money(row["amount"], row["currency"]),
        reason=row["reason"],
        requested_by=None if row["requested_by"] is None else AccountId(row["requested_by"]),
        requested_at=row["requested_at"],
        destination=RefundDestination(row["destination"]),
        gateway=row["gateway"],
        status=RefundStatus(row["status"]),
        reference=row["reference"],
        code=row["code"],
        message=row["message"],
        effective_at=row["effective_at"],
        ended_at=row["ended_at"],
        next_check_at=row["next_check_at"],
    )


def _row(refund: Refund) -> Mapping[str, object]:
    return {
        "id": refund.id,
        "intent_id": refund.intent_id,
        "attempt_id": refund.attempt_id,
        "payer_id": refund.payer,
        "amount": refund.amount.minor,
        "currency": refund.amount.currency,
        "reason": refund.reason,
        "requested_by": refund.requested_by,
        "requested_at": refund.requested_at,
        "destination": refund.destination.value,
        "gateway": refund.gateway,
        "status": refund.status.value,
        "reference": refund.reference,
        "code": refund.code,
        "message": refund.message,
        "effective_at": refund.effective_at,
        "ended_at": refund.ended_at,
        "next_check_at": refund.next_check_at,
    }
