"""The catalogue's reads: one round trip each.

What a list filters by decides its statement, so that each is planned for the indexes it can use; a statement is
compiled when it is first wanted.
"""

import re
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import asyncpg
from sqlalchemy import ColumnElement, CompoundSelect, Select, bindparam, func, literal_column, select, union, union_all

from application.core.kernel.ports import Listing, Page
from application.gigs.queries import (
    REVIEWS_SHOWN,
    SPECIALIZATIONS_SHOWN_MAX,
    OfferingFilter,
    OfferingOrder,
    OfferingView,
    ReviewView,
    Specialization,
    WorkerFilter,
    WorkerPage,
    WorkerView,
)
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money
from domain.core.reputation.review import RatingSummary
from domain.gigs.offering import CategoryId, OfferingCategory, OfferingId, OfferingNotFound
from domain.gigs.worker import AREA, WorkerNotFound
from infrastructure.postgres.core.identity_tables import accounts
from infrastructure.postgres.core.reputation_reviews import RANK_OF_ONE_HUNDREDTH
from infrastructure.postgres.core.reputation_tables import review_summaries
from infrastructure.postgres.database import Reads
from infrastructure.postgres.gigs.tables import (
    offering_categories,
    offerings,
    worker_profiles,
    worker_specializations,
)
from infrastructure.postgres.keyset import Cut, KeysetList, SortKey
from infrastructure.postgres.statements import Statement
from infrastructure.postgres.tables import BIGINT, TEXT, UUID, words_of

_CATEGORIES = KeysetList(select(offering_categories), offering_categories.c.id, newest_first=False)

_OFFERING: Select[Any] = (
    select(
        *offerings.c,
        offering_categories.c.name.label("category_name"),
        accounts.c.username.label("owner_name"),
    )
    .select_from(offerings)
    .join(offering_categories, offering_categories.c.id == offerings.c.category_id)
    .join(accounts, accounts.c.id == offerings.c.owner_id)
)
_ONE_OFFERING = Statement(_OFFERING.where(offerings.c.id == bindparam("wanted")))


def _found(words: str) -> ColumnElement[bool]:
    query = func.to_tsquery(literal_column("'simple'"), bindparam("search", type_=TEXT))
    return literal_column(words).bool_op("@@")(query)


_OFFERING_CONDITIONS: dict[str, ColumnElement[bool]] = {
    "category": offerings.c.category_id == bindparam("category", type_=UUID),
    "owner": offerings.c.owner_id == bindparam("owner", type_=UUID),
    "price_max": offerings.c.price_order <= bindparam("price_max", type_=BIGINT),
    "price_min": offerings.c.price_order >= bindparam("price_min", type_=BIGINT),
    "search": _found(words_of("offerings.name", "offerings.description")),
}
_LIMIT_ROWS = bindparam("limit_rows", type_=BIGINT)
_SORT_KEYS = {
    "name": SortKey(offerings.c.sort_name, b"n"),
    "base_price": SortKey(offerings.c.price_order, b"p"),
    "created_at": None,
}


LOOKED_THROUGH = 500
"""So many rows from the edge on are looked through for the words, before the index of words is asked for all that have
them: a word that many have fills a page early, and of one that few have the index knows them all at once. The planner
cannot choose, since it does not know how many words begin like the one that is searched.
"""


def _searched(
    cut: Cut,
    rows: Select[Any],
    key: ColumnElement[Any],
    has_words: ColumnElement[bool],
    indexed: Callable[[ColumnElement[bool]], Select[Any]],
) -> CompoundSelect[Any]:
    """Return the keys of a page of what has the words.

    They are as many as fit on it: what is joined to them needs no limit, with which the planner would rather read the
    list in its order until they turn up. `rows` are the keys of the list without the search; `indexed` returns what the
    index finds of it, if the condition holds that it is given.
    """
    name = str(key.key)
    near = cut(rows.add_columns(has_words.label("has_words")), key).limit(LOOKED_THROUGH).subquery()
    early = select(near.c[name]).where(near.c.has_words).limit(_LIMIT_ROWS).cte("early").prefix_with("MATERIALIZED")
    is_full = select(func.count()).select_from(early).scalar_subquery() >= _LIMIT_ROWS
    late = indexed(~is_full).cte("late").prefix_with("MATERIALIZED")
    first_late = cut(select(late.c[name]), late.c[name]).subquery()
    return union_all(select(early.c[name]).where(is_full), first_late.select())


_OWNERS = accounts.alias("owners")
# looked up for each service, since a join may read all accounts first
_OWNER_IS_ACTIVE = select(_OWNERS.c.is_active).where(_OWNERS.c.id == offerings.c.owner_id).scalar_subquery()


@lru_cache(maxsize=512)
def _offering_list(order: OfferingOrder, conditions: tuple[str, ...], with_inactive: bool) -> KeysetList:
    sorted_by = _SORT_KEYS[order.removeprefix("-")]
    filters = [_OFFERING_CONDITIONS[name] for name in conditions if name != "search"]
    given = filters if with_inactive else [*filters, offerings.c.is_active, _OWNER_IS_ACTIVE]
    whole = _OFFERING if with_inactive else _OFFERING.where(offerings.c.is_active, accounts.c.is_active)

    def found(cut: Cut) -> Select[Any]:
        has_words = _OFFERING_CONDITIONS["search"]
        columns = [offerings.c.id] if sorted_by is None else [offerings.c.id, sorted_by.column]

        def indexed(is_wanted: ColumnElement[bool]) -> Select[Any]:
            return select(*columns).where(has_words, *given, is_wanted)

        keys = _searched(cut, select(offerings.c.id).where(*given), offerings.c.id, has_words, indexed)
        return cut(_OFFERING.where(offerings.c.id.in_(keys)), offerings.c.id).limit(None)

    return KeysetList(
        found if "search" in conditions else whole.where(*filters),
        offerings.c.id,
        newest_first=order.startswith("-"),
        sorted_by=sorted_by,
        is_planned_anew="search" in conditions,
    )


_IS_WORKER: ColumnElement[bool] = literal_column(
    "COALESCE(accounts.is_active AND accounts.role_states[array_position(accounts.roles, 'worker')] = 'active', false)",
)
_SPECIALIZATIONS: ColumnElement[Any] = literal_column(
    "(SELECT jsonb_agg(jsonb_build_array(s.id, s.name) ORDER BY s.id) FROM (SELECT o.id, o.name"  # noqa: S608
    " FROM worker_specializations AS w JOIN offerings AS o ON o.id = w.offering_id"
    f" WHERE w.account_id = worker_profiles.account_id AND o.is_active ORDER BY o.id LIMIT {SPECIALIZATIONS_SHOWN_MAX}"
    ") AS s)"
)
_REVIEWS: ColumnElement[Any] = literal_column(
    "(SELECT jsonb_agg(jsonb_build_array(n.id, n.reviewer_id, n.username, n.rating, n.comment, n.created_at)"  # noqa: S608
    " ORDER BY n.id DESC) FROM (SELECT r.id, r.reviewer_id, a.username, r.rating, r.comment, r.created_at"
    " FROM reviews AS r JOIN accounts AS a ON a.id = r.reviewer_id WHERE r.person_id = worker_profiles.account_id"
    f" AND r.area = '{AREA}' AND NOT r.is_hidden ORDER BY r.id DESC LIMIT {REVIEWS_SHOWN}) AS n)"
)
_WORKER: Select[Any] = (
    select(
        worker_profiles.c.account_id,
        worker_profiles.c.experience_years,
        worker_profiles.c.hourly_rate,
        worker_profiles.c.currency,
        worker_profiles.c.is_available,
        worker_profiles.c.bio,
        accounts.c.username,
        accounts.c.first_name,
        accounts.c.last_name,
        accounts.c.avatar,
        review_summaries.c.person_id,
        review_summaries.c.total,
        review_summaries.c.reviews.label("reviews_count"),
        review_summaries.c.rank,
        _SPECIALIZATIONS.label("specializations"),
    )
    .select_from(review_summaries)
    .join(worker_profiles, worker_profiles.c.account_id == review_summaries.c.person_id)
    .join(accounts, accounts.c.id == review_summaries.c.person_id)
    .where(review_summaries.c.area == literal_column(f"'{AREA}'"), _IS_WORKER)
)
_ONE_WORKER = Statement(
    _WORKER.add_columns(_REVIEWS.label("reviews")).where(review_summaries.c.person_id == bindparam("wanted"))
)
_WORKER_CONDITIONS: dict[str, ColumnElement[bool]] = {
    "available": worker_profiles.c.is_available,
    "offering": review_summaries.c.person_id.in_(
        select(worker_specializations.c.account_id).where(
            worker_specializations.c.offering_id == bindparam("offering", type_=UUID)
        )
    ),
    "rank_min": review_summaries.c.rank >= bindparam("rank_min", type_=BIGINT),
    "unavailable": ~worker_profiles.c.is_available,
}
_BEST = SortKey(review_summaries.c.rank, b"r")


_BIO_HAS_WORDS = _found(words_of("worker_profiles.bio"))
_NAME_HAS_WORDS = _found(words_of("accounts.username", "accounts.first_name", "accounts.last_name"))


@lru_cache(maxsize=128)
def _worker_list(conditions: tuple[str, ...]) -> KeysetList:
    key = review_summaries.c.person_id
    given = [_WORKER_CONDITIONS[name] for name in conditions if name != "search"]

    def found(cut: Cut) -> Select[Any]:
        def indexed(is_wanted: ColumnElement[bool]) -> Select[Any]:
            # names are identity's, what one says of oneself is the profile's; each has its index, either may have them
            people = union(
                select(worker_profiles.c.account_id).where(_BIO_HAS_WORDS, is_wanted),
                select(accounts.c.id).where(
                    accounts.c.roles.bool_op("@>")(literal_column("ARRAY['worker'::text]")), _NAME_HAS_WORDS, is_wanted
                ),
            )
            return _WORKER.with_only_columns(key, review_summaries.c.rank).where(key.in_(people), *given)

        rows = _WORKER.with_only_columns(key).where(*given)
        keys = _searched(cut, rows, key, _BIO_HAS_WORDS | _NAME_HAS_WORDS, indexed)
        return cut(_WORKER.where(key.in_(keys)), key).limit(None)

    is_search = "search" in conditions
    return KeysetList(found if is_search else _WORKER.where(*given), key, sorted_by=_BEST, is_planned_anew=is_search)


def _words(search: str | None) -> str | None:
    """Return what finds every word of a text, each as a beginning, or None where it has no word."""
    words = re.findall(r"\w+", search or "")
    return " & ".join(f"'{word}':*" for word in words) or None


class PostgresGigsQueries:
    """Reads of services and workers."""

    def __init__(self, database: Reads) -> None:
        self._database = database

    async def categories(self, page: Page) -> Listing[OfferingCategory]:
        """Return the categories, oldest first."""
        async with self._database.connection() as connection:
            return await _CATEGORIES.fetch(connection, page, _category)

    async def offering(self, offering_id: OfferingId) -> OfferingView:
        """Return a service, listed or not. Raises OfferingNotFound."""
        async with self._database.connection() as connection:
            row = await _ONE_OFFERING.fetch_row(connection, wanted=offering_id)
        if row is None:
            raise OfferingNotFound
        return _offering(row)

    async def offerings(self, wanted: OfferingFilter, order: OfferingOrder, page: Page) -> Listing[OfferingView]:
        """Return the services that fit."""
        values = _given(
            category=wanted.category_id,
            owner=wanted.owner_id,
            price_max=wanted.price_max,
            price_min=wanted.price_min,
            search=_words(wanted.search),
        )
        listed = _offering_list(order, tuple(values), wanted.with_inactive)
        async with self._database.connection() as connection:
            return await listed.fetch(connection, page, _offering, **values)

    async def worker(self, account_id: AccountId) -> WorkerPage:
        """Return a worker. Raises WorkerNotFound."""
        async with self._database.connection() as connection:
            row = await _ONE_WORKER.fetch_row(connection, wanted=account_id)
        if row is None:
            raise WorkerNotFound
        return WorkerPage(worker=_worker(row), reviews=tuple(map(_review, row["reviews"] or ())))

    async def workers(self, wanted: WorkerFilter, page: Page) -> Listing[WorkerView]:
        """Return the workers that fit, the best rated first."""
        values = _given(
            offering=wanted.offering_id,
            rank_min=None if wanted.rating_min is None else wanted.rating_min * RANK_OF_ONE_HUNDREDTH,
            search=_words(wanted.search),
        )
        availability = {True: ("available",), False: ("unavailable",), None: ()}[wanted.is_available]
        listed = _worker_list((*availability, *values))
        async with self._database.connection() as connection:
            return await listed.fetch(connection, page, _worker, **values)


def _given(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _category(row: asyncpg.Record) -> OfferingCategory:
    return OfferingCategory(
        id=CategoryId(row["id"]),
        name=row["name"],
        description=row["description"],
        icon=row["icon"],
        created_at=row["created_at"],
    )


def _offering(row: asyncpg.Record) -> OfferingView:
    return OfferingView(
        id=OfferingId(row["id"]),
        name=row["name"],
        description=row["description"],
        category_id=CategoryId(row["category_id"]),
        category_name=row["category_name"],
        base_price=Money(row["base_price"], row["currency"]),
        duration=timedelta(seconds=row["duration_s"]),
        is_active=row["is_active"],
        owner_id=AccountId(row["owner_id"]),
        owner_name=row["owner_name"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _worker(row: asyncpg.Record) -> WorkerView:
    account_id = AccountId(row["account_id"])
    return WorkerView(
        account_id=account_id,
        username=row["username"],
        first_name=row["first_name"],
        last_name=row["last_name"],
        avatar=row["avatar"],
        specializations=tuple(
            Specialization(id=OfferingId(uuid.UUID(offering_id)), name=name)
            for offering_id, name in row["specializations"] or ()
        ),
        experience_years=row["experience_years"],
        hourly_rate=Money(row["hourly_rate"], row["currency"]),
        rating=RatingSummary(account_id, AREA, total=row["total"], count=row["reviews_count"]),
        is_available=row["is_available"],
        bio=row["bio"],
    )


def _review(values: list[Any]) -> ReviewView:
    review_id, reviewer_id, reviewer_name, rating, comment, created_at = values
    return ReviewView(
        id=uuid.UUID(review_id),
        reviewer_id=AccountId(uuid.UUID(reviewer_id)),
        reviewer_name=reviewer_name,
        rating=rating,
        comment=comment,
        created_at=datetime.fromisoformat(created_at),
    )
