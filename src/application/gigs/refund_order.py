"""What a refund of an order's payment asks the order: where its money is, and what becomes of it.

- Before it has ended, all of it or nothing (gigs.partial_refund_only_after_completion); all of it cancels the order
  (gigs.full_refund_before_completion_cancels).
- Afterwards the worker and we give back our shares, for `gigs.refund_window` days; the order stays as it ended. One
  that was canceled late is refunded like a completed one.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from application.core.kernel.ports import Clock, Policies
from application.gigs.order_ports import OrdersUnitOfWork
from domain.core.ledger.refunds import HeldInEscrow, PaidOut, RefundTerms
from domain.core.payments.refund import NotRefundable, Refund
from domain.gigs.order import Actor, OrderId, OrderNotFound
from domain.gigs.order_money import escrow_of, subject_of
from domain.gigs.policies import REFUND_WINDOW
from domain.gigs.transitions import ENDED, Party


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundOrder:
    policies: Policies
    clock: Clock

    async def lock(self, uow: OrdersUnitOfWork, subject: UUID) -> None:
        """Lock the order. Raises NotRefundable."""
        try:
            await uow.orders.get(OrderId(subject))
        except OrderNotFound as error:
            raise NotRefundable from error

    async def terms(self, uow: OrdersUnitOfWork, subject: UUID) -> RefundTerms:
        """Say where the money is now. Raises NotRefundable."""
        order = await uow.orders.get(OrderId(subject))
        if not order.was_paid:
            raise NotRefundable
        if order.stage not in ENDED:
            return HeldInEscrow(escrow=escrow_of(order.id))
        if order.worker_id is None or order.fee_basis_points is None or order.ended_at is None:
            raise NotRefundable
        window = timedelta(days=self.policies.value(REFUND_WINDOW))
        return PaidOut(
            payee=order.worker_id,
            fee_basis_points=order.fee_basis_points,
            subject=subject_of(order.id),
            closes_at=order.ended_at + window,
        )

    async def refunded(self, uow: OrdersUnitOfWork, subject: UUID, refund: Refund, *, is_whole: bool) -> None:
        """Take note of a refund that stands."""
        order = await uow.orders.get(OrderId(subject))
        by = Actor(Party.ADMIN, refund.requested_by)
        reason = refund.reason or "refunded"
        uow.record(order.refund(refund.amount, is_all=is_whole, by=by, reason=reason, now=self.clock.now()))
