"""Tell a payer, or staff, what became of a payment."""

from dataclasses import dataclass

from application.core.identity.authenticate import Caller
from application.core.payments.queries import PaymentQueries, PaymentView
from domain.core.kernel.errors import NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentStatus:
    payment_queries: PaymentQueries

    async def __call__(self, reference: str, caller: Caller) -> PaymentView:
        """Return the payment. Raises NotFound, for somebody else's payment too."""
        found = await self.payment_queries.find(reference)
        if found is None or not (caller.is_admin or found.payer == caller.account_id):
            raise NotFound
        return found
