"""Show payments: to their payer his own, to administrators all."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from application.core.identity.authenticate import Caller
from application.core.kernel.ports import Listing, Page
from application.core.payments.queries import PaymentDetail, PaymentFilter, PaymentQueries
from domain.core.kernel.errors import NotFound
from domain.core.kernel.ids import IntentId


@dataclass(frozen=True, slots=True, kw_only=True)
class SeePayment:
    payment_queries: PaymentQueries

    async def __call__(self, intent_id: IntentId, caller: Caller) -> PaymentDetail:
        """Return the payment. Raises NotFound, for somebody else's payment too."""
        found = await self.payment_queries.payment(intent_id)
        if found is None or not (caller.is_admin or found.payer == caller.account_id):
            raise NotFound
        return found

    async def list(
        self, page: Page, caller: Caller, *, purpose: str | None, subject: UUID | None, stages: Sequence[str] | None
    ) -> Listing[PaymentDetail]:
        """Return a page of the payments that the caller may see, the newest first."""
        payer = None if caller.is_admin else caller.account_id
        return await self.payment_queries.payments(
            page, PaymentFilter(payer=payer, purpose=purpose, subject=subject, stages=stages)
        )
