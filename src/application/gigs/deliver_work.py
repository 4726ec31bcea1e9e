"""Deliver the work of an order, with files if there are any.

- Only the worker who is on it; the client accepts, asks for changes, or is silent (gigs.delivery_needs_acceptance).
- Its files are for its client, its worker and administrators; a new delivery adds to those of earlier ones.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from application.core.files.receive_files import IncomingFile, ReceiveFiles
from application.core.identity.authenticate import Caller
from application.gigs.order_ports import OrdersUnitOfWork
from application.gigs.order_queries import OrderQueries, OrderView, Viewer
from application.gigs.order_steps import OrderSteps
from domain.core.files.file import StoredFile
from domain.core.kernel.ids import FileId
from domain.gigs.order import OrderId, OrderNotFound
from domain.gigs.transitions import Action

DELIVERY_FILES: Final = "delivery"
"""Purpose of the files of a delivery; their subject is the order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverWorkCommand:
    order_id: OrderId
    viewer: Viewer
    files: Sequence[IncomingFile] = ()
    uploads: Collection[FileId] = ()
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverWork:
    unit_of_work: Callable[[], OrdersUnitOfWork]
    queries: OrderQueries
    steps: OrderSteps
    receive_files: ReceiveFiles

    async def __call__(self, command: DeliverWorkCommand) -> OrderView:
        """Return the order. Raises OrderNotFound, TransitionNotAllowed and what receiving files raises."""
        viewer = command.viewer
        async with (
            self.receive_files.claimed_inside(
                command.files, purpose=DELIVERY_FILES, subject=command.order_id, owner=viewer.account_id
            ) as files,
            self.unit_of_work() as uow,
        ):
            load = await uow.orders.get_for(command.order_id, viewer.account_id)
            actor = load.actor(viewer.account_id, is_admin=viewer.is_admin)
            await self.steps.do(uow, load, Action.DELIVER, actor, command.comment)
            await self.receive_files.claim(
                uow,
                files,
                uploads=command.uploads,
                purpose=DELIVERY_FILES,
                subject=command.order_id,
                owner=viewer.account_id,
            )
            await uow.commit()
        return await self.queries.order(command.order_id, viewer)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeeDeliveredFiles:
    queries: OrderQueries

    async def may_see(self, file: StoredFile, caller: Caller) -> bool:
        """Tell whether the caller may open a file of a delivery: he is on the order, or ordered it."""
        try:
            order = await self.queries.order(
                OrderId(file.subject), Viewer(account_id=caller.account_id, is_admin=caller.is_admin)
            )
        except OrderNotFound:
            return False
        return order.shows_files
