"""Rate the worker of a completed order: once, by its client (gigs.review_once_after_completion)."""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.reputation.review_desk import ReviewDesk
from application.gigs.order_ports import OrdersUnitOfWork
from domain.core.kernel.ids import AccountId
from domain.core.reputation.review import Review
from domain.gigs.order import OrderId
from domain.gigs.worker import AREA


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewOrder:
    unit_of_work: Callable[[], OrdersUnitOfWork]
    reviews: ReviewDesk

    async def __call__(self, order_id: OrderId, *, client_id: AccountId, rating: int, comment: str) -> Review:
        """Return the review. Raises OrderNotFound, OrderNotCompleted, Invalid, AlreadyReviewed."""
        async with self.unit_of_work() as uow:
            order = await uow.orders.get(order_id)
            review = await self.reviews.write(
                uow,
                area=AREA,
                deal_id=order.id,
                reviewer_id=client_id,
                person_id=order.check_review(client_id),
                rating=rating,
                comment=comment,
            )
            await uow.commit()
        return review
