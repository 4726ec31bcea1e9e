"""Find a worker for every open order: offers that were not answered end, then each order that waits, the oldest first,
is offered to the best worker there is (gigs.matcher_order, gigs.one_offer_at_a_time).

An order for which nobody fits stays as it is; the next run tries again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from application.core.kernel.batches import handle_each
from application.core.kernel.ports import Clock, IdSource, Policies
from application.gigs.order_ports import OrdersUnitOfWork
from application.gigs.order_queries import OpenOrder, OrderQueries
from application.gigs.terms import order_terms
from domain.gigs.matching import choose
from domain.gigs.order import OrderId
from domain.gigs.policies import WORKER_LOAD
from domain.gigs.transitions import Stage

CANDIDATES_MAX: Final = 200
"""As many workers are looked at for one order, the available and best rated first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferOrders:
    unit_of_work: Callable[[], OrdersUnitOfWork]
    queries: OrderQueries
    policies: Policies
    clock: Clock
    ids: IdSource

    async def __call__(self, batch_max: int) -> int:
        """Look at every open order, in batches, and return 0: one run is all of them."""
        last: OpenOrder | None = None
        while True:
            waiting = await self.queries.waiting_for_worker(now=self.clock.now(), after=last, limit=batch_max)
            await handle_each(waiting, self._offer, failure="order_not_offered", named=lambda one: one.id)
            if len(waiting) < batch_max:
                return 0
            last = waiting[-1]

    async def _offer(self, waiting: OpenOrder) -> None:
        order_id = OrderId(waiting.id)
        load_max = self.policies.value(WORKER_LOAD)
        candidates = await self.queries.candidates(order_id, load_max=load_max, limit=CANDIDATES_MAX)
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            order = await uow.orders.get(order_id)
            lapsed = order.lapse_offer(now)
            if lapsed is not None:
                uow.record(lapsed)
            refused = None if lapsed is None else lapsed.worker_id
            still = [one for one in candidates if one.account_id != refused]
            match = choose(still, load_max=load_max)
            if order.stage is Stage.UNASSIGNED and match is not None and not order.is_unfilled(now):
                offered = order.offer_to(
                    match.account_id,
                    id=self.ids.new(),
                    reasons=match.reasons,
                    terms=order_terms(self.policies),
                    now=now,
                )
                uow.record(offered)
            await uow.commit()
