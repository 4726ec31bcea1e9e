"""Wire reputation."""

from application.core.reputation.open_rating import OpenRating
from application.core.reputation.rating_in_profile import RatingInProfile
from interface.bootstrap.adapters import Adapters

open_rating = OpenRating()
"""What reputation does when a writer registers."""


def rating_in_profile(adapters: Adapters) -> RatingInProfile:
    """Return what reputation adds to replies about people."""
    return RatingInProfile(queries=adapters.rating_queries)
