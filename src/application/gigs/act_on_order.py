"""Do one step of an order: begin, deliver, accept, ask for changes, withdraw, answer an offer, cancel; or what a status
word asks for.

Who may do what is the one table's to say (gigs.transitions_are_a_table).
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.gigs.order_ports import OrderLoad, OrdersUnitOfWork
from application.gigs.order_queries import OrderQueries, OrderView, Viewer
from application.gigs.order_steps import OrderSteps
from domain.gigs.order import Actor, OfferGone, OrderId
from domain.gigs.transitions import Action, Party, action_meant


@dataclass(frozen=True, slots=True, kw_only=True)
class ActOnOrder:
    unit_of_work: Callable[[], OrdersUnitOfWork]
    queries: OrderQueries
    steps: OrderSteps

    async def __call__(self, order_id: OrderId, action: Action, viewer: Viewer, comment: str = "") -> OrderView:
        """Return the order after the step. Raises OrderNotFound and what the step raises."""

        def wanted(load: OrderLoad, actor: Actor) -> Action:
            answers = action in {Action.ACCEPT_OFFER, Action.DECLINE_OFFER}
            if answers and actor.party in {Party.WORKER, Party.SPECIALIST}:
                raise OfferGone  # it was his once, or he thinks so
            return action

        return await self._do(order_id, wanted, viewer, comment)

    async def by_word(self, order_id: OrderId, word: str, viewer: Viewer, comment: str = "") -> OrderView:
        """Return the order after what the word asks for. Raises UnknownStatus, TransitionNotAllowed as well."""

        def wanted(load: OrderLoad, actor: Actor) -> Action:
            return action_meant(word, load.order.stage, actor.party)

        return await self._do(order_id, wanted, viewer, comment)

    async def _do(
        self, order_id: OrderId, wanted: Callable[[OrderLoad, Actor], Action], viewer: Viewer, comment: str
    ) -> OrderView:
        async with self.unit_of_work() as uow:
            load = await uow.orders.get_for(order_id, viewer.account_id)
            actor = load.actor(viewer.account_id, is_admin=viewer.is_admin)
            await self.steps.do(uow, load, wanted(load, actor), actor, comment)
            await uow.commit()
        return await self.queries.order(order_id, viewer)
