"""Withdrawals on PostgreSQL."""

from collections.abc import Collection, Mapping
from copy import copy
from datetime import datetime

import asyncpg
from sqlalchemy import ARRAY, bindparam, exists, func, insert, or_, select, text, update

from application.core.kernel.ports import Listing, Page
from application.core.payments.withdrawal_ports import ReviewView
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money
from domain.core.payments.gateway import ProviderReferences
from domain.core.payments.withdrawal import (
    STATUS_BY_STAGE,
    DestinationHistory,
    Withdrawal,
    WithdrawalId,
    WithdrawalNotFound,
    WithdrawalStage,
)
from infrastructure.postgres.core.identity_tables import accounts
from infrastructure.postgres.core.ledger_tables import ledger_alarms, ledger_balances
from infrastructure.postgres.core.withdrawals_tables import withdrawals
from infrastructure.postgres.database import Database
from infrastructure.postgres.keyset import KeysetList
from infrastructure.postgres.statements import Statement, WriteBatch
from infrastructure.postgres.tables import INSTANT, TEXT, UUID
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork

_W = withdrawals.c
_FIXED = ("id", "owner_id", "amount", "currency", "method", "destination", "requested_at")
_CHANGING = tuple(column.name for column in withdrawals.columns if column.name not in _FIXED)

_ADD = Statement(insert(withdrawals).values({name: bindparam(f"new_{name}") for name in (*_FIXED, *_CHANGING)}))
_SAVE = Statement(
    update(withdrawals)
    .where(_W.id == bindparam("wanted_id"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGING})
)
_GET = Statement(select(withdrawals).where(_W.id == bindparam("wanted_id")).with_for_update())
_UNUSED = (WithdrawalStage.REJECTED.value, WithdrawalStage.CANCELLED.value)
_HISTORY = Statement(
    text(
        "SELECT min(requested_at) FILTER (WHERE destination = :destination) AS first_used_at,"
        " count(*) FILTER (WHERE destination <> :destination AND stage = ANY(:paid)) AS elsewhere"
        " FROM withdrawals WHERE owner_id = :owner AND stage <> ALL(:unused)"
    ).bindparams(
        bindparam("destination", type_=TEXT),
        bindparam("paid", type_=ARRAY(TEXT)),
        bindparam("unused", type_=ARRAY(TEXT)),
        bindparam("owner", type_=UUID),
    )
)
_FIND_DUE = Statement(
    select(withdrawals)
    .where(
        _W.next_step_at <= bindparam("now", type_=INSTANT),
        text("withdrawals.id <> ALL(:passed)").bindparams(bindparam("passed", type_=ARRAY(UUID))),
        # what was sent already is asked about all the same
        or_(
            _W.stage != WithdrawalStage.APPROVED.value,
            ~exists().where(ledger_alarms.c.owner_id == _W.owner_id, ledger_alarms.c.closed_at.is_(None)),
        ),
    )
    .order_by(_W.next_step_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_IS_FROZEN = Statement(
    select(
        exists().where(ledger_alarms.c.owner_id == bindparam("owner", type_=UUID), ledger_alarms.c.closed_at.is_(None))
    )
)
_OWN = KeysetList(select(withdrawals).where(_W.owner_id == bindparam("owner")), _W.id)

_others = withdrawals.alias("others")
_REVIEW = KeysetList(
    select(
        withdrawals,
        accounts.c.username,
        accounts.c.verified_email,
        accounts.c.verified_phone,
        select(func.min(_others.c.requested_at))
        .where(_others.c.owner_id == _W.owner_id, _others.c.destination == _W.destination)
        .scalar_subquery()
        .label("first_used_at"),
        select(func.count(_others.c.destination.distinct()))
        .where(_others.c.owner_id == _W.owner_id)
        .scalar_subquery()
        .label("destinations_used"),
        select(ledger_balances.c.balance)
        .where(
            ledger_balances.c.account == func.concat("owed:user:", _W.owner_id.cast(TEXT)),
            ledger_balances.c.currency == _W.currency,
        )
        .scalar_subquery()
        .label("owed"),
    )
    .join(accounts, accounts.c.id == _W.owner_id)
    .where(_W.stage == func.any(bindparam("stages", type_=ARRAY(TEXT)))),
    _W.id,
)


class PostgresWithdrawals:
    """The withdrawals of one unit of work."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._added: list[Withdrawal] = []
        self._loaded: dict[WithdrawalId, tuple[Withdrawal, Withdrawal]] = {}
        unit_of_work.attach(self)

    def add(self, withdrawal: Withdrawal) -> None:
        """Store a new withdrawal."""
        self._added.append(withdrawal)

    async def get(self, withdrawal_id: WithdrawalId) -> Withdrawal:
        """Return a withdrawal, locked. Raises WithdrawalNotFound."""
        if withdrawal_id not in self._loaded:
            row = await _GET.fetch_row(self._unit.connection, wanted_id=withdrawal_id)
            if row is None:
                raise WithdrawalNotFound
            self._keep(row)
        return self._loaded[withdrawal_id][0]

    async def history(self, owner: AccountId, destination: str) -> DestinationHistory:
        """Return what the owner's withdrawals say about a destination."""
        row = await _HISTORY.fetch_row(
            self._unit.connection,
            owner=owner,
            destination=destination,
            paid=[WithdrawalStage.APPROVED, WithdrawalStage.PROCESSING, WithdrawalStage.COMPLETED],
            unused=list(_UNUSED),
        )
        assert row is not None
        return DestinationHistory(row["first_used_at"], row["elsewhere"] > 0)

    async def is_frozen(self, owner: AccountId) -> bool:
        """Tell whether an alarm about this person's books is open."""
        return bool(await _IS_FROZEN.fetch_value(self._unit.connection, owner=owner))

    async def find_due(self, *, now: datetime, passing_over: Collection[WithdrawalId] = ()) -> Withdrawal | None:
        """Return a withdrawal that is due and free, locked."""
        row = await _FIND_DUE.fetch_row(self._unit.connection, now=now, passed=list(passing_over))
        return None if row is None else self._keep(row)

    def _keep(self, row: asyncpg.Record) -> Withdrawal:
        withdrawal = _withdrawal(row)
        self._loaded[withdrawal.id] = withdrawal, copy(withdrawal)
        return withdrawal

    def stage(self, batch: WriteBatch) -> None:
        """Put what was added and changed into the batch."""
        added, self._added = self._added, []
        for withdrawal in added:
            batch.stage(_ADD, **{f"new_{name}": value for name, value in _values(withdrawal).items()})
        for withdrawal, before in list(self._loaded.values()):
            if withdrawal != before:
                self._loaded[withdrawal.id] = withdrawal, copy(withdrawal)
                values = _values(withdrawal)
                batch.stage(_SAVE, wanted_id=withdrawal.id, **{f"new_{name}": values[name] for name in _CHANGING})


class PostgresWithdrawalQueries:
    """Reads of withdrawals."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def own(self, owner: AccountId, page: Page) -> Listing[Withdrawal]:
        """Return a person's withdrawals."""
        async with self._database.connection() as connection:
            return await _OWN.fetch(connection, page, _withdrawal, owner=owner)

    async def for_review(self, status: str | None, page: Page) -> Listing[ReviewView]:
        """Return everybody's withdrawals with what speaks against them."""
        stages = [stage for stage, word in STATUS_BY_STAGE.items() if status in {None, word}]
        async with self._database.connection() as connection:
            return await _REVIEW.fetch(connection, page, _review, stages=stages)


def _values(withdrawal: Withdrawal) -> Mapping[str, object]:
    return {
        "id": withdrawal.id,
        "owner_id": withdrawal.owner,
        "amount": withdrawal.amount.minor,
        "currency": withdrawal.amount.currency,
        "method": withdrawal.method,
        "destination": withdrawal.destination,
        "stage": withdrawal.stage.value,
        "payable_at": withdrawal.payable_at,
        "note": withdrawal.note,
        "reference": withdrawal.reference,
        "decided_by": withdrawal.decided_by,
        "gateway": withdrawal.gateway,
        "tries": withdrawal.tries,
        "transaction_id": withdrawal.references.transaction_id,
        "checkout_id": withdrawal.references.checkout_id,
        "receipt": withdrawal.references.receipt,
        "code": withdrawal.code,
        "sent_at": withdrawal.sent_at,
        "ended_at": withdrawal.ended_at,
        "checks": withdrawal.checks,
        "next_step_at": withdrawal.next_step_at,
        "requested_at": withdrawal.requested_at,
    }


def _withdrawal(row: asyncpg.Record) -> Withdrawal:
    return Withdrawal(
        id=WithdrawalId(row["id"]),
        owner=AccountId(row["owner_id"]),
        amount=Money(row["amount"], row["currency"]),
        method=row["method"],
        destination=row["destination"],
        requested_at=row["requested_at"],
        stage=WithdrawalStage(row["stage"]),
        payable_at=row["payable_at"],
        note=row["note"],
        reference=row["reference"],
        decided_by=row["decided_by"],
        gateway=row["gateway"],
        tries=row["tries"],
        references=ProviderReferences(row["transaction_id"], row["checkout_id"], row["receipt"]),
        code=row["code"],
        sent_at=row["sent_at"],
        ended_at=row["ended_at"],
        checks=row["checks"],
        next_step_at=row["next_step_at"],
    )


def _review(row: asyncpg.Record) -> ReviewView:
    return ReviewView(
        withdrawal=_withdrawal(row),
        username=row["username"],
        is_email_verified=row["verified_email"] is not None,
        is_phone_verified=row["verified_phone"] is not None,
        is_destination_verified=row["verified_phone"] == row["destination"],
        destination_first_used_at=row["first_used_at"],
        destinations_used=row["destinations_used"],
        owed=Money(row["owed"] or 0, row["currency"]),
    )
