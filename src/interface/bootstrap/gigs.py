"""The gigs market's catalogue as the server sees it: categories, services and workers."""

from dataclasses import dataclass

from application.gigs.queries import GigsQueries
from interface.bootstrap.adapters import Adapters
from interface.bootstrap.area import Area


@dataclass(frozen=True, slots=True, kw_only=True)
class GigsUseCases:
    gigs_queries: GigsQueries


def gigs_area(adapters: Adapters) -> Area:
    """Wire the catalogue."""
    return Area(name="gigs", use_cases=GigsUseCases(gigs_queries=adapters.gigs_queries))
