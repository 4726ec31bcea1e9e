"""The seals of the ledger."""

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from application.core.kernel.ports import Clock
from infrastructure.postgres.core.ledger_tables import (
    ledger_postings,
    ledger_seals,
    ledger_transfers,
    ledger_unsealed,
)
from infrastructure.postgres.database import Database, commit
from infrastructure.postgres.hash_chain import HashChain

_LEG = ledger_postings.c.leg

LEDGER_CHAIN = HashChain(
    lock=7306,
    history=ledger_transfers,
    contents=select(
        ledger_transfers.c.id,
        ledger_transfers.c.reference,
        ledger_transfers.c.kind,
        ledger_transfers.c.area,
        ledger_transfers.c.subject,
        ledger_transfers.c.actor_id,
        ledger_transfers.c.reverses,
        ledger_transfers.c.posted_at,
        func.array_agg(aggregate_order_by(_LEG, _LEG)).label("legs"),
        func.array_agg(aggregate_order_by(ledger_postings.c.source, _LEG)).label("sources"),
        func.array_agg(aggregate_order_by(ledger_postings.c.destination, _LEG)).label("destinations"),
        func.array_agg(aggregate_order_by(ledger_postings.c.amount, _LEG)).label("amounts"),
        func.array_agg(aggregate_order_by(ledger_postings.c.currency, _LEG)).label("currencies"),
    )
    .outerjoin(ledger_postings, ledger_postings.c.transfer_id == ledger_transfers.c.id)
    .group_by(ledger_transfers.c.id),
    queue=ledger_unsealed,
    seals=ledger_seals,
    key="transfer_id",
)


class PostgresLedgerSeals:
    """Seals transfers."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def seal(self, batch_max: int) -> int:
        """Seal a batch and return how many transfers it had."""
        async with self._database.transaction() as connection:
            sealed = await LEDGER_CHAIN.seal(connection, now=self._clock.now(), batch_max=batch_max)
            await commit(connection)
        return sealed
