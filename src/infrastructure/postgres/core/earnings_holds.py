"""Earnings in their waiting time, on PostgreSQL."""

import uuid
from collections.abc import Collection, Mapping
from copy import copy
from datetime import datetime

import asyncpg
from sqlalchemy import ARRAY, Boolean, bindparam, select, text

from domain.core.kernel.errors import DomainError
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money
from domain.core.ledger.earnings import EarningsHeldBefore, EarningsHold
from infrastructure.postgres.core.ledger_tables import earnings_holds
from infrastructure.postgres.statements import Statement, WriteBatch
from infrastructure.postgres.tables import BIGINT, INSTANT, TEXT, UUID
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork

EARNINGS_REFUSALS: Mapping[str, type[DomainError]] = {"uq_earnings_holds_subject_payee": EarningsHeldBefore}

_ADD = Statement(
    text(
        "INSERT INTO earnings_holds"
        " (id, payee_id, amount, currency, area, subject, available_at, is_frozen, created_at)"
        " SELECT * FROM unnest(:ids, :payees, :amounts, :currencies, :areas, :subjects, :due_times, :frozen, :times)"
    ).bindparams(
        bindparam("ids", type_=ARRAY(UUID)),
        bindparam("payees", type_=ARRAY(UUID)),
        bindparam("amounts", type_=ARRAY(BIGINT)),
        bindparam("currencies", type_=ARRAY(TEXT)),
        bindparam("areas", type_=ARRAY(TEXT)),
        bindparam("subjects", type_=ARRAY(TEXT)),
        bindparam("due_times", type_=ARRAY(INSTANT)),
        bindparam("frozen", type_=ARRAY(Boolean)),
        bindparam("times", type_=ARRAY(INSTANT)),
    )
)
_SET = Statement(
    text(
        "UPDATE earnings_holds AS h SET is_frozen = w.is_frozen, released_at = w.released_at,"
        " taken_back = w.taken_back FROM unnest(:ids, :frozen, :release_times, :taken)"
        " AS w(id, is_frozen, released_at, taken_back) WHERE h.id = w.id"
    ).bindparams(
        bindparam("ids", type_=ARRAY(UUID)),
        bindparam("frozen", type_=ARRAY(Boolean)),
        bindparam("release_times", type_=ARRAY(INSTANT)),
        bindparam("taken", type_=ARRAY(BIGINT)),
    )
)
_FIND = Statement(
    select(earnings_holds)
    .where(
        earnings_holds.c.subject == bindparam("wanted_subject"), earnings_holds.c.payee_id == bindparam("wanted_payee")
    )
    .with_for_update()
)
_FIND_DUE = Statement(
    select(earnings_holds)
    .where(
        earnings_holds.c.released_at.is_(None),
        ~earnings_holds.c.is_frozen,
        earnings_holds.c.available_at <= bindparam("now", type_=INSTANT),
        text("id <> ALL(:passed)").bindparams(bindparam("passed", type_=ARRAY(UUID))),
    )
    .order_by(earnings_holds.c.available_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)


class PostgresEarningsHolds:
    """The holds of one unit of work."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._added: list[EarningsHold] = []
        self._loaded: dict[uuid.UUID, tuple[EarningsHold, EarningsHold]] = {}
        unit_of_work.attach(self)

    def add(self, hold: EarningsHold) -> None:
        """Begin a waiting time."""
        self._added.append(hold)

    async def find(self, subject: str, payee: AccountId) -> EarningsHold | None:
        """Return the hold of one deal's earnings, locked."""
        row = await _FIND.fetch_row(self._unit.connection, wanted_subject=subject, wanted_payee=payee)
        return self._keep(row)

    async def find_due(self, *, now: datetime, passing_over: Collection[uuid.UUID] = ()) -> EarningsHold | None:
        """Return a hold that is due and free, locked."""
        return self._keep(await _FIND_DUE.fetch_row(self._unit.connection, now=now, passed=list(passing_over)))

    def _keep(self, row: asyncpg.Record | None) -> EarningsHold | None:
        if row is None:
            return None
        if row["id"] not in self._loaded:
            hold = _hold(row)
            self._loaded[hold.id] = hold, copy(hold)
        return self._loaded[row["id"]][0]

    def stage(self, batch: WriteBatch) -> None:
        """Put what was added and changed into the batch."""
        if self._added:
            added, self._added = self._added, []
            batch.stage(
                _ADD,
                ids=[hold.id for hold in added],
                payees=[hold.payee for hold in added],
                amounts=[hold.amount.minor for hold in added],
                currencies=[hold.amount.currency for hold in added],
                areas=[hold.area for hold in added],
                subjects=[hold.subject for hold in added],
                due_times=[hold.available_at for hold in added],
                frozen=[hold.is_frozen for hold in added],
                times=[hold.created_at for hold in added],
            )
        changed = [hold for hold, before in self._loaded.values() if hold != before]
        if changed:
            self._loaded.update({hold.id: (hold, copy(hold)) for hold in changed})
            batch.stage(
                _SET,
                ids=[hold.id for hold in changed],
                frozen=[hold.is_frozen for hold in changed],
                release_times=[hold.released_at for hold in changed],
                taken=[hold.taken_back_minor for hold in changed],
            )


def _hold(row: asyncpg.Record) -> EarningsHold:
    return EarningsHold(
        id=row["id"],
        payee=AccountId(row["payee_id"]),
        amount=Money(row["amount"], row["currency"]),
        area=row["area"],
        subject=row["subject"],
        available_at=row["available_at"],
        created_at=row["created_at"],
        is_frozen=row["is_frozen"],
        released_at=row["released_at"],
        taken_back_minor=row["taken_back"],
    )
