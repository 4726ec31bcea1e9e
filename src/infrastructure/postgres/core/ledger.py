"""The ledger on PostgreSQL."""

from collections.abc import Iterable, Mapping, Sequence

import asyncpg
from sqlalchemy import ARRAY, bindparam, select, text

from domain.core.kernel.errors import DomainError, NotFound
from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import AccountRef, Floor
from domain.core.ledger.transfer import (
    AlreadyReversed,
    InsufficientFunds,
    Posting,
    ReferenceConflict,
    Transfer,
    TransferKind,
    held_floor,
    same_legs,
)
from infrastructure.postgres.core.ledger_tables import ledger_postings, ledger_transfers
from infrastructure.postgres.statements import Statement, WriteBatch, as_rows
from infrastructure.postgres.tables import BIGINT, INSTANT, TEXT, UUID
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork

LEDGER_REFUSALS: Mapping[str, type[DomainError]] = {
    "ck_ledger_balances_floor": InsufficientFunds,
    "uq_ledger_transfers_reference": ReferenceConflict,
    "uq_ledger_transfers_reverses": AlreadyReversed,
}

# One pass in sorted order makes the missing rows and locks the others: `DO UPDATE ... WHERE false` locks a row without
# writing it, also one that was committed after our snapshot. Then `locked` reads what is locked already, so a unit
# never waits for a second row out of order and two units cannot wait for each other (rule ledger.locks_are_sorted).
# `(SELECT count(*) FROM fresh) >= 0` puts the two in this order.
_LOCK = Statement(
    text(
        "WITH wanted AS MATERIALIZED ("
        "  SELECT account, owner FROM unnest(:accounts, :owners) AS w(account, owner) ORDER BY account"
        "), fresh AS ("
        "  INSERT INTO ledger_balances AS b (account, currency, balance, owner_id, changed_at)"
        "  SELECT account, :currency, 0, owner, :now FROM wanted ORDER BY account"
        "  ON CONFLICT (account, currency) DO UPDATE SET balance = b.balance WHERE false"
        "  RETURNING account"
        "), locked AS ("
        "  SELECT account, balance FROM ledger_balances"
        "  WHERE currency = :currency AND account = ANY(:accounts) AND (SELECT count(*) FROM fresh) >= 0"
        "  ORDER BY account FOR UPDATE"
        ") SELECT account, balance, NULL::text AS reference FROM locked"
        "  UNION ALL SELECT account, 0, NULL FROM fresh"
        "  UNION ALL SELECT NULL, NULL, reference FROM ledger_transfers WHERE reference = ANY(:references)"
    ).bindparams(
        bindparam("accounts", type_=ARRAY(TEXT)),
        bindparam("owners", type_=ARRAY(UUID)),
        bindparam("references", type_=ARRAY(TEXT)),
        bindparam("currency", type_=TEXT),
        bindparam("now", type_=INSTANT),
    )
)
_ADD_TRANSFERS = Statement(
    text(
        "INSERT INTO ledger_transfers (id, reference, kind, area, subject, actor_id, reverses, posted_at)"
        " SELECT * FROM json_to_recordset(CAST(:transfers AS json)) AS t(id uuid, reference text, kind text,"
        " area text, subject text, actor_id uuid, reverses uuid, posted_at timestamptz)"
    ).bindparams(bindparam("transfers", type_=TEXT))
)
_ADD_POSTINGS = Statement(
    text(
        "INSERT INTO ledger_postings (transfer_id, leg, source, destination, amount, currency)"
        " SELECT * FROM json_to_recordset(CAST(:postings AS json)) AS p(transfer_id uuid, leg smallint,"
        " source text, destination text, amount bigint, currency text)"
    ).bindparams(bindparam("postings", type_=TEXT))
)
_ADD_UNSEALED = Statement(
    text("INSERT INTO ledger_unsealed (transfer_id) SELECT unnest(:ids)").bindparams(
        bindparam("ids", type_=ARRAY(UUID)),
    )
)
_SET_BALANCES = Statement(
    text(
        "UPDATE ledger_balances AS b SET balance = w.balance, changed_at = :now, owner_id ="
        " CASE WHEN w.balance = 0 AND starts_with(b.account, 'escrow:') THEN NULL"
        " ELSE coalesce(w.owner, b.owner_id) END"
        " FROM unnest(:accounts, :currencies, :balances, :owners) AS w(account, currency, balance, owner)"
        " WHERE b.account = w.account AND b.currency = w.currency"
    ).bindparams(
        bindparam("now", type_=INSTANT),
        bindparam("accounts", type_=ARRAY(TEXT)),
        bindparam("currencies", type_=ARRAY(TEXT)),
        bindparam("balances", type_=ARRAY(BIGINT)),
        bindparam("owners", type_=ARRAY(UUID)),
    )
)
_TRANSFER = (
    select(
        ledger_transfers,
        ledger_postings.c.leg,
        ledger_postings.c.source,
        ledger_postings.c.destination,
        ledger_postings.c.amount,
        ledger_postings.c.currency,
    )
    .join(ledger_postings, ledger_postings.c.transfer_id == ledger_transfers.c.id)
    .order_by(ledger_postings.c.leg)
)
_BY_REFERENCE = Statement(_TRANSFER.where(ledger_transfers.c.reference == bindparam("wanted_reference")))
_BY_ID = Statement(_TRANSFER.where(ledger_transfers.c.id == bindparam("wanted_id")))


class PostgresLedger:
    """The books inside one unit of work: balances are locked when first touched and written once, at the commit."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._balances: dict[tuple[str, str], int] = {}
        self._changed: dict[tuple[str, str], AccountId | None] = {}
        """Accounts whose balance this unit changed, with the owner that the row is to have; None leaves it as it is."""
        self._posted: dict[str, Transfer] = {}
        self._references: dict[str, bool] = {}
        """References that were looked up, and whether somebody had used them before this unit."""
        self._staged: list[Transfer] = []
        unit_of_work.attach(self)

    async def post(self, *transfers: Transfer) -> Sequence[Transfer]:
        """Post transfers in order. Raises InsufficientFunds, ReferenceConflict."""
        for currency in sorted({transfer.currency for transfer in transfers}):
            of_currency = [transfer for transfer in transfers if transfer.currency == currency]
            await self._lock(
                (account for transfer in of_currency for account in transfer.changes()),
                currency,
                [transfer.reference for transfer in of_currency],
            )
        return [await self._post_one(transfer) for transfer in transfers]

    async def balances(
        self, accounts: Sequence[AccountRef], currency: str, *, references: Sequence[str] = ()
    ) -> Mapping[AccountRef, Money]:
        """Return the balances of accounts with a floor, locked."""
        assert all(account.floor is not Floor.NONE for account in accounts), "only accounts with a floor keep a balance"
        await self._lock(accounts, currency, references)
        return {account: Money(self._balances[account.name, currency], currency) for account in accounts}

    async def find(self, reference: str) -> Transfer | None:
        """Return the transfer that has this reference, if any."""
        if reference in self._posted:
            return self._posted[reference]
        return _transfer(await _BY_REFERENCE.fetch(self._unit.connection, wanted_reference=reference))

    async def get(self, transfer_id: TransferId) -> Transfer:
        """Return a transfer. Raises NotFound."""
        found = _transfer(await _BY_ID.fetch(self._unit.connection, wanted_id=transfer_id))
        if found is None:
            raise NotFound
        return found

    async def _lock(self, accounts: Iterable[AccountRef], currency: str, references: Iterable[str]) -> None:
        wanted = {
            account.name: account.owner
            for account in accounts
            if account.floor is not Floor.NONE and (account.name, currency) not in self._balances
        }
        unseen = {reference for reference in references if reference not in self._references}
        while wanted or unseen:
            rows = await _LOCK.fetch(
                self._unit.connection,
                accounts=list(wanted),
                owners=list(wanted.values()),
                currency=currency,
                references=sorted(unseen),
                now=self._unit.clock.now(),
            )
            self._references.update(dict.fromkeys(unseen, False))
            unseen = set()
            for row in rows:
                if row["reference"] is not None:
                    self._references[row["reference"]] = True
                else:
                    self._balances[row["account"], currency] = row["balance"]
            # what is left was inserted and committed by another unit after our snapshot: locked by now, read next time
            wanted = {name: owner for name, owner in wanted.items() if (name, currency) not in self._balances}

    async def _post_one(self, transfer: Transfer) -> Transfer:
        earlier = self._posted.get(transfer.reference)
        if earlier is None and self._references[transfer.reference]:
            earlier = await self.find(transfer.reference)
        if earlier is not None:
            if not same_legs(earlier, transfer):
                raise ReferenceConflict
            return earlier
        after = {
            (account.name, transfer.currency): (account, self._balances[account.name, transfer.currency] + change)
            for account, change in transfer.changes().items()
            if account.floor is not Floor.NONE
        }
        if not all(held_floor(account, balance) for account, balance in after.values()):
            raise InsufficientFunds
        self._balances.update({key: balance for key, (_, balance) in after.items()})
        owners = transfer.owners()
        self._changed.update({key: owners.get(account, self._changed.get(key)) for key, (account, _) in after.items()})
        self._posted[transfer.reference] = transfer
        self._staged.append(transfer)
        return transfer

    def stage(self, batch: WriteBatch) -> None:
        """Put the transfers and the final balances of this unit into the batch."""
        if not self._staged:
            return
        transfers, self._staged = self._staged, []
        batch.stage(
            _ADD_TRANSFERS,
            transfers=as_rows(
                [
                    {
                        "id": transfer.id,
                        "reference": transfer.reference,
                        "kind": transfer.kind,
                        "area": transfer.area,
                        "subject": transfer.subject,
                        "actor_id": transfer.actor,
                        "reverses": transfer.reverses,
                        "posted_at": transfer.posted_at,
                    }
                    for transfer in transfers
                ]
            ),
        )
        batch.stage(
            _ADD_POSTINGS,
            postings=as_rows(
                [
                    {
                        "transfer_id": transfer.id,
                        "leg": number,
                        "source": leg.source.name,
                        "destination": leg.destination.name,
                        "amount": leg.amount.minor,
                        "currency": leg.amount.currency,
                    }
                    for transfer in transfers
                    for number, leg in enumerate(transfer.legs)
                ]
            ),
        )
        batch.stage(_ADD_UNSEALED, ids=[transfer.id for transfer in transfers])
        owners, self._changed = self._changed, {}
        changed = sorted(owners)
        if changed:
            batch.stage(
                _SET_BALANCES,
                now=self._unit.clock.now(),
                accounts=[account for account, _ in changed],
                currencies=[currency for _, currency in changed],
                balances=[self._balances[key] for key in changed],
                owners=[owners[key] for key in changed],
            )


def _transfer(rows: Sequence[asyncpg.Record]) -> Transfer | None:
    if not rows:
        return None
    first = rows[0]
    return Transfer(
        id=TransferId(first["id"]),
        reference=first["reference"],
        kind=TransferKind(first["kind"]),
        area=first["area"],
        subject=first["subject"],
        legs=tuple(
            Posting(AccountRef(row["source"]), AccountRef(row["destination"]), Money(row["amount"], row["currency"]))
            for row in rows
        ),
        posted_at=first["posted_at"],
        actor=first["actor_id"],
        reverses=first["reverses"],
    )
