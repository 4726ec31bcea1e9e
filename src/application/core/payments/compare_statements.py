"""Compare a provider's own list of movements with what we booked, both ways, for the business days that have ended.

Any difference, one unit included, opens a case; a stored success is never downgraded, and a success that we do not have
is asked about, not believed. What the provider kept, where nobody said so at the credit, is booked as a cost. Both
lists are read a little beyond the day, so that midnight splits nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from application.core.kernel.ports import Clock, IdSource
from application.core.payments.daily_report import day_bounds
from application.core.payments.gateway import PaymentGateway
from application.core.payments.ports import PaymentsUnitOfWork
from application.core.payments.queries import CollectedMovement, PaymentQueries
from domain.core.kernel.ids import IntentId
from domain.core.kernel.money import Money
from domain.core.kernel.periods import business_date
from domain.core.payments.case import CaseKind, PaymentCase
from domain.core.payments.gateway import Outcome, StatementLine
from domain.core.payments.intent import AttemptStatus
from domain.core.payments.settlement import Settle

AROUND_MIDNIGHT: Final = timedelta(hours=1)
DAYS_BEFORE: Final = timedelta(days=2)
"""Compared again, because an attempt may succeed up to three days after it was sent; a case opens once."""

ROWS_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareStatements:
    unit_of_work: Callable[[], PaymentsUnitOfWork]
    payment_queries: PaymentQueries
    gateways: Sequence[PaymentGateway]
    clock: Clock
    ids: IdSource

    async def __call__(self, _: int) -> int:
        """Compare the days that have ended and return 0: they are the whole batch. Raises Unavailable."""
        yesterday = business_date(self.clock.now()) - timedelta(days=1)
        since, until = day_bounds(yesterday - DAYS_BEFORE)[0], day_bounds(yesterday)[1]
        for gateway in (one for one in self.gateways if one.capabilities.has_statement):
            seen = await self._theirs(gateway, since, until)
            await self._ours(gateway, since, until, seen)
        return 0

    async def _theirs(self, gateway: PaymentGateway, since: datetime, until: datetime) -> set[str]:
        """Compare their lines with our attempts and return the ids of their successes, midnight's surroundings too."""
        seen: set[str] = set()
        batch: list[StatementLine] = []
        lines = gateway.statement(since=since - AROUND_MIDNIGHT, until=until + AROUND_MIDNIGHT)
        async for line in lines:
            if line.outcome is Outcome.SUCCEEDED and line.references.transaction_id is not None:
                seen.add(line.references.transaction_id)
                if since <= line.occurred_at < until:
                    batch.append(line)
            if len(batch) == ROWS_AT_ONCE:
                await self._compare(gateway, batch)
                batch = []
        await self._compare(gateway, batch)
        return seen

    async def _compare(self, gateway: PaymentGateway, lines: list[StatementLine]) -> None:
        if not lines:
            return
        ids = [line.references.transaction_id for line in lines if line.references.transaction_id is not None]
        known = await self.payment_queries.known_transactions(gateway.name, ids)
        for line in lines:
            transaction_id = line.references.transaction_id
            assert transaction_id is not None, "only lines with an id are compared"
            ours = known.get(transaction_id)
            if ours is not None and ours.status is AttemptStatus.REVIEW:
                continue  # staff have it already
            if ours is None or ours.status is not AttemptStatus.SUCCEEDED or ours.received != line.amount:
                await self._open(gateway.name, transaction_id, ours, theirs=str(line.amount or "?"))
            elif line.fee is not None and not ours.has_fee:
                await self._book_fee(ours, line.fee)

    async def _book_fee(self, ours: CollectedMovement, fee: Money) -> None:
        """Book what the provider kept of a payment that was credited before anybody said so, once."""
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            intent = await uow.intents.get(ours.intent_id)
            attempt = intent.attempt(ours.attempt_id)
            settle = Settle(intent=intent, attempt=attempt, new_id=self.ids.new, now=now)
            transfer = settle.late_fee(fee)
            if transfer is not None:
                await uow.ledger.post(transfer)
                await uow.commit()

    async def _ours(self, gateway: PaymentGateway, since: datetime, until: datetime, seen: set[str]) -> None:
        after: UUID | None = None
        while True:
            booked = await self.payment_queries.collected(gateway.name, since, until, after=after, limit=ROWS_AT_ONCE)
            for ours in booked:
                if ours.transaction_id is None or ours.transaction_id not in seen:
                    await self._open(gateway.name, ours.transaction_id or str(ours.attempt_id), ours, theirs="none")
            if len(booked) < ROWS_AT_ONCE:
                return
            after = booked[-1].attempt_id

    async def _open(self, gateway: str, subject: str, ours: CollectedMovement | None, *, theirs: str) -> None:
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            if ours is not None and ours.status is not AttemptStatus.SUCCEEDED:
                intent = await uow.intents.get(IntentId(ours.intent_id))
                intent.attempt(ours.attempt_id).ask_now(now)
            facts = {
                "transaction_id": subject,
                "theirs": theirs,
                "ours": "none" if ours is None or ours.received is None else str(ours.received),
            }
            uow.cases.add(
                PaymentCase(
                    id=self.ids.new(),
                    key=f"{CaseKind.STATEMENT_DIFFERS}:{gateway}:{subject}",
                    kind=CaseKind.STATEMENT_DIFFERS,
                    gateway=gateway,
                    created_at=now,
                    intent_id=None if ours is None else ours.intent_id,
                    attempt_id=None if ours is None else ours.attempt_id,
                    facts=facts if ours is None else facts | {"reference": ours.reference},
                )
            )
            await uow.commit()
