"""Bring a task's escrow to what the task needs now; part of every use case that changes a budget or ends a task."""

from application.core.kernel.ports import Clock, IdSource
from application.core.ledger.ports import LedgerUnitOfWork
from domain.assignments.escrow import escrow_change
from domain.assignments.task import Task
from domain.core.kernel.ids import TransferId
from domain.core.kernel.money import Money


async def settle_escrow(
    uow: LedgerUnitOfWork, task: Task, held_before: Money | None, *, ids: IdSource, clock: Clock
) -> None:
    """Hold more of the student's money, or give some back. Raises InsufficientFunds."""
    transfer = escrow_change(task, held_before, id=TransferId(ids.new()), now=clock.now())
    if transfer is not None:
        await uow.ledger.post(transfer)
