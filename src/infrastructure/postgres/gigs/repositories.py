"""Categories, services and worker profiles on PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import asyncpg
from sqlalchemy import ARRAY, bindparam, exists, insert, select, text, update

from domain.core.kernel.errors import DomainError
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import DIGITS_BY_CURRENCY, Money
from domain.gigs.offering import (
    CategoryExists,
    CategoryId,
    Offering,
    OfferingCategory,
    OfferingId,
    OfferingNotFound,
    UnknownCategory,
    folded,
)
from domain.gigs.worker import AREA, UnknownService, WorkerProfile
from infrastructure.postgres.gigs.tables import (
    offering_categories,
    offerings,
    worker_profiles,
    worker_specializations,
)
from infrastructure.postgres.statements import Statement, WriteBatch
from infrastructure.postgres.tables import TEXT, UUID
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork

CATALOGUE_REFUSALS: Mapping[str, type[DomainError]] = {
    "fk_offerings_category": UnknownCategory,
    "fk_worker_specializations_offering": UnknownService,
    "uq_offering_categories_name": CategoryExists,
}

SORT_NAME_BYTES = 128
"""Of a name in UTF-8, as much as orders lists; a cursor with it stays below what a query takes."""


_ADD_CATEGORY = Statement(insert(offering_categories))
_ADD_OFFERING = Statement(insert(offerings))
_GET_OFFERING = Statement(select(offerings).where(offerings.c.id == bindparam("wanted")).with_for_update())
_SAVE_OFFERING = Statement(
    update(offerings)
    .where(offerings.c.id == bindparam("new_id"))
    .values(
        {
            column.name: bindparam(f"new_{column.name}", type_=column.type)
            for column in offerings.c
            if column.name not in {"id", "owner_id", "created_at"}
        }
    )
)
_OPEN_PROFILE = Statement(
    text(
        "INSERT INTO worker_profiles (account_id, experience_years, hourly_rate, currency, is_available, bio)"
        " VALUES (:account, 0, 0, 'KES', true, '') ON CONFLICT DO NOTHING"
    ).bindparams(bindparam("account", type_=UUID))
)
# a worker without reviews stands in the list too, which goes by their sums
_OPEN_SUMMARY = Statement(
    text(
        "INSERT INTO review_summaries (area, person_id, total, reviews, rank)"
        " VALUES (:area, :account, 0, 0, 0) ON CONFLICT DO NOTHING"
    ).bindparams(bindparam("account", type_=UUID), bindparam("area", type_=TEXT))
)
_GET_PROFILE = Statement(
    select(worker_profiles).where(worker_profiles.c.account_id == bindparam("account")).with_for_update()
)
_SAVE_PROFILE = Statement(
    update(worker_profiles)
    .where(worker_profiles.c.account_id == bindparam("account"))
    .values(
        {
            name: bindparam(f"new_{name}", type_=worker_profiles.c[name].type)
            for name in ("experience_years", "hourly_rate", "currency", "is_available", "bio")
        }
    )
)
_ADD_SPECIALIZATIONS = Statement(
    text(
        "INSERT INTO worker_specializations (account_id, offering_id)"
        " SELECT :account, chosen FROM unnest(:chosen) AS chosen ON CONFLICT DO NOTHING"
    ).bindparams(bindparam("account", type_=UUID), bindparam("chosen", type_=ARRAY(UUID)))
)
_DROP_SPECIALIZATIONS = Statement(
    text(
        "DELETE FROM worker_specializations AS s WHERE s.account_id = :account AND s.offering_id <> ALL (:chosen)"
        " AND NOT EXISTS (SELECT FROM offerings AS o WHERE o.id = s.offering_id AND o.owner_id = s.account_id)"
    ).bindparams(bindparam("account", type_=UUID), bindparam("chosen", type_=ARRAY(UUID)))
)
_IS_SPECIALISED = Statement(
    select(
        exists().where(
            worker_specializations.c.account_id == bindparam("account", type_=UUID),
            worker_specializations.c.offering_id == bindparam("offering", type_=UUID),
        )
    )
)


class PostgresCategories:
    """Categories inside one unit of work."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._added: list[OfferingCategory] = []
        unit_of_work.attach(self)

    def add(self, category: OfferingCategory) -> None:
        """Store a new category at commit."""
        self._added.append(category)

    def stage(self, batch: WriteBatch) -> None:
        """Write the new ones."""
        for category in self._added:
            batch.stage(
                _ADD_CATEGORY,
                id=category.id,
                name=category.name,
                folded_name=folded(category.name),
                description=category.description,
                icon=category.icon,
                created_at=category.created_at,
            )
        self._added.clear()


class PostgresOfferings:
    """Services inside one unit of work."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._added: list[Offering] = []
        self._loaded: dict[OfferingId, tuple[Offering, dict[str, object]]] = {}
        unit_of_work.attach(self)

    def add(self, offering: Offering) -> None:
        """Store a new service at commit."""
        self._added.append(offering)

    async def get(self, offering_id: OfferingId) -> Offering:
        """Return a service, locked. Raises OfferingNotFound."""
        if offering_id not in self._loaded:
            row = await _GET_OFFERING.fetch_row(self._unit.connection, wanted=offering_id)
            if row is None:
                raise OfferingNotFound
            offering = read_offering(row)
            self._loaded[offering_id] = (offering, _offering_row(offering))
        return self._loaded[offering_id][0]

    def stage(self, batch: WriteBatch) -> None:
        """Write the services that are new or changed."""
        for offering in self._added:
            row = _offering_row(offering)
            batch.stage(_ADD_OFFERING, owner_id=offering.owner_id, created_at=offering.created_at, **row)
            self._loaded[offering.id] = (offering, row)
        self._added.clear()
        for offering_id, (offering, before) in self._loaded.items():
            after = _offering_row(offering)
            if after != before:
                batch.stage(_SAVE_OFFERING, **{f"new_{name}": value for name, value in after.items()})
                self._loaded[offering_id] = (offering, after)


class PostgresWorkers:
    """Worker profiles inside one unit of work."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._loaded: dict[AccountId, tuple[WorkerProfile, dict[str, object]]] = {}
        self._opened: list[AccountId] = []
        self._specializations: list[tuple[AccountId, list[OfferingId], bool]] = []
        unit_of_work.attach(self)

    def open(self, account_id: AccountId) -> None:
        """Make a profile, and its rating, at commit where there is none."""
        self._opened.append(account_id)

    async def get(self, account_id: AccountId) -> WorkerProfile:
        """Return a profile, locked, with nothing in it where there was none."""
        if account_id not in self._loaded:
            row = await _GET_PROFILE.fetch_row(self._unit.connection, account=account_id)
            if row is None:
                await _OPEN_PROFILE.execute(self._unit.connection, account=account_id)
                await _OPEN_SUMMARY.execute(self._unit.connection, account=account_id, area=AREA)
                row = await _GET_PROFILE.fetch_row(self._unit.connection, account=account_id)
            assert row is not None
            profile = _profile(row)
            self._loaded[account_id] = (profile, _profile_row(profile))
        return self._loaded[account_id][0]

    def add_specialization(self, account_id: AccountId, offering_id: OfferingId) -> None:
        """Note at commit that a worker does a service."""
        self._specializations.append((account_id, [offering_id], False))

    def replace_specializations(self, account_id: AccountId, offering_ids: Sequence[OfferingId]) -> None:
        """Have a worker do, from commit on, the services he chose and those he lists, and no other."""
        self._specializations.append((account_id, list(offering_ids), True))

    async def is_specialised(self, account_id: AccountId, offering_id: OfferingId) -> bool:
        """Tell whether a worker does a service."""
        return bool(await _IS_SPECIALISED.fetch_value(self._unit.connection, account=account_id, offering=offering_id))

    def stage(self, batch: WriteBatch) -> None:
        """Write the profiles that are new or changed, and who does what."""
        for account_id in self._opened:
            batch.stage(_OPEN_PROFILE, account=account_id)
            batch.stage(_OPEN_SUMMARY, account=account_id, area=AREA)
        self._opened.clear()
        for account_id, (profile, before) in self._loaded.items():
            after = _profile_row(profile)
            if after != before:
                batch.stage(_SAVE_PROFILE, account=account_id, **{f"new_{name}": v for name, v in after.items()})
                self._loaded[account_id] = (profile, after)
        for account_id, chosen, replaces in self._specializations:
            if replaces:
                batch.stage(_DROP_SPECIALIZATIONS, account=account_id, chosen=chosen)
            batch.stage(_ADD_SPECIALIZATIONS, account=account_id, chosen=chosen)
        self._specializations.clear()


def price_order(price: Money) -> int:
    """Return a price in thousandths of its currency's whole unit, by which lists are ordered."""
    return int(price.minor * 10 ** (3 - DIGITS_BY_CURRENCY[price.currency]))


def sort_name(name: str) -> str:
    """Return what a list is ordered by: as much of the folded name as a cursor has room for."""
    return folded(name).encode()[:SORT_NAME_BYTES].decode(errors="ignore")


def read_offering(row: asyncpg.Record) -> Offering:
    """Read a service."""
    return Offering(
        id=OfferingId(row["id"]),
        owner_id=AccountId(row["owner_id"]),
        category_id=CategoryId(row["category_id"]),
        name=row["name"],
        description=row["description"],
        base_price=Money(row["base_price"], row["currency"]),
        duration=timedelta(seconds=row["duration_s"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        is_active=row["is_active"],
    )


def _offering_row(offering: Offering) -> dict[str, object]:
    """Return the columns that an edit may change, and the key."""
    return {
        "id": offering.id,
        "category_id": offering.category_id,
        "name": offering.name,
        "description": offering.description,
        "base_price": offering.base_price.minor,
        "currency": offering.base_price.currency,
        "duration_s": int(offering.duration.total_seconds()),
        "is_active": offering.is_active,
        "updated_at": offering.updated_at,
        "price_order": price_order(offering.base_price),
        "sort_name": sort_name(offering.name),
    }


def _profile(row: asyncpg.Record) -> WorkerProfile:
    return WorkerProfile(
        account_id=AccountId(row["account_id"]),
        experience_years=row["experience_years"],
        hourly_rate=Money(row["hourly_rate"], row["currency"]),
        is_available=row["is_available"],
        bio=row["bio"],
    )


def _profile_row(profile: WorkerProfile) -> dict[str, object]:
    return {
        "experience_years": profile.experience_years,
        "hourly_rate": profile.hourly_rate.minor,
        "currency": profile.hourly_rate.currency,
        "is_available": profile.is_available,
        "bio": profile.bio,
    }
