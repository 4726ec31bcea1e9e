"""Reviews on PostgreSQL."""

from collections.abc import Mapping

import asyncpg
from sqlalchemy import bindparam, insert, select, text, update

from domain.core.kernel.errors import DomainError
from domain.core.kernel.ids import AccountId
from domain.core.reputation.review import AlreadyReviewed, RatingSummary, Review, ReviewId, ReviewNotFound
from infrastructure.postgres.core.reputation_tables import review_summaries, reviews
from infrastructure.postgres.statements import Statement, WriteBatch
from infrastructure.postgres.tables import TEXT, UUID
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork

REVIEW_REFUSALS: Mapping[str, type[DomainError]] = {"uq_reviews_deal_reviewer": AlreadyReviewed}

RANK_OF_ONE_HUNDREDTH = 10**10
"""What a hundredth of a rating weighs in `review_summaries.rank`, above any count of reviews."""

_GET = Statement(select(reviews).where(reviews.c.id == bindparam("wanted")).with_for_update())
_ADD = Statement(insert(reviews))
_SAVE = Statement(
    update(reviews).where(reviews.c.id == bindparam("wanted")).values(is_hidden=bindparam("new_is_hidden"))
)
# the update of nothing locks the row where it exists; where it does not, the insert makes and locks it
_LOCK_SUMMARY = Statement(
    text(
        "INSERT INTO review_summaries (area, person_id, total, reviews, rank) VALUES (:area, :person, 0, 0, 0)"
        " ON CONFLICT (area, person_id) DO UPDATE SET total = review_summaries.total RETURNING total, reviews"
    ).bindparams(bindparam("area", type_=TEXT), bindparam("person", type_=UUID))
)
_SAVE_SUMMARY = Statement(
    update(review_summaries)
    .where(review_summaries.c.area == bindparam("of_area"), review_summaries.c.person_id == bindparam("person"))
    .values(total=bindparam("new_total"), reviews=bindparam("new_reviews"), rank=bindparam("new_rank"))
)


class PostgresReviews:
    """Reviews inside one unit of work."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._added: list[Review] = []
        self._loaded: dict[ReviewId, tuple[Review, bool]] = {}
        self._summaries: dict[tuple[AccountId, str], tuple[RatingSummary, tuple[int, int]]] = {}
        unit_of_work.attach(self)

    def add(self, review: Review) -> None:
        """Store a new review at commit."""
        self._added.append(review)

    async def get(self, review_id: ReviewId) -> Review:
        """Return a review, locked. Raises ReviewNotFound."""
        if review_id not in self._loaded:
            row = await _GET.fetch_row(self._unit.connection, wanted=review_id)
            if row is None:
                raise ReviewNotFound
            self._loaded[review_id] = (_review(row), row["is_hidden"])
        return self._loaded[review_id][0]

    async def summary(self, person_id: AccountId, area: str) -> RatingSummary:
        """Return what the reviews of a person in an area add up to, locked."""
        key = (person_id, area)
        if key not in self._summaries:
            row = await _LOCK_SUMMARY.fetch_row(self._unit.connection, area=area, person=person_id)
            assert row is not None, "it is made where there is none"
            summary = RatingSummary(person_id, area, total=row["total"], count=row["reviews"])
            self._summaries[key] = (summary, (summary.total, summary.count))
        return self._summaries[key][0]

    def stage(self, batch: WriteBatch) -> None:
        """Write the reviews that are new or changed, and the sums that changed with them."""
        for review in self._added:
            batch.stage(_ADD, **{column.name: getattr(review, column.name) for column in reviews.c})
        self._added.clear()
        for review_id, (review, was_hidden) in self._loaded.items():
            if review.is_hidden != was_hidden:
                batch.stage(_SAVE, wanted=review_id, new_is_hidden=review.is_hidden)
                self._loaded[review_id] = (review, review.is_hidden)
        for key, (summary, before) in self._summaries.items():
            after = (summary.total, summary.count)
            if after != before:
                batch.stage(
                    _SAVE_SUMMARY,
                    of_area=summary.area,
                    person=summary.person_id,
                    new_total=summary.total,
                    new_reviews=summary.count,
                    new_rank=summary.hundredths * RANK_OF_ONE_HUNDREDTH + summary.count,
                )
                self._summaries[key] = (summary, after)


def _review(row: asyncpg.Record) -> Review:
    return Review(
        id=ReviewId(row["id"]),
        area=row["area"],
        deal_id=row["deal_id"],
        reviewer_id=AccountId(row["reviewer_id"]),
        person_id=AccountId(row["person_id"]),
        rating=row["rating"],
        comment=row["comment"],
        created_at=row["created_at"],
        is_hidden=row["is_hidden"],
    )
