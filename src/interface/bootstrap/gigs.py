"""The gigs market's catalogue as the server sees it: categories, services and workers."""

from dataclasses import dataclass

from application.gigs.add_category import AddCategory
from application.gigs.edit_offering import EditOffering
from application.gigs.edit_worker_profile import EditWorkerProfile
from application.gigs.list_offering import ListOffering
from application.gigs.open_worker_profile import OpenWorkerProfile
from application.gigs.queries import GigsCatalogue, GigsQueries
from application.gigs.read_offerings import ReadOfferings
from interface.bootstrap.adapters import Adapters
from interface.bootstrap.area import Area
from interface.http.gigs.services import CategoryController, ServiceController
from interface.http.gigs.workers import WorkerController, WorkerProfileController

open_worker_profile = OpenWorkerProfile()
"""What the market does when somebody becomes a worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GigsUseCases:
    add_category: AddCategory
    edit_offering: EditOffering
    edit_worker_profile: EditWorkerProfile
    gigs_catalogue: GigsCatalogue
    gigs_queries: GigsQueries
    list_offering: ListOffering
    read_offerings: ReadOfferings


def gigs_area(adapters: Adapters) -> Area:
    """Wire the catalogue."""
    units, queries, clock, ids = adapters.gigs_units, adapters.gigs_queries, adapters.clock, adapters.ids
    return Area(
        name="gigs",
        use_cases=GigsUseCases(
            add_category=AddCategory(unit_of_work=units, clock=clock, ids=ids),
            edit_offering=EditOffering(unit_of_work=units, queries=queries, clock=clock),
            edit_worker_profile=EditWorkerProfile(unit_of_work=units, queries=queries),
            gigs_catalogue=adapters.gigs_catalogue,
            gigs_queries=queries,
            list_offering=ListOffering(unit_of_work=units, queries=queries, clock=clock, ids=ids),
            read_offerings=ReadOfferings(catalogue=adapters.gigs_catalogue, queries=queries),
        ),
        controllers=(ServiceController, CategoryController, WorkerController, WorkerProfileController),
    )
