"""Second factors inside one unit of work."""

from collections.abc import Sequence
from copy import copy

import asyncpg
from sqlalchemy import Integer, bindparam, delete, func, insert, select, update

from domain.core.identity.second_factor import SecondFactor
from domain.core.kernel.ids import AccountId
from infrastructure.postgres.core.identity_tables import second_factors
from infrastructure.postgres.statements import Statement, WriteBatch
from infrastructure.postgres.tables import BYTES
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork

_F = second_factors.c
_COLUMNS = tuple(column.name for column in second_factors.columns)
_CHANGING = tuple(name for name in _COLUMNS if name != "account_id")
_FACTOR = select(second_factors).where(_F.account_id == bindparam("wanted"))
_GET = Statement(_FACTOR)
_GET_LOCKED = Statement(_FACTOR.with_for_update())
_SEALED_OTHERWISE = Statement(
    select(second_factors)
    .where(
        func.substring(_F.sealed_secret, 1, bindparam("length", type_=Integer)) != bindparam("mark", type_=BYTES),
    )
    .order_by(_F.account_id)
    .limit(bindparam("rows_max", type_=Integer))
    .with_for_update(skip_locked=True)
)
_ADD = Statement(insert(second_factors).values({name: bindparam(name) for name in _COLUMNS}))
_SAVE = Statement(
    update(second_factors)
    .where(_F.account_id == bindparam("wanted"))
    .values({name: bindparam(name) for name in _CHANGING})
)
_REMOVE = Statement(delete(second_factors).where(_F.account_id == bindparam("wanted")))


class PostgresSecondFactors:
    """Second factors: one row with its recovery codes, so that locking the row locks all of it."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._factors: dict[AccountId, SecondFactor] = {}
        self._stored: dict[AccountId, SecondFactor] = {}
        self._added: list[SecondFactor] = []
        self._removed: list[AccountId] = []
        unit_of_work.attach(self)

    async def get(self, account_id: AccountId, *, lock: bool = True) -> SecondFactor | None:
        if account_id in self._factors:
            return self._factors[account_id]
        row = await (_GET_LOCKED if lock else _GET).fetch_row(self._unit.connection, wanted=account_id)
        if row is None:
            return None
        return self._held(row) if lock else _factor_of(row)

    async def sealed_otherwise(self, mark: bytes, rows_max: int) -> Sequence[SecondFactor]:
        rows = await _SEALED_OTHERWISE.fetch(self._unit.connection, length=len(mark), mark=mark, rows_max=rows_max)
        return [self._held(row) for row in rows]

    def add(self, factor: SecondFactor) -> None:
        self._added.append(factor)

    def remove(self, factor: SecondFactor) -> None:
        self._removed.append(factor.account_id)
        self._factors.pop(factor.account_id, None)

    def stage(self, batch: WriteBatch) -> None:
        """Put new, changed and removed factors into the batch."""
        added, self._added = self._added, []
        for factor in added:
            batch.stage(_ADD, account_id=factor.account_id, **_row_of(factor))
        removed, self._removed = self._removed, []
        for account_id in removed:
            batch.stage(_REMOVE, wanted=account_id)
        for account_id, factor in self._factors.items():
            if factor != self._stored[account_id]:
                batch.stage(_SAVE, wanted=account_id, **_row_of(factor))
                self._stored[account_id] = copy(factor)

    def _held(self, row: asyncpg.Record) -> SecondFactor:
        factor = _factor_of(row)
        self._factors[factor.account_id], self._stored[factor.account_id] = factor, copy(factor)
        return factor


def _factor_of(row: asyncpg.Record) -> SecondFactor:
    values = {name: row[name] for name in _CHANGING}
    values["recovery_digests"] = tuple(row["recovery_digests"])
    return SecondFactor(account_id=AccountId(row["account_id"]), **values)


def _row_of(factor: SecondFactor) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(factor, name) for name in _CHANGING}
    row["recovery_digests"] = list(factor.recovery_digests)
    return row
