"""Deals whose payments can be refunded: a small vertical that says what a test told it to say."""

from uuid import UUID

from application.core.payments.refund_ports import RefundsUnitOfWork
from domain.core.kernel.money import Money
from domain.core.ledger.refunds import RefundTerms
from domain.core.payments.refund import NotRefundable, Refund


class FixedDeals:
    """Deals by id, each with its terms; what was refunded is remembered."""

    def __init__(self) -> None:
        self.terms_of: dict[UUID, RefundTerms] = {}
        self.heard: list[tuple[Money, bool]] = []
        """What each refund returned, and whether nothing was left."""
        self._locked_in: list[RefundsUnitOfWork] = []

    async def lock(self, uow: RefundsUnitOfWork, subject: UUID) -> None:
        self._locked_in.append(uow)

    async def terms(self, uow: RefundsUnitOfWork, subject: UUID) -> RefundTerms:
        assert any(one is uow for one in self._locked_in), "the deal is locked first"
        if subject not in self.terms_of:
            raise NotRefundable
        return self.terms_of[subject]

    async def refunded(self, uow: RefundsUnitOfWork, subject: UUID, refund: Refund, *, is_whole: bool) -> None:
        assert any(one is uow for one in self._locked_in), "the deal is locked first"
        self.heard.append((refund.amount, is_whole))
