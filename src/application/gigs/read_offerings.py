"""List services: everybody sees the active ones, and each worker all of his own."""

from dataclasses import dataclass, replace

from application.core.identity.authenticate import Caller
from application.core.kernel.ports import Listing, Page
from application.gigs.queries import GigsCatalogue, GigsQueries, OfferingFilter, OfferingOrder, OfferingView
from domain.core.kernel.errors import NotSignedIn


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOfferings:
    catalogue: GigsCatalogue
    queries: GigsQueries

    async def __call__(
        self, wanted: OfferingFilter, order: OfferingOrder, page: Page, *, mine: bool, caller: Caller | None
    ) -> Listing[OfferingView]:
        """Return a page; one's own services as they are now, which the catalogue may show a moment later.

        Raises NotSignedIn for the services of somebody who does not say who he is.
        """
        if mine:
            if caller is None:
                raise NotSignedIn
            wanted = replace(wanted, owner_id=caller.account_id, with_inactive=True)
        is_own = caller is not None and wanted.owner_id == caller.account_id
        return await (self.queries if is_own else self.catalogue).offerings(wanted, order, page)
