"""Put a worker on a paid order: he takes it himself, or an administrator assigns him.

Two at once: one of them gets it, the other is told that it is taken (the order is locked). That holds for an
administrator too, whose order somebody took meanwhile: he takes nobody off without having seen him on it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.identity.authenticate import RoleRequired
from application.core.kernel.ports import AuditEntry, Clock
from application.gigs.order_ports import OrdersUnitOfWork
from application.gigs.order_queries import OrderQueries, OrderView, Viewer
from application.gigs.order_steps import OrderSteps
from domain.core.kernel.errors import FieldError, Invalid
from domain.core.kernel.ids import AccountId
from domain.gigs.order import AlreadyAssigned, Order, OrderId, OwnOrder
from domain.gigs.transitions import Party, Stage


class UnknownWorker(Invalid):
    """There is no such worker."""

    code = "gigs.unknown_worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignWorkerCommand:
    order_id: OrderId
    viewer: Viewer
    worker_id: AccountId | None = None
    """Whom an administrator puts on it; None: the caller himself."""
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignWorker:
    unit_of_work: Callable[[], OrdersUnitOfWork]
    queries: OrderQueries
    steps: OrderSteps
    clock: Clock

    async def __call__(self, command: AssignWorkerCommand) -> OrderView:
        """Return the order. Raises OrderNotFound, UnknownWorker, OwnOrder, NotSpecialised, OrderNotPaid,
        AlreadyAssigned, TransitionNotAllowed, and RoleRequired for whoever names another without being allowed to.
        """
        viewer, now = command.viewer, self.clock.now()
        names_another = command.worker_id not in {None, viewer.account_id}
        if names_another and not viewer.is_admin:
            raise RoleRequired
        seen = await self.queries.order(command.order_id, viewer) if viewer.is_admin else None
        async with self.unit_of_work() as uow:
            load = await uow.orders.get_for(command.order_id, viewer.account_id)
            order = load.order
            self.steps.end_lapsed_offer(uow, order)
            if names_another:
                assert command.worker_id is not None
                actor = load.actor(viewer.account_id, is_admin=True)
                if actor.party is not Party.ADMIN:
                    raise OwnOrder
                standing = await uow.orders.standing_of(command.worker_id, order)
                if not standing.is_worker or standing.is_blocked:
                    raise UnknownWorker(errors=(FieldError("worker_id", "is not a worker who can do this"),))
                before = order.worker_id
                if order.stage is Stage.ASSIGNED and not _is_seen(order, seen):
                    raise AlreadyAssigned  # somebody took it while he was deciding
                assigned = order.assign(
                    command.worker_id,
                    is_specialised=standing.is_specialist,
                    by=actor,
                    comment=command.comment,
                    now=now,
                )
                uow.audit(
                    AuditEntry(
                        action="ASSIGN_WORKER",
                        target=f"order:{order.id}",
                        before={"worker": None if before is None else str(before)},
                        after={"worker": str(command.worker_id)},
                        reason=command.comment or None,
                    )
                )
            else:
                if viewer.is_admin and not load.is_specialist:
                    raise UnknownWorker(errors=(FieldError("worker_id", "is needed"),))
                if load.is_blocked:  # it hides what is open, also from whom it is offered to
                    load.actor(viewer.account_id, is_admin=False)  # he asks as a worker, whatever else he is
                assigned = order.take(
                    viewer.account_id, is_specialised=load.is_specialist, comment=command.comment, now=now
                )
            uow.record(assigned)
            await uow.commit()
        return await self.queries.order(command.order_id, viewer)


def _is_seen(order: Order, seen: OrderView | None) -> bool:
    """Tell whether whoever is on an order was on it when it was last looked at."""
    return (
        seen is not None and seen.stage is order.stage and seen.worker is not None and seen.worker.id == order.worker_id
    )
