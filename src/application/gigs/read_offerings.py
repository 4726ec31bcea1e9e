"""List services: everybody sees the active ones, and each worker all of his own."""

from dataclasses import dataclass, replace

from application.core.identity.authenticate import Caller
from application.core.kernel.ports import Listing, Page
from application.gigs.queries import GigsQueries, OfferingFilter, OfferingOrder, OfferingView
from domain.core.kernel.errors import NotSignedIn


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOfferings:
    queries: GigsQueries

    async def __call__(
        self, wanted: OfferingFilter, order: OfferingOrder, page: Page, *, mine: bool, caller: Caller | None
    ) -> Listing[OfferingView]:
        """Return a page. Raises NotSignedIn for the services of somebody who does not say who he is."""
        if mine:
            if caller is None:
                raise NotSignedIn
            wanted = replace(wanted, owner_id=caller.account_id, with_inactive=True)
        return await self.queries.offerings(wanted, order, page)
